"""Awkward files: each is read, or refused with the line that reads it; numbers are analytic."""

import pickle
import re

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr

from mpp.cli.main import main
from mpp.data import missing
from mpp.data.convert import convert
from mpp.data.mapping import Mapping, from_lines
from mpp.data.open import open_dataset, read
from mpp.errors import InputError
from mpp.schema import validate

WALLS = {"boundary": "wall"}
FACES = "regrid: {xf: xc, yf: yc}"


def advised(path, **overrides):
    """The first line that the refusal of a file proposes, as entries of a mapping."""
    with pytest.raises(InputError) as error:
        open_dataset(path, **overrides)
    assert "\n" not in str(error.value)
    lines = re.findall(r"`([^`]*)`", str(error.value))
    assert lines, str(error.value)
    return from_lines(lines[:1])


def exact(ds, name, field, **tolerance):
    """Compare with the field at the dataset's own points, in the order time, x, y."""
    wanted = field(ds.time.values, ds.x.values, ds.y.values)
    values = ds[name].isel(sample=0).transpose("time", "x", "y").values
    np.testing.assert_allclose(values, wanted, **{"rtol": 0, "atol": 2e-6, **tolerance})


@pytest.mark.parametrize("sides", ["both", "low", "inner"])
def test_fields_on_faces_are_refused_and_then_brought_to_the_centres(tmp_path, zoo, sides):
    path = zoo.staggered(tmp_path / "a.nc", sides=sides)
    lines = advised(path, **WALLS)
    assert lines == {"regrid": {"xf": "xc", "yf": "yc"}}
    ds = open_dataset(path, **WALLS, **lines)
    assert validate(ds) == []
    for name in ("u", "v", "temperature"):
        exact(ds, name, zoo.linear)
    assert "history" not in ds["temperature"].attrs
    assert ds["u"].attrs["history"] == "interpolated linearly from xf to xc"


def test_faces_of_a_periodic_axis_go_on_at_its_other_side(tmp_path, zoo):
    path = zoo.staggered(tmp_path / "a.nc", zoo.wave, "low", n=32, m=24)
    ds = open_dataset(path, boundary="periodic", regrid={"xf": "xc", "yf": "yc"})
    # The error of linear interpolation is at most h^2 / 8 times the second derivative.
    exact(ds, "u", zoo.wave, atol=(2 * np.pi / 32) ** 2 / 8 + 1e-6)
    exact(ds, "v", zoo.wave, atol=(2 * np.pi / 24) ** 2 / 8 + 1e-6)
    refused = open_dataset(path, boundary="wall", regrid={"xf": "xc", "yf": "yc"})
    with pytest.raises(AssertionError):
        exact(refused, "u", zoo.wave, atol=(2 * np.pi / 32) ** 2 / 8 + 1e-6)


def test_faces_without_positions_are_told_by_their_number(tmp_path, zoo):
    dims = ("west_east", "west_east_stag", "south_north", "south_north_stag")
    path = zoo.staggered(tmp_path / "wrf.nc", positions=False, dims=dims)
    lines = advised(path, **WALLS)
    ds = open_dataset(path, **WALLS, **lines)
    # Cells are numbered where the file gives no positions; the values are those of the centres.
    exact(ds.assign_coords(x=zoo.centres(16), y=zoo.centres(12)), "u", zoo.linear)
    exact(ds.assign_coords(x=zoo.centres(16), y=zoo.centres(12)), "v", zoo.linear)


def test_as_many_faces_as_centres_without_positions_need_a_side(tmp_path, zoo):
    path = zoo.staggered(tmp_path / "a.nc", sides="low", positions=False)
    lines = advised(path, **WALLS)
    assert lines == {"regrid": {"xf": "xc low", "yf": "yc low"}}
    ds = open_dataset(path, **WALLS, **lines)
    exact(ds.assign_coords(x=zoo.centres(16), y=zoo.centres(12)), "u", zoo.linear)
    with pytest.raises(InputError, match="do not tell where the faces are; write `regrid: "):
        open_dataset(path, **WALLS, regrid={"xf": "xc", "yf": "yc"})
    high = open_dataset(path, **WALLS, regrid={"xf": "xc high", "yf": "yc low"})
    assert float((high.u - ds.u).mean()) == pytest.approx(-3 / 16, rel=1e-5)


