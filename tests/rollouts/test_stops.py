"""Laws of a rollout that stops: what is good is kept, the rest is named and goes on."""

import numpy as np
import pytest
import xarray as xr

from mpp.batch import Batch
from mpp.errors import InputError
from mpp.model.surrogate import Persistence
from mpp.rollouts import RolloutStopped, rollout
from mpp.rollouts.stops import Watch
from mpp.schema import example, validate


class Breaking(Persistence):
    """Copies the last frame, and sets one value of a run to NaN at a step."""

    def __init__(self, sample, step, value=np.nan):
        super().__init__()
        self.sample, self.step, self.value = sample, step, value

    def forecast(self, batch, steps):
        for step, frame in enumerate(super().forecast(batch, steps), 1):
            frame = frame.clone()
            if step >= self.step:
                frame[self.sample, 1, 2, 3] = self.value
            yield frame


def stopping(*arguments, **options) -> xr.Dataset:
    with pytest.warns(RolloutStopped):
        return rollout(*arguments, **options)


# Grows by factors of 2 and 3 a step: the first power above 10 is 2^4 and 3^3.
FIRST = "step 3, sample 1: the RMS of tracer is {:.3g}, 27 times that in the history (the limit"
SECOND = "step 4, sample 0: the RMS of tracer is {:.3g}, 16 times that in the history (the limit"


@pytest.mark.parametrize("ending", [None, "nc", "zarr"])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_each_run_stops_beyond_its_own_limit_and_the_others_go_on(
    growing, tmp_path, ending, batch_size
):
    ds = example().astype("float32")
    ds["tracer"].values[:] = 1 + ds["tracer"].values[:, :1]  # steady, as is its RMS
    ds["velocity_x"].values[:] = 1e-3
    size = np.sqrt((ds["tracer"][:, 0] ** 2).mean(("x", "y"))).values
    out = None if ending is None else tmp_path / f"x.{ending}"
    made = stopping(growing, ds, 9, batch_size=batch_size, out=out)
    free = rollout(growing, ds, 9, limit=None)
    assert made.sizes["time"] == 3
    xr.testing.assert_equal(made["tracer"][0], free["tracer"][0, :3])
    xr.testing.assert_equal(made["tracer"][1, :2], free["tracer"][1, :2])
    assert made["tracer"][1, 2].isnull().all()
    attrs = made.attrs
    assert (attrs["stopped_step"], attrs["stopped_runs"], attrs["finite_steps"]) == (3, 2, 2)
    first, second = attrs["stopped_reason"].split("; ")
    assert first == f"{FIRST.format(27 * size[1])} is 10)"
    assert second == f"{SECOND.format(16 * size[0])} is 10)"
    assert (attrs["steps_asked"], attrs["limit"]) == (9, 10)
    assert validate(made) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_run_that_leaves_the_finite_stops_there(value):
    with pytest.warns(RolloutStopped, match="stopped at step 3, sample 1: velocity_x is not fin"):
        made = rollout(Breaking(1, 3, value), example(), 5)
    assert made.sizes["time"] == 5
    assert np.isfinite(made["velocity_x"][1, :2]).all()
    assert made["tracer"][1, 2:].isnull().all()
    assert np.isfinite(made["tracer"][0]).all()
    assert made.attrs["stopped_step"] == 3
    assert made.attrs["finite_steps"] == 2


def test_what_a_mask_hides_stops_nothing():
    ds = example()
    inside = np.ones((2, 8, 6), bool)
    inside[1, 2, 3] = False
    ds["mask"] = (("sample", "x", "y"), inside, {"role": "mask"})
    made = rollout(Breaking(1, 3), ds, 5)
    assert made.sizes["time"] == 5
    assert "stopped_step" not in made.attrs
    inside[1, 2, 3] = True
    stopping(Breaking(1, 3), ds, 5)


@pytest.mark.parametrize("limit", [None, 10.0])
def test_the_last_run_to_stop_ends_the_rollout(limit):
    steps = []
    made = stopping(
        Breaking(0, 3), example(samples=1), 50, None, lambda d, t: steps.append(d), limit=limit
    )
    assert made.sizes["time"] == 2
    assert np.isfinite(made["tracer"]).all()
    assert steps == [1, 2, 50]


def test_a_run_that_stops_at_once_leaves_one_frame_of_nan():
    made = stopping(Breaking(0, 1), example(samples=1), 5)
    assert made.sizes["time"] == 1
    assert made["tracer"].isnull().all()
    assert made.attrs["finite_steps"] == 0
    assert validate(made) == []


def test_the_limit_counts_from_training_where_that_is_larger(network):
    history = Batch.from_dataset(example((8, 8)))
    network.set_scales({"tracer": (100.0, 1.0), "velocity_x": (1e-3, 1.0)})
    watch = Watch(network, history, 10.0)
    frame = history.values[:, -1].clone()
    frame[0, 0] = 999.0
    assert watch.stops(frame, 1, [0, 1]) == []
    frame[0, 0] = 1001.0
    (stop,) = watch.stops(frame, 7, [0, 1])
    assert (stop.row, stop.step) == (0, 7)
    assert "tracer is 1e+03, 10 times that in training" in stop.problem
    frame = history.values[:, -1].clone()
    frame[1, 1] = 20.0  # the history's RMS is about 1
    (stop,) = watch.stops(frame, 1, [0, 1])
    assert "velocity_x" in stop.problem
    assert "in the history" in stop.problem
    assert watch.stops(frame, 1, [0]) == []


def test_a_field_at_rest_may_start_to_move():
    """Where neither training nor history say how large a field is, no size is too large."""
    history = Batch.from_dataset(example())
    watch = Watch(Persistence(), history, 10.0)
    watch.usual[:, 1] = 0
    frame = history.values[:, -1].clone()
    frame[:, 1] = 1e9
    assert watch.stops(frame, 1, [0, 1]) == []


def test_values_whose_squares_overflow_are_still_finite():
    history = Batch.from_dataset(example())
    frame = history.values[:, -1] * 1e30
    assert Watch(Persistence(), history, None).stops(frame, 1, [0, 1]) == []
    assert len(Watch(Persistence(), history, 10.0).stops(frame, 1, [0, 1])) == 2


@pytest.mark.parametrize("limit", [1.0, 0.0, -3.0, float("nan")])
def test_a_limit_below_the_data_is_refused(limit):
    with pytest.raises(InputError, match="give a number above 1, or none"):
        rollout(Persistence(), example(), 1, limit=limit)
