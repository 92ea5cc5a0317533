"""Laws of the truth beside a rollout: the frames that follow the history, or an error."""

import numpy as np
import pytest
import xarray as xr

from mpp.errors import InputError
from mpp.model.surrogate import Persistence
from mpp.rollouts import rollout, with_truth
from mpp.schema import example, names, validate


def test_the_truth_stands_beside_the_prediction():
    ds = example(frames=8)
    both = with_truth(rollout(Persistence(), ds.isel(time=slice(0, 5)), 3), ds)
    assert validate(both) == []
    assert names(both, "truth") == ("truth_tracer", "truth_velocity_x")
    np.testing.assert_array_equal(both["truth_tracer"], ds["tracer"].isel(time=slice(5, 8)))
    assert both["truth_tracer"].attrs["units"] == ds["tracer"].attrs["units"]


def test_truth_that_ends_too_early_is_refused():
    ds = example(frames=6)
    with pytest.raises(InputError, match="no frame at 6"):
        with_truth(rollout(Persistence(), ds.isel(time=slice(0, 5)), 3), ds)


def test_both_ways_to_the_truth_give_the_same():
    ds = example(frames=9)
    history = ds.isel(time=slice(0, 5))
    after = with_truth(rollout(Persistence(), history, 3), ds)
    xr.testing.assert_equal(rollout(Persistence(), history, 3, truth=ds), after)


def test_the_truth_gives_the_times():
    """Over many steps, a step estimated from a history would leave the solver's times."""
    ds = example(frames=9)
    ds["time"] = ("time", np.cumsum(np.linspace(1, 1.0009, 9)), ds["time"].attrs)
    made = rollout(Persistence(), ds.isel(time=slice(0, 3)), 6, truth=ds)
    np.testing.assert_array_equal(made["time"], ds["time"][3:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.isel(time=slice(0, 7)), "3 steps beyond time 4, and the truth has 2"),
        (
            lambda ds: ds.isel(sample=[0]),
            r"truth has tracer \(1 x 8 x 6\), .* the history tracer \(2 x 8 x 6\)",
        ),
        (lambda ds: ds.drop_vars("tracer"), r"truth has velocity_x \(2 x 8 x 6\), the history tr"),
        (lambda ds: ds.isel(x=slice(4)), r"tracer \(2 x 4 x 6\)"),
        (lambda ds: ds.assign_coords(time=ds["time"] + 100), "no frame at time 4"),
    ],
)
def test_another_truth_is_refused(change, message):
    ds = example(frames=9)
    with pytest.raises(InputError, match=message):
        rollout(Persistence(), ds.isel(time=slice(0, 5)), 3, truth=change(ds))
