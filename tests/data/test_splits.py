"""Laws of the split: disjoint, complete, never empty, and the same for the same seed."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from mpp.data.splits import divide_runs, split_runs
from mpp.errors import InputError
from mpp.schema import example, validate


def runs(samples: int, frames: int = 5) -> xr.Dataset:
    return example((4,), samples, frames).assign_coords(sample=np.arange(samples))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.floats(0.01, 0.99), st.integers(0, 1000))
def test_the_parts_are_disjoint_complete_and_never_empty(samples, held_out, seed):
    parts = split_runs(runs(samples), held_out, seed)
    kept, held = (set(part["sample"].values.tolist()) for part in parts)
    assert kept
    assert held
    assert not kept & held
    assert kept | held == set(range(samples))


def test_the_share_is_held_out():
    kept, held = split_runs(runs(20), 0.15)
    # 0.15 * 20 = 3
    assert (kept.sizes["sample"], held.sizes["sample"]) == (17, 3)


def test_the_seed_decides_and_nothing_else():
    def held(seed, frames=5):
        return split_runs(runs(20, frames), 0.3, seed)[1]["sample"].values.tolist()

    np.random.seed(5)  # noqa: NPY002  # the global state must not matter
    assert held(1) == held(1, frames=9)
    assert len({tuple(held(seed)) for seed in range(5)}) > 1


def test_one_run_is_split_in_time():
    ds = runs(1, frames=20)
    kept, held = split_runs(ds, 0.2, frames=3)
    # 0.2 * 20 = 4 frames, the last ones.
    assert held["time"].values.tolist() == [16, 17, 18, 19]
    xr.testing.assert_identical(xr.concat([kept, held], "time", data_vars="minimal"), ds)
    assert validate(kept) == validate(held) == []


def test_each_part_of_one_run_has_the_frames_it_needs():
    # 0.2 * 10 = 2 frames are too few for windows of 5.
    kept, held = split_runs(runs(1, frames=10), 0.2, frames=5)
    assert (kept.sizes["time"], held.sizes["time"]) == (5, 5)


@pytest.mark.parametrize(("length", "held_out"), [(9, 0.2), (20, 0.9)])
def test_one_run_too_short_for_two_parts_is_refused(length, held_out):
    with pytest.raises(InputError, match=r"one run of .* frames cannot be split"):
        split_runs(runs(1, length), held_out, frames=5)


@pytest.mark.parametrize("held_out", [-0.1, 0.0, 1.0, 3.0, float("nan")])
def test_a_share_is_between_none_and_all(held_out):
    with pytest.raises(InputError, match="held out"):
        split_runs(runs(4), held_out)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(0, 10), st.integers(1, 10), st.integers(0, 1000))
def test_runs_set_aside_are_in_no_training(samples, test, validation, seed):
    if test + validation >= samples:
        with pytest.raises(InputError, match="leave none to train on"):
            divide_runs(runs(samples), test, validation)
        return
    parts = divide_runs(runs(samples), test, validation)
    assert (len(parts.test), len(parts.validation)) == (test, validation)
    assert sorted(parts.test + parts.validation + parts.training) == list(range(samples))
    most = parts.first(samples, seed)
    assert sorted(most) == list(parts.training)
    # Fewer runs are the first of more.
    for count in range(1, len(most)):
        assert parts.first(count, seed) == most[:count]


def test_the_seed_chooses_the_first_runs_and_not_what_is_set_aside():
    parts = divide_runs(runs(20), 4, 2)
    assert parts == divide_runs(runs(20, frames=9), 4, 2)
    assert len({parts.first(3, seed) for seed in range(5)}) > 1
    assert parts.test != tuple(range(4))
