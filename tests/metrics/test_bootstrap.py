"""Laws of the intervals: seeded, around the mean, as wide as theory says, runs not windows."""

import numpy as np
import pytest
import xarray as xr

from mpp.errors import InputError
from mpp.metrics import with_intervals
from mpp.metrics.bootstrap import by_run


def scores(values: np.ndarray, run: list[int] | None = None) -> xr.Dataset:
    """Values over (model, lead_time, sample)."""
    run = list(range(values.shape[-1])) if run is None else run
    coords = {"run": ("sample", run), "dataset": ("sample", [0] * len(run))}
    dims = ("model", "lead_time", "sample")
    return xr.Dataset({"rmse": (dims, values, {"units": "m"})}, coords)


def test_the_interval_is_as_wide_as_that_of_a_normal_mean():
    # 400 runs: the mean is normal with the standard error s / sqrt(400); 95 % lie within 1.96.
    values = np.random.default_rng(0).exponential(size=(1, 1, 400))
    low, high = with_intervals(scores(values))["rmse_interval"].values[0, 0]
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).normal(size=(2, 3, 7))
    first, again, other = (with_intervals(scores(values), seed=seed) for seed in (0, 0, 1))
    xr.testing.assert_identical(first, again)
    assert (first["rmse_interval"] != other["rmse_interval"]).any()
    assert first["rmse_interval"].dims == ("model", "lead_time", "bound")
    assert first.attrs["interval_level"] == 0.95
    assert first["rmse_interval"].attrs["units"] == "m"


def test_a_wider_level_gives_a_wider_interval_around_the_mean():
    values = np.random.default_rng(0).normal(size=(1, 1, 12))
    found = [with_intervals(scores(values), level) for level in (0.5, 0.9)]
    bounds = [one["rmse_interval"].values[0, 0] for one in found]
    assert bounds[1][0] < bounds[0][0] < values.mean() < bounds[0][1] < bounds[1][1]


def test_equal_runs_have_no_spread():
    found = with_intervals(scores(np.full((1, 1, 5), 0.3)))["rmse_interval"]
    np.testing.assert_allclose(found, 0.3)


def test_runs_are_drawn_and_not_their_windows():
    values = np.random.default_rng(0).normal(size=(1, 1, 4))
    twice = np.repeat(values, 3, axis=-1)
    windows = scores(twice, np.repeat(range(4), 3).tolist())
    many, few = with_intervals(windows), with_intervals(scores(values))
    np.testing.assert_allclose(many["rmse_interval"], few["rmse_interval"])
    np.testing.assert_allclose(by_run(windows, "rmse"), values)


def test_a_diverged_run_shows_in_the_interval():
    # Of 5 runs one is infinite: most draws hold it, and the mean with it.
    values = np.array([[[1.0, 2, 3, 4, np.nan]]])
    low, high = with_intervals(scores(values))["rmse_interval"].values[0, 0]
    assert 1 <= low <= 4
    assert high == np.inf


def test_a_single_run_tells_no_spread():
    one = scores(np.ones((1, 1, 2)), [0, 0])
    xr.testing.assert_identical(with_intervals(one), one)


def test_a_level_that_is_none_is_refused():
    with pytest.raises(InputError, match="a level between 0 and 1"):
        with_intervals(scores(np.ones((1, 1, 2))), level=1)