def test_faces_that_share_the_dims_of_the_centres_are_named_by_variable(tmp_path, zoo):
    for kind, name, x, y in (("T", "theta", 0, 0), ("U", "uo", 0.5, 0), ("V", "vo", 0, 0.5)):
        values = zoo.linear(0.1 * np.arange(3), np.arange(6) + x, np.arange(5) + y)
        ds = xr.Dataset({name: (("time", "x", "y"), values)}, {"time": 0.1 * np.arange(3)})
        ds.to_netcdf(tmp_path / f"grid_{kind}.nc", engine="netcdf4")
    ds = open_dataset(tmp_path, **WALLS, regrid={"uo": "x high", "vo": "y high"})
    assert set(ds.data_vars) == {"theta", "uo", "vo"}
    for name in ds.data_vars:
        exact(ds, name, zoo.linear)
    assert (
        ds["uo"].attrs["history"]
        == "interpolated linearly from the high sides of the cells along x"
    )
    with pytest.raises(InputError, match=re.escape("such as `regrid: {uo: x high}`")):
        open_dataset(tmp_path, **WALLS, regrid={"uo": "x"})


def test_the_grid_of_roms(tmp_path, zoo):
    t, x, y = 0.1 * np.arange(3), np.arange(6), np.arange(5)
    data = {
        "zeta": (("ocean_time", "xi_rho", "eta_rho"), zoo.linear(t, x, y)),
        "ubar": (("ocean_time", "xi_u", "eta_u"), zoo.linear(t, x[:-1] + 0.5, y)),
        "vbar": (("ocean_time", "xi_v", "eta_v"), zoo.linear(t, x, y[:-1] + 0.5)),
    }
    xr.Dataset(data, {"ocean_time": t}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    lines = advised(tmp_path / "a.nc", **WALLS)
    moves = {"xi_u": "xi_rho", "xi_v": "xi_rho same", "eta_u": "eta_rho same", "eta_v": "eta_rho"}
    assert lines == {"regrid": moves}
    ds = open_dataset(tmp_path / "a.nc", **WALLS, **lines)
    for name in ("zeta", "ubar", "vbar"):
        exact(ds, name, zoo.linear)


def test_some_fields_on_faces_can_be_read_alone(tmp_path, zoo):
    path = zoo.staggered(tmp_path / "a.nc")
    with pytest.raises(InputError, match=re.escape("alone with `keep: [T]`")):
        open_dataset(path, **WALLS)
    exact(open_dataset(path, **WALLS, keep=["T"]), "temperature", zoo.linear)


def test_an_uneven_axis_is_read_and_can_be_made_even(tmp_path, zoo):
    path = zoo.stretched(tmp_path / "a.nc")
    plain = open_dataset(path, **WALLS)
    assert [v.severity for v in validate(plain)] == ["warning"]
    exact(plain, "c", zoo.linear)
    for even, points in (({"y": {}}, 24), ({"y": {"points": 50}}, 50), ({"y": {"step": 0.1}}, 11)):
        ds = open_dataset(path, **WALLS, even=even)
        assert validate(ds) == []
        assert ds.sizes["y"] == points
        exact(ds, "c", zoo.linear)
    assert ds["c"].attrs["history"] == "interpolated linearly to 11 even points along y"


def test_interpolation_gives_the_numbers_of_xarrays(tmp_path, zoo):
    path = zoo.stretched(tmp_path / "a.nc", zoo.wave)
    ds = open_dataset(path, **WALLS, even={"y": {"points": 31}, "t": {"step": 0.04}})
    with xr.open_dataset(path, engine="netcdf4") as raw:
        wanted = raw["c"].interp(y=ds.y.values, t=ds.time.values)
    np.testing.assert_allclose(ds["c"][0], wanted.transpose("t", "x", "y"), atol=1e-12)


def test_an_uneven_periodic_axis_needs_its_length(tmp_path, zoo):
    path = tmp_path / "a.nc"
    x = np.sort(np.random.default_rng(0).uniform(0, 0.98, 64))
    t, y = 0.1 * np.arange(3), zoo.centres(8)
    values = {"c": (("t", "x", "y"), zoo.wave(t, x, y))}
    xr.Dataset(values, {"t": t, "x": x, "y": y}).to_netcdf(path, engine="netcdf4")
    lines = advised(path, boundary="periodic", even=["x"])
    ds = open_dataset(path, boundary="periodic", even={"x": {**lines["even"]["x"], "period": 1.0}})
    assert ds.x.values[-1] - ds.x.values[0] == pytest.approx(63 / 64)
    widest = np.diff([*x, x[0] + 1]).max()
    exact(ds, "c", zoo.wave, atol=(2 * np.pi * widest) ** 2 / 8)


def test_land_gets_a_mask_or_values(tmp_path, zoo):
    path = zoo.ocean(tmp_path / "ocean.nc")
    walls = {"boundary": {"lat": "wall"}}
    land = np.isnan(open_dataset(path, **walls)["temperature"].values[0, 0])
    assert 0 < land.sum() < land.size / 4
    masked = open_dataset(path, **walls, missing="mask")
    assert masked["mask"].dims == ("x", "y")
    np.testing.assert_array_equal(masked["mask"].values, ~land)
    zero = open_dataset(path, **walls, missing={"thetao": 0})["temperature"].values[0]
    assert np.all(zero[:, land] == 0)
    filled = open_dataset(path, **walls, missing="nearest")["temperature"]
    known = masked["temperature"].values
    np.testing.assert_array_equal(filled.values[:, :, ~land], known[:, :, ~land])
    assert np.isfinite(filled.values).all()
    # The westernmost land point at 75 N lies beside lon 30 alone; both neighbours are known.
    x, y = np.argwhere(land)[0]
    beside = [(x - 1, y), (x, y - 1)] if not land[x, y - 1] else [(x - 1, y)]
    assert filled.values[0, 0, x, y] == pytest.approx(
        np.mean([known[0, 0, a, b] for a, b in beside])
    )
    part = filled.isel(sample=0, time=slice(1, 3), x=x, y=slice(None, None, 2))
    np.testing.assert_array_equal(part.values, filled.values[0, 1:3, x, ::2])
    assert "nearest" in filled.attrs["history"]


def test_points_that_are_missing_at_times_are_no_mask(tmp_path, zoo):
    path = zoo.ocean(tmp_path / "ocean.nc")
    with netCDF4.Dataset(path, "a") as file:
        file["thetao"][-1, -1, -1] = np.ma.masked
    ds = open_dataset(path, boundary={"lat": "wall"}, missing="mask")
    with pytest.raises(InputError, match="1 that are in its frame 0 or its frame"):
        ds["mask"].load()


def test_each_run_has_its_own_mask(tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    values[0, :, 1, 2] = values[1, :, 3, :] = np.nan
    data = {"u": (("run", "t", "x", "y"), values), "depth": (("x", "y"), values[0, 0])}
    xr.Dataset(data).to_netcdf(tmp_path / "a.nc")
    ds = open_dataset(tmp_path / "a.nc", boundary="open", missing="mask")
    np.testing.assert_array_equal(ds["mask"].values, np.isfinite(values[:, 0]))
    np.testing.assert_array_equal(ds["mask"][1, :, [3, 1]], np.isfinite(values[1, 0])[:, [3, 1]])
    # A map has no frames that a mask could spare: what is missing takes its four neighbours' mean.
    around = [values[0, 0, 0, 2], values[0, 0, 2, 2], values[0, 0, 1, 1], values[0, 0, 1, 3]]
    assert float(ds["depth"][1, 2]) == pytest.approx(np.mean(around), rel=1e-6)


def test_longitude_once_around_the_globe_is_periodic(tmp_path, zoo):
    path = zoo.ocean(tmp_path / "ocean.nc")
    lines = advised(path)
    assert lines == {"boundary": {"y": "KIND"}}
    ds = open_dataset(path, boundary={"y": "wall"})
    assert ds["x"].attrs["boundary"] == "periodic"
    assert "once around 360 degrees" in ds["x"].attrs["boundary_guess"]
    assert np.all(np.diff(ds["y"].values) > 0)
    assert "crs" not in ds
    stated = open_dataset(path, boundary={"lon": "open", "lat": "wall"})
    assert stated["x"].attrs["boundary"] == "open"
    assert "boundary_guess" not in stated["x"].attrs


def test_a_first_longitude_that_comes_again_is_left_out(tmp_path, zoo):
    path = zoo.ocean(tmp_path / "ocean.nc", lon=np.arange(0, 361, 15.0))
    with pytest.raises(InputError, match="last point is the first one again") as error:
        open_dataset(path, boundary={"y": "wall"})
    lines = from_lines([re.findall(r"`([^`]*)`", str(error.value))[-1]])
    assert lines == {"select": {"x": {"stop": -1}}}
    ds = open_dataset(path, boundary={"y": "wall"}, **lines)
    assert (ds.sizes["x"], ds["x"].attrs["boundary"]) == (24, "periodic")
    stated = {"boundary": {"x": "periodic", "y": "wall"}}
    xr.testing.assert_equal(open_dataset(path, **stated, **lines), ds)
    part = open_dataset(path, boundary={"y": "wall", "x": "open"}, select={"lon": {"to": 90}})
    assert part["x"].values.max() == 90


def test_one_of_several_levels(tmp_path, zoo):
    path = zoo.ocean(tmp_path / "ocean.nc", depth=[5.0, 50.0, 200.0])
    walls = {"boundary": {"y": "wall", "z": "wall"}}
    assert open_dataset(path, **walls)["temperature"].dims[2:] == ("x", "y", "z")
    flat = {"boundary": {"y": "wall"}}
    first = open_dataset(path, **flat, select={"depth": 0})
    by_value = open_dataset(path, **flat, select={"depth": {"value": 50}})
    assert first["temperature"].dims[2:] == ("x", "y")
    # Water cools by a degree in a hundred metres.
    cooler = (first["temperature"] - by_value["temperature"]).values
    np.testing.assert_allclose(cooler[np.isfinite(cooler)], 0.45, atol=1e-5)
    assert by_value["temperature"].attrs["history"] == "taken at depth 1 at 50 m"
    by_axis = open_dataset(path, **flat, select={"z": 1})
    np.testing.assert_array_equal(by_axis["temperature"], by_value["temperature"])
    assert by_axis["temperature"].attrs["history"] == "taken at z 1 at 50 m"
    with pytest.raises(InputError, match=r"no point at 60; it has 5, 50, 200"):
        open_dataset(path, **flat, select={"depth": {"value": 60}})
    with pytest.raises(InputError, match=r"no point 50; it has 3.*\{value: 50\}"):
        open_dataset(path, **flat, select={"depth": 50})


def test_one_file_a_time_with_irregular_steps(tmp_path, zoo):
    times = [0, 0.1, 0.25, 0.3, 0.45, 0.5]
    folder = zoo.one_file_a_time(tmp_path, times)
    lines = advised(folder, **WALLS)
    assert lines == {"even": ["time"]}
    ds = open_dataset(folder, **WALLS, **lines)
    # The median step is 0.1.
    np.testing.assert_allclose(ds.time, np.arange(6) * 0.1)
    exact(ds, "density", zoo.linear)
    finer = open_dataset(folder, **WALLS, even={"time": {"step": 0.05}})
    assert finer.sizes["time"] == 11
    exact(finer, "density", zoo.linear)


def test_a_restarted_run_writes_some_frames_again(tmp_path, zoo):
    x, y = zoo.centres(16), zoo.centres(12)
    for number, t in enumerate(([0, 1, 2, 3.0], [2, 3, 4.0], [5.0])):
        field = zoo.linear(t, x, y) + 10 * number
        ds = xr.Dataset({"c": (("t", "x", "y"), field)}, {"t": t, "x": x, "y": y})
        ds.to_netcdf(tmp_path / f"{number}.nc", engine="netcdf4")
    lines = advised(tmp_path, **WALLS)
    assert lines == {"join": "time"}
    ds = open_dataset(tmp_path, **WALLS, **lines)
    assert ds.time.values.tolist() == [0, 1, 2, 3, 4, 5]
    offset = (ds["c"][0] - zoo.linear(ds.time.values, x, y)).mean(("x", "y"))
    np.testing.assert_allclose(offset, [0, 0, 10, 10, 10, 20], atol=1e-6)


def test_a_file_that_a_restart_went_on_writing(tmp_path, zoo):
    x, y, t = zoo.centres(16), zoo.centres(12), np.array([0, 1, 2, 3, 1.5, 2.5, 3.5])
    field = zoo.linear(t, x, y) + (np.arange(7) > 3)[:, None, None]
    ds = xr.Dataset({"c": (("t", "x", "y"), field)}, {"t": t, "x": x, "y": y})
    ds.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    lines = advised(tmp_path / "a.nc", **WALLS)
    assert lines == {"join": "time"}
    assert advised(tmp_path / "a.nc", **WALLS, even=["time"]) == lines
    ds = open_dataset(tmp_path / "a.nc", **WALLS, **lines, even=["time"])
    np.testing.assert_allclose(ds.time, [0, 1, 2, 3])
    offset = (ds["c"][0] - zoo.linear(ds.time.values, x, y)).mean(("x", "y"))
    # Frames 0, 1, 1.5, 2.5 and 3.5 are left; from 1.5 on they are the restarted run's.
    np.testing.assert_allclose(offset, [0, 0, 1, 1], atol=1e-6)


def test_one_file_a_variable(tmp_path, zoo):
    zoo.staggered(tmp_path / "all.nc")
    with xr.open_dataset(tmp_path / "all.nc", engine="netcdf4") as raw:
        centre = raw[["T"]].load()
    folder = tmp_path / "split"
    folder.mkdir()
    centre.to_netcdf(folder / "a.nc", engine="netcdf4")
    centre.rename(T="S").to_netcdf(folder / "b.nc", engine="netcdf4")
    ds = open_dataset(folder, **WALLS)
    assert set(ds.data_vars) == {"temperature", "s"}
    exact(ds, "s", zoo.linear)
    centre.isel(time=slice(2)).rename(T="S").to_netcdf(tmp_path / "c.nc", engine="netcdf4")
    with pytest.raises(InputError, match="different fields must share their times"):
        open_dataset([folder / "a.nc", tmp_path / "c.nc"], **WALLS)


def test_the_only_group_is_read(tmp_path, zoo):
    ds = open_dataset(zoo.grouped(tmp_path / "a.nc", {"gas": {"rho": 1}}), **WALLS)
    exact(ds, "density", zoo.linear)
    assert float(ds["nu"]) == pytest.approx(0.01)


def test_groups_are_named_and_chosen_or_joined(tmp_path, zoo):
    path = zoo.grouped(tmp_path / "a.nc", {"gas": {"rho": 1}, "dust/small": {"rho": 2, "n": 3}})
    lines = advised(path, **WALLS)
    assert lines == {"group": "dust/small"}
    exact(open_dataset(path, **WALLS, **lines) / 2, "density", zoo.linear)
    both = open_dataset(path, **WALLS, group=["gas", "dust/small"])
    assert set(both.data_vars) == {"gas_rho", "dust_small_rho", "n", "nu"}
    for name, factor in (("gas_rho", 1), ("dust_small_rho", 2), ("n", 3)):
        exact(both / factor, name, zoo.linear)
    assert not both["n"].variable._in_memory
    with pytest.raises(InputError, match="no group 'ice'; it has dust/small, gas"):
        open_dataset(path, **WALLS, group="ice")


def test_groups_beside_what_is_read_are_told(tmp_path, zoo):
    path = zoo.bare(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["extra/q"] = np.zeros((4, 16, 12))
    told = read(path, Mapping()).plan.left_out
    assert told == {"extra/": "a group; `group: extra` reads it"}


def test_a_part_of_a_dim_that_is_no_axis_is_refused(tmp_path, zoo):
    path = zoo.staggered(tmp_path / "a.nc")
    lines = {"keep": ["T"], "select": {"xf": {"every": 2}}}
    with pytest.raises(InputError, match=re.escape("read, such as `select: {xf: 0}`")):
        open_dataset(path, **WALLS, **lines)


def test_groups_with_the_same_variables_are_runs(tmp_path, zoo):
    path = zoo.grouped(tmp_path / "a.nc", {f"run_{k}": {"rho": k + 1} for k in range(12)})
    groups = "run_*"
    ds = open_dataset(path, **WALLS, group=groups)
    assert advised(path, **WALLS) == {"group": "run_0"}
    assert ds.sizes["sample"] == 12
    np.testing.assert_allclose(ds["density"][11], 12 * ds["density"][0])
    fields = open_dataset(path, **WALLS, group=groups, join="fields")
    assert (fields.sizes["sample"], len(fields.data_vars)) == (1, 13)


def test_groups_of_a_zarr_store(tmp_path, zoo):
    with xr.open_dataset(zoo.staggered(tmp_path / "a.nc"), engine="netcdf4") as raw:
        raw[["T"]].to_zarr(tmp_path / "a.zarr", group="out/centres", consolidated=False)
        raw[["u"]].to_zarr(tmp_path / "a.zarr", group="out/faces", consolidated=False, mode="a")
    lines = advised(tmp_path / "a.zarr", **WALLS)
    exact(open_dataset(tmp_path / "a.zarr", **WALLS, **lines), "temperature", zoo.linear)
    groups = {"group": ["out/centres", "out/faces"]}
    ds = open_dataset(tmp_path / "a.zarr", **WALLS, **groups, regrid={"xf": "xc"})
    exact(ds, "u", zoo.linear)


@pytest.mark.parametrize("name", ["a.h5", "a.zarr"])
def test_arrays_without_names_of_dims(tmp_path, zoo, name):
    path = zoo.bare(tmp_path / name)
    exact(open_dataset(path, **WALLS), "u", zoo.linear)  # The sizes tell where x, y and t belong.
    with pytest.raises(InputError, match=r"dims names 2 \(t, x\), but its arrays have 1, 3"):
        open_dataset(path, **WALLS, dims=["t", "x"])
    ds = open_dataset(path, **WALLS, dims=["t", "x", "y"])
    assert not ds["u"].variable._in_memory
    exact(ds, "u", zoo.linear)


@pytest.mark.parametrize("name", ["a.h5", "a.zarr"])
def test_dims_without_names_that_are_as_long_as_each_other(tmp_path, zoo, name):
    path = zoo.bare(tmp_path / name, n=8, m=8)
    lines = advised(path, **WALLS)
    assert lines == {"dims": ["time", "x", "y"]}
    ds = open_dataset(path, **WALLS, **lines)
    assert ds.x.values.tolist() == zoo.centres(8).tolist()
    path = zoo.bare(tmp_path / f"4{name}", n=4, m=4)
    exact(open_dataset(path, **WALLS, dims=["t", "x", "y"]), "u", zoo.linear)


@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((9, 8), ["time", "x"]),
        ((9, 8, 8), ["time", "x", "y"]),
        ((3, 9, 8, 6), ["sample", "time", "x", "y"]),
        ((9, 8, 8, 8), ["time", "x", "y", "z"]),
        ((3, 9, 8, 8, 8), ["sample", "time", "x", "y", "z"]),
        ((3, 9, 8, 6, 2), ["sample", "time", "x", "y", "component"]),
    ],
)
def test_dims_that_sizes_suggest(tmp_path, shape, dims):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["u"] = np.random.default_rng(0).normal(size=shape)
    assert advised(tmp_path / "a.h5", **WALLS) == {"dims": dims}
    if "component" not in dims:
        assert open_dataset(tmp_path / "a.h5", **WALLS, dims=dims)["u"].size == np.prod(shape)


def test_a_lone_zarr_array_is_refused(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((3, 4)))
    with pytest.raises(InputError, match="a single array; put it into a Zarr group"):
        open_dataset(tmp_path / "a.zarr")


def test_labels_and_scales_of_dedalus(tmp_path, zoo):
    path = zoo.dedalus(tmp_path / "a.h5")
    lines = advised(path, **WALLS)
    assert lines == {"group": "scales"}
    assert advised(path, **WALLS, group="tasks") == {"time": "sim_time"}
    ds = open_dataset(path, **WALLS, group="tasks", time="sim_time")
    exact(ds, "b", zoo.linear)
    clock = open_dataset(path, **WALLS, group="tasks", time="wall_time")
    np.testing.assert_allclose(clock.time, 7 * ds.time)


def test_fields_without_coordinates_are_numbered(tmp_path, zoo):
    field = zoo.linear(np.arange(3), np.arange(5), np.arange(4))
    xr.Dataset({"c": (("t", "x", "y"), field)}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    ds = open_dataset(tmp_path / "a.nc", **WALLS)
    exact(ds, "c", zoo.linear)
    assert ds.x.values.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("units", "wanted"),
    [("seconds since start", "s"), ("days", "days"), (None, "1"), ("hours since 0", "hours")],
)
def test_times_without_an_epoch(tmp_path, zoo, units, wanted):
    t, x, y = 0.5 * np.arange(4), zoo.centres(6), zoo.centres(5)
    for number in range(2):
        raw = xr.Dataset(
            {"c": (("t", "x", "y"), zoo.linear(t + 2 * number, x, y))},
            {"t": ("t", t + 2 * number, {"units": units} if units else {}), "x": x, "y": y},
        )
        raw.to_netcdf(tmp_path / f"{number}.nc", engine="netcdf4")
    ds = open_dataset(tmp_path, **WALLS)
    assert ds.time.attrs["units"] == wanted
    exact(ds, "c", zoo.linear)
    if units == "seconds since start":
        raw["t"].attrs["units"] = "seconds since restart"
        raw.to_netcdf(tmp_path / "2.nc", engine="netcdf4")
        with pytest.raises(InputError, match=r"2\.nc: its time counts s since restart, that of"):
            open_dataset(tmp_path, **WALLS)


def test_numbers_constants_and_foreign_names_among_fields(tmp_path, zoo):
    t, x, y = 0.1 * np.arange(4), zoo.centres(6), zoo.centres(5)
    dims = ("step", "east", "north")
    xr.Dataset(
        {
            "Konzentration": (dims, zoo.linear(t, x, y)),
            "still": (dims, np.full((4, 6, 5), 7.0)),
            "Re": ((), 100.0),
            "dt": ("step", np.full(4, 0.1)),
            "code": ((), "solver 1.2"),
        }
    ).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    ds = open_dataset(tmp_path / "a.nc", **WALLS, names={"Konzentration": "tracer"})
    assert (float(ds["Re"] if "Re" in ds else ds["re"]), ds["dt"].dims) == (100, ("sample", "time"))
    assert np.all(ds["still"] == 7)
    np.testing.assert_allclose(ds["tracer"][0], zoo.linear(t, x, y))


def test_a_dim_of_channels_is_taken_apart(tmp_path, zoo):
    t, x, y = 0.1 * np.arange(4), zoo.centres(6), zoo.centres(5)
    values = np.stack([zoo.linear(t, x, y), -zoo.linear(t, x, y)], 1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = values
    path = tmp_path / "a.h5"
    for name, values in (("x", x), ("y", y), ("t", t)):
        with h5py.File(path, "a") as file:
            file[name] = values
    dims = {"dims": ["t", "c", "x", "y"]}
    lines = advised(path, **WALLS, **dims)
    assert lines == {"channels": {"c": ["field_0", "field_1"]}}
    ds = open_dataset(path, **WALLS, **dims, channels={"c": ["rho", "p"]})
    exact(ds, "density", zoo.linear)
    exact(-ds, "pressure", zoo.linear)
    assert list(open_dataset(path, **WALLS, **dims, select={"c": 1}).data_vars) == ["data"]


def test_a_mesh_is_refused(tmp_path):
    points = np.random.default_rng(0).uniform(size=(2, 50))
    ds = xr.Dataset(
        {"T": (("time", "ncells"), np.zeros((3, 50)))},
        {"clon": ("ncells", points[0]), "clat": ("ncells", points[1])},
    )
    ds = ds.rename(clon="lon", clat="lat")
    ds.to_netcdf(tmp_path / "mesh.nc", engine="netcdf4")
    with pytest.raises(InputError, match="ncells is a list of 50 points with lon and lat"):
        open_dataset(tmp_path / "mesh.nc", **WALLS)


def test_parts_of_a_periodic_axis_are_not_periodic(tmp_path, zoo):
    path = zoo.staggered(tmp_path / "a.nc", zoo.wave, n=16)
    kept = {"keep": ["T"], "boundary": "periodic"}
    assert open_dataset(path, **kept, select={"xc": {"every": 4}}).sizes["x"] == 4
    for part in ({"every": 3}, {"start": 4}, {"from": 0.2, "to": 0.5}):
        lines = advised(path, **kept, select={"xc": part})
        assert lines == {"boundary": {"x": "open"}}
        ds = open_dataset(
            path, keep=["T"], boundary={"y": "periodic", **lines["boundary"]}, select={"xc": part}
        )
        exact(ds, "temperature", zoo.wave)
    assert np.all((ds.x >= 0.2) & (ds.x <= 0.5))


def test_a_window_reads_its_neighbours_only(tmp_path, zoo, points_read):
    path = zoo.staggered(tmp_path / "a.nc", frames=40)
    mapping = {"regrid": {"xf": "xc", "yf": "yc"}, "even": {"time": {"step": 0.15}}}
    ds = open_dataset(path, **WALLS, **mapping)
    points_read.clear()
    again = pickle.loads(pickle.dumps(ds))
    again["u"].isel(time=slice(2, 4), y=5).load()
    # Times 0.3 and 0.45 stand on frame 3 and between 4 and 5: three frames of 17 faces.
    assert sum(points_read) == 3 * 17


def test_the_converter_writes_it_with_its_history(tmp_path, zoo):
    path = zoo.staggered(tmp_path / "a.nc", frames=6)
    entries = {
        "boundary": "wall",
        "regrid": {"xf": "xc", "yf": "yc"},
        "select": {"time": {"every": 2}},
        "even": {"yc": {"points": 6}},
    }
    for name in ("b.nc", "b.zarr"):
        out = convert(path, tmp_path / name, Mapping.from_dict(entries))
        xr.testing.assert_allclose(open_dataset(out), open_dataset(path, **entries))
        assert open_dataset(out)["v"].attrs["history"] == (
            "interpolated linearly from yf to yc; interpolated linearly to 6 even points along y"
        )
        assert Mapping.from_dict(from_lines([open_dataset(out).attrs["mapping"]])) == (
            Mapping.from_dict(entries)
        )
        exact(open_dataset(out), "v", zoo.linear)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["faces", "land", "irregular times", "groups"])
def test_what_was_awkward_trains(tmp_path, zoo, kind):
    path, lines = tmp_path / "in", ["boundary: wall"]
    if kind == "faces":
        path, lines = zoo.staggered(tmp_path / "a.nc", frames=24), [*lines, FACES]
    elif kind == "land":
        path, lines = zoo.ocean(tmp_path / "a.nc", frames=24), [*lines, "missing: mask"]
    elif kind == "groups":
        made = zoo.grouped(tmp_path / "a.nc", {"run_0": {"c": 1}, "run_1": {"c": 2}}, frames=24)
        path, lines = made, [*lines, "group: run_*"]
    else:
        path.mkdir()
        times = np.cumsum(np.random.default_rng(0).uniform(0.05, 0.15, 30))
        path, lines = zoo.one_file_a_time(path, times), [*lines, "even: time"]
    words = [word for line in lines for word in ("--set", line)]
    saved = str(tmp_path / "mapping.yaml")
    assert main(["doctor", str(path), *words, "--save-mapping", saved]) == 0
    out = str(tmp_path / "b.nc")
    assert main(["convert", str(path), "--out", out, "--mapping", saved]) == 0
    tuned = ["--data", out, "--out", str(tmp_path / "tuned")]
    assert main(["finetune", "--checkpoint", "mpp-mini", *tuned, "--max-steps", "2"]) == 0


def test_lines_on_the_command_line(tmp_path, zoo, capsys):
    path = str(zoo.staggered(tmp_path / "a.nc"))
    out = str(tmp_path / "b.nc")
    assert main(["convert", path, "--out", out, "--boundary", "wall"]) == 2
    line = re.findall(r"`([^`]*)`", capsys.readouterr().err)[0]
    words = ["--boundary", "wall", "--set", line, "--set", "select: {time: {stop: 3}}"]
    assert main(["doctor", path, *words]) == 0
    assert main(["convert", path, "--out", out, *words]) == 0
    assert open_dataset(out).sizes["time"] == 3
    assert main(["convert", path, "--out", out, "--set", "nonsense"]) == 2
    assert "expected a line 'key: value'" in capsys.readouterr().err


@pytest.mark.parametrize("frame", [0, 7, 29])
def test_a_point_that_one_frame_lacks_is_no_mask(tmp_path, frame, monkeypatch):
    monkeypatch.setattr(missing, "BLOCK_BYTES", 5 * 4 * 8 * 4)  # four frames at a time
    values = np.random.default_rng(0).normal(size=(2, 30, 5, 4))
    values[:, :, 1, 2] = np.nan
    data = {"u": (("run", "t", "x", "y"), values)}
    xr.Dataset(data).to_netcdf(tmp_path / "a.nc")
    sound = open_dataset(tmp_path / "a.nc", boundary="open", missing="mask")
    assert (sound["mask"].values == 0).sum() == 2
    values[1, frame, 3, 3] = np.nan
    xr.Dataset(data).to_netcdf(tmp_path / "b.nc")
    ds = open_dataset(tmp_path / "b.nc", boundary="open", missing="mask")
    ds["mask"].isel(sample=0).load()
    told = f"run 1 has 1 that are in its frame 0 or its frame {frame or 1} alone; fill them with"
    with pytest.raises(InputError, match=told):
        ds["mask"].isel(sample=1).load()


def test_a_mask_is_found_at_constant_memory(tmp_path):
    import tracemalloc

    path, frames = tmp_path / "a.nc", 3000
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("t", frames), ("x", 100), ("y", 100)):
            file.createDimension(name, size)
        file.createVariable("u", "f4", ("t", "x", "y"), chunksizes=(10, 100, 100))
        for start in range(0, frames, 500):
            file["u"][start : start + 500] = np.ones((500, 100, 100), "f4")
    ds = open_dataset(path, boundary="open", missing="mask")
    tracemalloc.start()
    assert ds["mask"].values.all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < ds["u"].nbytes / 2
