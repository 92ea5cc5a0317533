"""Laws of totals: the integral in physical units, with the drift at the end."""

import numpy as np
import pytest

from mpp.errors import InputError
from mpp.viz.totals import totals


def lines(axes):
    return {line.get_label(): np.asarray(line.get_ydata()) for line in axes.get_lines()}


def test_a_total_is_the_integral_over_the_domain(rollout):
    ds = rollout(shape=(8, 6))
    figure = totals(ds, sample=1)
    # Cells of 1/8 by 1/6 metre, a domain of one square metre.
    found = lines(figure.axes[0])
    assert np.allclose(found["truth"], ds["truth_tracer"][1].mean(("x", "y")))
    assert np.allclose(found["prediction"], 1.1 * found["truth"])
    assert figure.axes[0].get_title() == "tracer · off by 10 %"
    assert figure.axes[0].get_ylabel() == "total (kg m⁻³ · m²)"
    assert figure.get_suptitle().startswith("example · totals over the domain, run 1")


def test_a_declared_quantity_stands_beside_the_fields(rollout):
    ds = rollout(shape=(8, 6))
    figure = totals(ds, quantities={"energy": "0.5*tracer*velocity_x**2"})
    titles = [axes.get_title().partition(" ·")[0] for axes in figure.axes]
    assert titles == ["tracer", "velocity_x", "energy"]
    expected = (0.5 * ds["truth_tracer"] * ds["truth_velocity_x"] ** 2)[0].mean(("x", "y"))
    found = lines(figure.axes[2])
    assert np.allclose(found["truth"], expected)
    assert np.allclose(found["prediction"], 1.1**3 * expected)


def test_what_is_conserved_is_flat(rollout):
    # The wind of the example is 1 + 0.1 sin: its total is 1 but for rounding.
    low, high = totals(rollout(shape=(8, 6))).axes[1].get_ylim()
    assert high - low >= 0.02


def test_a_rollout_without_truth_has_its_own_totals(rollout):
    ds = rollout(shape=(8,)).drop_vars(["truth_tracer", "truth_velocity_x"])
    figure = totals(ds)
    assert list(lines(figure.axes[0])) == ["prediction"]
    assert figure.axes[0].get_title() == "tracer"


def test_mistakes_are_told(rollout):
    with pytest.raises(InputError, match="runs 0 to 1"):
        totals(rollout(), sample=4)
    with pytest.raises(InputError):
        totals(rollout(), quantities={"energy": "tracer +"})
