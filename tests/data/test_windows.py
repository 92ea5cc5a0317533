"""Laws of the windows: every one of them, from memory or from disk, and never a hidden NaN."""

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.batch import Batch
from mpp.data import windows as module
from mpp.data.windows import Windows
from mpp.errors import InputError
from mpp.schema import example


@pytest.fixture(params=["in memory", "read one by one"])
def reading(request, monkeypatch):
    if request.param == "read one by one":
        monkeypatch.setattr(module, "IN_MEMORY_BYTES", 0)
    return request.param


def masked(ds: xr.Dataset, outside: float) -> xr.Dataset:
    inside = xr.ones_like(ds["tracer"].isel(time=0), bool)
    inside[:, 2:5, 3:] = False
    return ds.where(inside, outside).assign(
        diffusivity=ds["diffusivity"], mask=inside.assign_attrs(role="mask")
    )


def read_all(data: Windows) -> list[Batch]:
    return [data[number] for number in range(len(data))]


@pytest.mark.parametrize(("frames", "stride", "each"), [(2, 1, 4), (3, 1, 3), (2, 2, 2), (5, 1, 1)])
def test_every_window_of_every_run_is_there_once(reading, frames, stride, each):
    # Five frames: starts 0, stride, ... up to 5 - frames.
    data = Windows(example(), frames, stride)
    assert len(data) == 2 * each
    assert len(set(data.places)) == len(data)
    assert all(data[number].frames == frames for number in range(len(data)))


def test_a_window_is_the_slice_of_its_run(reading):
    ds = masked(example(), np.nan)
    data = Windows(ds, 3)
    run, start = data.places[4]
    assert (run, start) == (1, 1)
    expected = Batch.from_dataset(ds.isel(sample=[1], time=slice(1, 4)))
    xr.testing.assert_identical(data[4].to_dataset(), expected.to_dataset())


def test_runs_shorter_than_a_window_are_refused():
    with pytest.raises(InputError, match=r"^mine: windows of 6 frames .* its runs have 5"):
        Windows(example(), 6, source="mine")


def test_a_dataset_outside_the_schema_is_refused():
    with pytest.raises(InputError, match="mine: time: no coordinate"):
        Windows(example().drop_vars("time"), 2, source="mine")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_missing_value_is_refused_by_name(reading, value):
    ds = example()
    ds["velocity_x"][1, 3, 0, 0] = value
    with pytest.raises(InputError, match="velocity_x holds NaN or infinite"):
        read_all(Windows(ds, 2))


def test_a_missing_value_in_a_map_is_refused(reading):
    ds = example()
    ds["bathymetry"] = ds["tracer"].isel(time=0).assign_attrs(role="static")
    ds["bathymetry"][1, 2, 3] = np.nan
    with pytest.raises(InputError, match="bathymetry holds NaN or infinite"):
        read_all(Windows(ds, 2))


def test_outside_a_mask_anything_goes(reading):
    assert len(read_all(Windows(masked(example(), np.nan), 2))) == 8


def test_scales_are_root_mean_squares(reading):
    ds = example()
    scales = Windows(ds, 2).scales()
    for number, name in enumerate(("tracer", "velocity_x")):
        value = np.sqrt(np.mean(ds[name].values ** 2))
        change = np.sqrt(np.mean(np.diff(ds[name].values, axis=1) ** 2))
        np.testing.assert_allclose(scales.value[number], value, rtol=1e-5)
        np.testing.assert_allclose(scales.change[number], change, rtol=1e-4)


def test_scales_of_missing_values_are_refused(monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY_BYTES", 0)
    ds = example()
    ds["tracer"][1, 3, 0, 0] = np.nan
    with pytest.raises(InputError, match="mine, run 1: tracer holds NaN"):
        Windows(ds, 2, source="mine").scales()


@pytest.mark.parametrize("outside", [np.nan, 0.0, 1e6])
def test_scales_know_only_points_inside_the_mask(outside):
    ds = masked(example(), outside)
    inside = ds["mask"].values[:, None] & np.ones((1, 5, 1, 1), bool)
    expected = np.sqrt(np.mean(ds["tracer"].values[inside] ** 2))
    np.testing.assert_allclose(Windows(ds, 2).scales().value[0], expected, rtol=1e-5)


def test_scales_look_at_few_runs_of_many():
    ds = example((4,), samples=9)
    ds["tracer"][1:8] *= 100
    few = Windows(ds, 2).scales(runs=2)
    # The first and the last run.
    expected = np.sqrt(np.mean(ds["tracer"].values[[0, 8]] ** 2))
    np.testing.assert_allclose(few.value[0], expected, rtol=1e-5)


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_a_still_field_has_scales_above_zero(level):
    ds = example()
    ds["tracer"][:] = level
    scales = Windows(ds, 2).scales()
    assert (scales.value > 0).all()
    assert (scales.change > 0).all()
    assert torch.isfinite(scales.change / scales.value).all()


def test_a_dataset_without_a_name_is_called_the_same_everywhere():
    ds = example()
    del ds.attrs["system"]
    data = Windows(ds, 2)
    assert data.system == data[0].system
