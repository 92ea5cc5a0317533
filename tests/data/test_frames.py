"""A window read straight from where it is stored is the window that xarray reads, to the bit."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

import mpp
from mpp.batch import Batch
from mpp.data import frames as module
from mpp.data.convert import write
from mpp.data.frames import Frames
from mpp.schema import example


def assert_same(found, expected):
    for field in dataclasses.fields(Batch):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(other, torch.Tensor):
            assert one.dtype == other.dtype, field.name
            assert torch.equal(one, other), field.name
        elif field.name == "parameters":
            assert one.keys() == other.keys()
            assert all(torch.equal(one[name], other[name]) for name in one)
            assert all(one[name].dtype == other[name].dtype for name in one)
        else:
            assert one == other, field.name


def assert_reads_alike(ds, straight):
    """Every window of two and three frames; and whether any channel goes through xarray."""
    reader = Frames(ds)
    assert (not reader.apart) == straight
    for run in range(ds.sizes["sample"]):
        for start, stop in ((0, 2), (1, min(4, ds.sizes["time"]))):
            part = ds.isel(sample=[run], time=slice(start, stop))
            assert_same(reader.window(run, start, stop), Batch.from_dataset(part))


def test_every_published_layout_of_pdebench(layouts, pdebench_file):
    for layout in layouts.LAYOUTS:
        assert_reads_alike(mpp.open_dataset(pdebench_file(layout), boundary="open"), True)


def test_the_well_with_vectors_tensors_maps_and_scalars(well_file):
    ds = mpp.open_dataset(well_file())
    assert {"velocity_x", "strain_xy", "sound_speed", "gamma", "mass"} <= set(map(str, ds))
    assert_reads_alike(ds, True)


def test_some_runs_and_a_part_of_the_time(well_file):
    ds = mpp.open_dataset(well_file(samples=5, frames=8))
    assert_reads_alike(ds.isel(sample=[3, 0, 4], time=slice(2, 7)), True)
    assert_reads_alike(ds.isel(sample=slice(1, 4)).isel(sample=[2, 0]), True)


def test_several_files_as_further_runs(tmp_path):
    for number in range(3):
        example(samples=2, frames=6).assign(tracer=lambda ds, n=number: ds["tracer"] + n).to_netcdf(
            tmp_path / f"{number}.nc"
        )
    ds = mpp.open_dataset(str(tmp_path / "*.nc"))
    assert ds.sizes["sample"] == 6
    assert_reads_alike(ds, True)
    assert_reads_alike(ds.isel(sample=[5, 1, 2]), True)


def test_other_formats_and_orders_go_through_xarray(tmp_path):
    write(example(samples=3), tmp_path / "a.zarr")
    assert_reads_alike(mpp.open_dataset(tmp_path / "a.zarr"), False)
    turned = example(samples=3).transpose("sample", "time", "y", "x")
    turned.to_netcdf(tmp_path / "turned.nc")
    ds = mpp.open_dataset(tmp_path / "turned.nc", space=["x", "y"])
    assert_reads_alike(ds, not Frames(ds).apart)
    assert_reads_alike(example(samples=3), False)  # in memory


def test_a_part_of_the_grid_goes_through_xarray(well_file):
    ds = mpp.open_dataset(well_file())
    assert_reads_alike(ds.isel(x=slice(2, 6)), False)


@pytest.mark.parametrize("held", [0, 2**26])
def test_masks_and_maps_are_those_of_the_run(tmp_path, monkeypatch, held):
    monkeypatch.setattr(module, "HELD_BYTES", held)
    ds = example(samples=3)
    inside = xr.ones_like(ds["tracer"].isel(time=0), bool).copy()
    inside[1, 2:5, 3:] = False
    depth = (ds["tracer"].isel(time=0) * 2).assign_attrs(units="m", role="static")
    ds = ds.assign(mask=inside.assign_attrs(role="mask"), depth=depth)
    forcing = np.linspace(0, 1, 3 * ds.sizes["time"]).reshape(3, -1)
    ds["forcing"] = (("sample", "time"), forcing, {"role": "parameter"})
    ds.to_netcdf(tmp_path / "a.nc")
    assert_reads_alike(mpp.open_dataset(tmp_path / "a.nc"), True)


def test_one_component_of_much_is_read_alone(well_file, monkeypatch, points_read):
    ds = mpp.open_dataset(well_file())[["density", "velocity_x"]].assign_attrs(system="part")
    ds = ds.drop_vars("density")
    Frames(ds).window(0, 0, 2)
    both = points_read[-1]
    monkeypatch.setattr(module, "WHOLE_BYTES", 0)
    assert_reads_alike(ds, True)
    reader = Frames(ds)
    reader.window(0, 0, 2)
    assert points_read[-1] == both / 2


def test_few_of_many_datasets_stay_open(pdebench_file, monkeypatch):
    from mpp.data import hdf5

    monkeypatch.setattr(hdf5, "OPEN_ITEMS", 2)
    path = pdebench_file("diffusion_reaction")  # a dataset a run, three of them
    ds = mpp.open_dataset(path)
    assert_reads_alike(ds, True)
    assert len(hdf5._items) == 2
    hdf5.release(str(path))
    assert not [key for key in hdf5._items if key[0] == str(path)]


def test_a_file_that_was_written_anew_is_read_anew(tmp_path):
    path = tmp_path / "a.nc"
    example().to_netcdf(path)
    ds = mpp.open_dataset(path)
    reader = Frames(ds)
    before = reader.window(0, 0, 2)
    path.unlink()
    (example() * 2).assign_attrs(example().attrs).to_netcdf(path)
    assert not torch.equal(reader.window(0, 0, 2).values, before.values)
