"""Laws of the batch: datasets and tensors are inverse; windows cut, extending continues."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from mpp import schema
from mpp.batch import Batch
from mpp.errors import InputError
from mpp.schema import example


def full(shape=(6, 4), samples=2) -> xr.Dataset:
    """A dataset with every role that a batch holds."""
    ds = example(shape, samples)
    space = schema.space_axes(ds)
    map_dims, map_shape = ("sample", *space), (samples, *shape)
    numbers = np.arange(np.prod(map_shape), dtype=float).reshape(map_shape)
    known = {"role": "static", "units": "m", "symbol": "b"}
    ds["bathymetry"] = xr.Variable(map_dims, numbers, known)
    ds["mask"] = xr.Variable(map_dims, numbers % 3 > 0, {"role": "mask"})
    forcing = np.arange(samples * 5.0).reshape(samples, 5)
    ds["forcing"] = xr.Variable(("sample", "time"), forcing, {"role": "parameter", "units": "N"})
    return ds


@pytest.mark.parametrize("shape", [(8,), (6, 4), (4, 3, 5)])
def test_a_dataset_comes_back_from_tensors(shape):
    ds = full(shape)
    batch = Batch.from_dataset(ds, torch.float64)
    xr.testing.assert_identical(batch.to_dataset(), ds)
    assert batch.values.shape == (2, 5, 2, *shape)
    assert batch.mask is not None
    assert batch.mask.dtype == torch.bool


@pytest.mark.parametrize("shape", [(8,), (6, 4), (4, 3, 5)])
def test_tensors_come_back_from_a_dataset(shape):
    batch = Batch.from_dataset(full(shape))
    again = Batch.from_dataset(batch.to_dataset())
    for name in ("values", "time", "static", "mask"):
        assert torch.equal(getattr(batch, name), getattr(again, name)), name
    for name in ("fields", "axes", "system", "time_units", "static_fields", "parameter_fields"):
        assert getattr(batch, name) == getattr(again, name), name
    assert batch.parameters.keys() == again.parameters.keys()
    assert all(torch.equal(batch.parameters[n], again.parameters[n]) for n in batch.parameters)


def test_channels_stand_in_the_order_of_the_fields():
    ds = example()
    batch = Batch.from_dataset(ds)
    assert batch.names == ("tracer", "velocity_x")
    np.testing.assert_array_equal(batch.values[:, :, 1], ds["velocity_x"].astype("f4"))
    assert (batch.samples, batch.frames) == (2, 5)


def test_maps_and_numbers_shared_by_all_samples_are_given_to_each():
    ds = full().drop_vars("forcing")
    ds["bathymetry"], ds["mask"] = ds["bathymetry"][1], ds["mask"][1]
    ds["diffusivity"] = ds["diffusivity"][0]
    batch = Batch.from_dataset(ds)
    assert batch.static is not None
    assert batch.mask is not None
    assert torch.equal(batch.static[0], batch.static[1])
    assert torch.equal(batch.mask[0], batch.mask[1])
    np.testing.assert_allclose(batch.parameters["diffusivity"], [0.1, 0.1])


def test_several_masks_are_joined():
    ds = full()
    ds["more"] = (~ds["mask"]).assign_attrs(role="mask")
    mask = Batch.from_dataset(ds).mask
    assert mask is not None
    assert not mask.any()


def test_an_invalid_dataset_is_refused():
    ds = example()
    del ds["x"].attrs["boundary"]
    with pytest.raises(InputError, match="x: no boundary condition"):
        Batch.from_dataset(ds)


def test_a_window_is_the_batch_of_the_sliced_dataset():
    ds = full()
    cut, sliced = Batch.from_dataset(ds).window(1, 4), Batch.from_dataset(ds.isel(time=slice(1, 4)))
    xr.testing.assert_identical(cut.to_dataset(), sliced.to_dataset())
    assert cut.parameters["forcing"].shape == (2, 3)
    assert cut.parameters["diffusivity"].shape == (2,)


def test_samples_collate_to_the_batch_they_came_from():
    batch = Batch.from_dataset(full(samples=3))
    parts = [batch.sample(number) for number in range(3)]
    assert all(part.samples == 1 for part in parts)
    xr.testing.assert_identical(Batch.collate(parts).to_dataset(), batch.to_dataset())


def test_rows_are_the_samples_of_these_numbers():
    batch = Batch.from_dataset(example(samples=3))
    chosen = batch.rows([2, 0, 2])
    for place, number in enumerate([2, 0, 2]):
        xr.testing.assert_equal(
            chosen.sample(place).to_dataset(), batch.sample(number).to_dataset()
        )


def test_windows_with_other_times_collate_but_share_no_time_coordinate():
    batch = Batch.from_dataset(full())
    joined = Batch.collate([batch.window(0, 3), batch.window(1, 4)])
    assert joined.time[0].tolist() == [0, 1, 2]
    assert joined.time[-1].tolist() == [1, 2, 3]
    with pytest.raises(InputError, match="different times"):
        joined.to_dataset()


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.rename(tracer="smoke"),
        lambda ds: ds.assign_coords(x=ds["x"] * 2).assign_coords(
            x=lambda d: d["x"].assign_attrs(ds["x"].attrs)
        ),
        lambda ds: example((8, 6), boundary=("open",)),
        lambda ds: ds.drop_vars("mask"),
        lambda ds: ds.drop_vars("bathymetry"),
        lambda ds: ds.drop_vars("forcing"),
        lambda ds: ds.assign_attrs(system="another"),
    ],
    ids=["fields", "points", "boundary", "mask", "static", "parameter", "system"],
)
@pytest.mark.parametrize("turned", [False, True])
def test_windows_that_differ_cannot_share_a_batch(change, turned):
    pair = [Batch.from_dataset(full()), Batch.from_dataset(change(full()))]
    with pytest.raises(InputError, match="one dataset"):
        Batch.collate(pair[::-1] if turned else pair)


def test_extending_continues_the_times_at_their_step():
    batch = Batch.from_dataset(
        full().assign_coords(time=("time", np.arange(5) / 2, {"units": "s"}))
    )
    longer = batch.extend(batch.values[:, :2])
    assert longer.time[1].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert torch.equal(longer.values[:, 5:], batch.values[:, :2])
    assert longer.time.dtype == torch.float64
    # Run 1 of the forcing ends at 9, and its future is not known.
    assert longer.parameters["forcing"][1].tolist() == [5, 6, 7, 8, 9, 9, 9]
    assert torch.equal(longer.parameters["diffusivity"], batch.parameters["diffusivity"])


def test_a_single_frame_is_extended_by_ones():
    batch = Batch.from_dataset(example()).window(2, 3)
    assert batch.extend(batch.values).time[0].tolist() == [2, 3]


def test_cutting_what_extending_added_gives_the_batch_back():
    batch = Batch.from_dataset(full())
    again = batch.extend(batch.values).window(0, batch.frames)
    xr.testing.assert_identical(again.to_dataset(), batch.to_dataset())


def test_moving_to_a_device_keeps_everything():
    batch = Batch.from_dataset(full())
    xr.testing.assert_identical(batch.to("cpu").to_dataset(), batch.to_dataset())
    assert batch.to("meta").parameters["forcing"].is_meta
    assert batch.to("meta").time.is_meta


def test_axes_compare_by_their_points():
    axis = Batch.from_dataset(example()).axes[0]
    assert axis == replace(axis, points=axis.points.copy())
    assert axis != replace(axis, points=axis.points * 2)
    assert axis != "x"
    assert axis.periodic
