"""Laws of a rollout: an ordinary dataset that goes on where the history ended."""

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.errors import InputError
from mpp.model.axial import AxialTransformer
from mpp.model.numbers import Transform
from mpp.model.surrogate import Persistence, Surrogate
from mpp.rollouts import rollout
from mpp.schema import example, names, validate


class Growing(Surrogate):
    """Doubles what it sees, and remembers how much it saw."""

    seen = 0

    def forward(self, batch):
        self.seen = batch.frames
        return 2 * batch.values


def at_times(ds: xr.Dataset, times) -> xr.Dataset:
    return ds.assign_coords(time=("time", np.asarray(times, dtype=float), {"units": "s"}))


@pytest.mark.parametrize("shape", [(8,), (8, 6), (4, 4, 4)])
def test_the_result_is_in_the_schema_and_goes_on_in_time(shape):
    history = at_times(example(shape), [3, 3.5, 4, 4.5, 5])
    future = rollout(Persistence(), history, 3)
    assert validate(future) == []
    np.testing.assert_allclose(future["time"], [5.5, 6, 6.5])
    assert future["time"].attrs == history["time"].attrs
    for axis in ("x", "y", "z")[: len(shape)]:
        xr.testing.assert_identical(future[axis], history[axis])
    for name in ("tracer", "velocity_x"):
        assert future[name].attrs == history[name].attrs
        assert future[name].dims == history[name].dims
        last = history[name].isel(time=-1).values.astype("float32")
        np.testing.assert_array_equal(future[name].values, np.stack([last] * 3, 1))


def test_each_frame_is_stepped_from_the_one_before():
    future = rollout(Growing(2), example(), 3)
    start = example()["tracer"].values[:, -1]
    for step in range(3):
        np.testing.assert_allclose(future["tracer"][:, step], 2.0 ** (step + 1) * start, rtol=1e-6)


def test_the_model_sees_its_history_and_no_more():
    model = Growing(2)
    assert rollout(model, example(), 1).attrs["history_frames"] == 2
    assert model.seen == 2


def test_a_missing_value_in_the_history_is_refused_and_one_before_it_is_not():
    ds = example()
    ds["tracer"][0, 2, 0, 0] = np.nan
    assert np.isfinite(rollout(Growing(2), ds, 1)["tracer"]).all()
    ds["tracer"][0, 4, 0, 0] = np.nan
    with pytest.raises(InputError, match="history: tracer holds NaN"):
        rollout(Growing(2), ds, 1)


def test_the_attributes_say_what_made_it():
    model = Growing(2)
    model.card = {"sha256": "abc"}
    attrs = rollout(model, example().assign_attrs(source="a solver", author="me"), 1).attrs
    assert (attrs["system"], attrs["source"]) == ("example", "a solver")
    assert (attrs["model"], attrs["checkpoint"]) == ("Growing", "abc")
    assert (attrs["history_end"], attrs["history_frames"]) == (4.0, 2)
    assert {"created", "mpp_version"} <= attrs.keys()
    assert rollout(Persistence(), example(), 1).attrs["checkpoint"] == "not saved"


def test_maps_masks_and_steady_numbers_stay_and_varying_numbers_go():
    ds = example()
    ds["bathymetry"] = ds["tracer"].isel(time=0).assign_attrs(role="static")
    ds["mask"] = xr.ones_like(ds["tracer"].isel(time=0), bool).assign_attrs(role="mask", units="1")
    forcing = xr.ones_like(ds["tracer"].isel(x=0, y=0, drop=True))
    ds["forcing"] = forcing.assign_attrs(role="parameter")
    ds["gravity"] = xr.Variable((), 9.81, {"role": "parameter", "units": "m s-2"})
    future = rollout(Persistence(), ds, 2)
    assert names(future, "static") == ("bathymetry",)
    assert names(future, "mask") == ("mask",)
    assert set(names(future, "parameter")) == {"diffusivity", "gravity"}
    xr.testing.assert_identical(future["gravity"], ds["gravity"])
    xr.testing.assert_identical(future["diffusivity"], ds["diffusivity"])
    assert validate(future) == []


def test_one_frame_needs_the_time_between_frames():
    start = example().isel(time=[4])
    with pytest.raises(InputError, match="time_step"):
        rollout(Persistence(), start, 2)
    future = rollout(Persistence(), start, 2, time_step=0.25)
    np.testing.assert_allclose(future["time"], [4.25, 4.5])


@pytest.mark.parametrize("steps", [0, -3])
def test_no_steps_are_refused(steps):
    with pytest.raises(InputError, match="give at least 1"):
        rollout(Persistence(), example(), steps)


@pytest.mark.parametrize("time_step", [0.0, -1.0, float("nan")])
def test_time_goes_forward(time_step):
    with pytest.raises(InputError, match="time_step is"):
        rollout(Persistence(), example(), 1, time_step)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.isel(time=0), "expected the dims"),
        (lambda ds: ds.isel(time=[]), "empty"),
        (lambda ds: ds.drop_vars("x"), "x: no coordinate"),
    ],
)
def test_a_history_outside_the_schema_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        rollout(Persistence(), change(example()), 1)


def test_an_unknown_field_is_refused():
    model = AxialTransformer(("tracer",), history=2, width=16, heads=2, depth=1, hidden=8)
    with pytest.raises(InputError, match="no field velocity_x"):
        rollout(model, example(), 1)


def test_progress_counts_steps_over_batches_and_members():
    calls = []
    rollout(Persistence(), example(samples=3), 2, progress=lambda *c: calls.append(c), batch_size=2)
    # Two batches, of two runs and of one.
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4), (4, 4)]
    calls.clear()
    options = {"batch_size": 2, "members": 2, "perturb": 0.1}
    rollout(Growing(2), example(), 3, progress=lambda *c: calls.append(c), **options)
    assert calls[-1] == (6, 6)


def test_a_rollout_leaves_model_and_history_as_they_are():
    ds, model = example((8, 8)), AxialTransformer(("tracer", "velocity_x"), 2, 16, 2, 1, 8)
    before, kept = ds.copy(deep=True), [value.clone() for value in model.state_dict().values()]
    first = rollout(model, ds, 2)
    xr.testing.assert_identical(ds, before)
    after = model.state_dict().values()
    assert all(torch.equal(one, other) for one, other in zip(kept, after, strict=True))
    xr.testing.assert_equal(first, rollout(model, ds, 2))


def test_laws_a_number_in_another_unit_gives_the_same_rollout_and_comes_back_as_it_was():
    torch.manual_seed(0)
    model = AxialTransformer(("tracer", "velocity_x"), 4, 16, 2, 1, 8, coarse=2)
    model.learn_numbers({"diffusivity": Transform.fit(np.array([0.05, 0.4]))})
    model.card = {"numbers": {"diffusivity": {"units": "m2 s-1"}}}
    torch.nn.init.normal_(model.numbers.direction)
    history = example((8, 8))
    small = history.assign(diffusivity=1e4 * history["diffusivity"])
    small["diffusivity"].attrs = {**history["diffusivity"].attrs, "units": "cm2 s-1"}
    one, other = (rollout(model, ds, 2) for ds in (history, small))
    np.testing.assert_allclose(one["tracer"], other["tracer"], rtol=1e-5)
    xr.testing.assert_identical(other["diffusivity"], small["diffusivity"])
    assert one.attrs["numbers_outside_training"] == "none"
    far = history.assign(diffusivity=10 * history["diffusivity"])
    assert rollout(model, far, 1).attrs["numbers_outside_training"] == "diffusivity"
