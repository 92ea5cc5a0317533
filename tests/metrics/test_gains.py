"""Laws of the gains: closed forms on power laws, bounds where the sizes end, no luck counted."""

from itertools import pairwise

import numpy as np
import pytest

from mpp.metrics.gains import Bounded, accuracy_gains, efficiency_gains, runs_needed

SIZES = (1, 2, 4, 8, 16, 32, 64)
N = np.array(SIZES, dtype=float)


@pytest.mark.parametrize("times", [2.0, 3.0, 8.0])
@pytest.mark.parametrize("power", [0.3, 1.0])
def test_on_power_laws_eg_is_the_shift_and_ag_its_power(times, power):
    # e_f(n) = e_s(k n) with e_s = n^-p: as good as k times as many runs, k^p times as accurate.
    scratch, finetuned = N**-power, (times * N) ** -power
    np.testing.assert_allclose(accuracy_gains(finetuned, scratch), times**power)
    gains = efficiency_gains(SIZES, finetuned, scratch)
    for size, gain in zip(SIZES, gains, strict=True):
        # Up to k runs the answer lies before the smallest size, which is 1: at least n / 1.
        assert gain.sign == ("≥" if size <= times else "")
        assert gain.value == pytest.approx(min(size, times))


def test_equal_curves_gain_nothing():
    errors = N**-0.5
    np.testing.assert_array_equal(accuracy_gains(errors, errors), 1)
    # What the smallest size itself reaches might be reached with less: a bound.
    gains = efficiency_gains(SIZES, errors, errors)
    assert [str(gain) for gain in gains] == ["≥ 1", *["1"] * 6]


def test_a_worse_model_gains_less_than_one_and_is_said_to_need_more_than_there_is():
    scratch, finetuned = N**-0.5, (N / 4) ** -0.5
    np.testing.assert_allclose(accuracy_gains(finetuned, scratch), 0.5)
    gains = efficiency_gains(SIZES, finetuned, scratch)
    # Scratch on 4 runs is matched with 16; scratch on 64 would take 256, and there are 64.
    assert gains[2].value == pytest.approx(0.25)
    assert gains[-1] == Bounded(1.0, "<")
    assert runs_needed(SIZES, finetuned, scratch[-1]) == Bounded(64, ">")


def test_a_curve_is_straight_in_the_logarithms_between_sizes():
    # From 0.4 at 1 run to 0.1 at 16: half of the way in the logarithm of the error is at 4 runs.
    assert runs_needed([1, 16], np.array([0.4, 0.1]), 0.2).value == pytest.approx(4)


def test_one_lucky_training_does_not_count():
    errors = np.array([0.4, 0.05, 0.3, 0.1])
    # Two runs reach 0.1 once, but four do not: the straight line goes from 0.3 at 4 to 0.1 at 8.
    assert runs_needed([1, 2, 4, 8], errors, 0.1) == Bounded(8)
    between = runs_needed([1, 2, 4, 8], errors, 0.2)
    assert between.value == pytest.approx(4 * 2 ** (np.log(1.5) / np.log(3)))


def test_what_diverged_reaches_nothing_and_is_the_worst():
    errors = np.array([np.nan, np.inf, 0.1])
    assert runs_needed([1, 2, 4], errors, 0.2) == Bounded(4, "≤")
    assert runs_needed([1, 2, 4], errors[::-1], 0.2) == Bounded(4, ">")
    found = accuracy_gains(np.array([0.1, np.nan, np.nan]), np.array([np.nan, 0.1, np.inf]))
    np.testing.assert_array_equal(found, [np.inf, 0, np.nan])


def test_more_runs_are_never_needed_for_a_larger_error():
    rng = np.random.default_rng(0)
    for _ in range(50):
        errors = rng.uniform(0.1, 1, len(SIZES))
        needed = [runs_needed(SIZES, errors, wanted) for wanted in np.linspace(0.1, 1, 40)]
        values = [found.value for found in needed]
        assert all(later <= before * (1 + 1e-12) for before, later in pairwise(values))
