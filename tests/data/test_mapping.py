"""A mapping states names; what it leaves open is guessed; the fields stay unread."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mpp.data.canonical import apply
from mpp.data.guess import letter, looks_like_sample, looks_like_time
from mpp.data.mapping import Mapping
from mpp.errors import InputError
from mpp.schema import example, space_axes, validate


def foreign() -> xr.Dataset:
    """Runs as a physicist may write them: (run, t, lat_y, lon_x), integers, a map, numbers."""
    values = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    dims = ("run", "t", "lat_y", "lon_x")
    return xr.Dataset(
        {
            "u": (dims, values.astype("float32")),
            "v": (dims, values.astype("int16")),
            "T": (dims, values.astype("float64"), {"units": "K"}),
            "nu": ((), 0.25),
            "wall_shape": (("lat_y", "lon_x"), np.ones((4, 5))),
            "land_mask": (("lat_y", "lon_x"), np.ones((4, 5), "int8")),
            "seed": ("run", [3, 5]),
            "label": ("run", ["a", "b"]),
        },
        {
            "t": ("t", np.arange(3) * 0.5, {"units": "Myr"}),
            "lon_x": ("lon_x", np.arange(5.0), {"units": "m"}),
            "lat_y": ("lat_y", np.arange(4.0)[::-1], {"units": "m"}),
        },
    )


def test_guesses_bring_foreign_dims_into_the_schema():
    ds, plan = apply(foreign(), Mapping(boundary={"x": "periodic", "y": "wall open"}), "a.nc")
    assert validate(ds) == []
    assert ds["u"].dims == ("sample", "time", "x", "y")
    assert plan.space == {"x": "lon_x", "y": "lat_y"}
    assert plan.roles["nu"] == plan.roles["seed"] == "parameter"
    assert plan.roles["wall_shape"] == "static"
    assert plan.roles["land_mask"] == "mask"
    assert plan.left_out == {"label": "not numbers"}
    assert ds["temperature"].attrs["units"] == "K"
    assert ds["v"].dtype == np.float32
    assert ds["time"].attrs["units"] == "Myr"


def test_values_follow_their_coordinates_through_order_and_direction():
    source = foreign()
    ds, _ = apply(source, Mapping(boundary="wall"), "a.nc")
    # lat_y falls in the file, so it is turned around; every point keeps its value.
    for x, y in [(0, 3), (4, 0), (2, 1)]:
        wanted = source["u"].sel(lon_x=x, lat_y=y).values
        np.testing.assert_array_equal(ds["u"].sel(x=x, y=y).values, wanted)


def test_a_stated_order_and_stated_names_win():
    mapping = Mapping(
        space=("lat_y", "lon_x"),
        names={"u": "velocity_x", "v": "velocity_y"},
        units={"velocity_x": "m s-1", "v": "m s-1", "t": "s", "lon_x": "km"},
        keep=("u", "velocity_y"),
        boundary="open",
        parameters={"gravity": 9.81},
        system="jet",
    )
    ds, plan = apply(foreign(), mapping, "a.nc")
    assert space_axes(ds) == ("y", "x")
    assert set(ds.data_vars) == {"velocity_x", "velocity_y", "gravity"}
    assert ds["velocity_y"].attrs == {
        "units": "m s-1",
        "symbol": "u_y",
        "vector": "velocity",
        "component": "y",
    }
    assert ds["time"].attrs["units"] == "s"
    assert ds["x"].attrs["units"] == "km"
    assert ds.attrs["system"] == "jet"
    assert plan.left_out["T"] == "not among those to keep"


def test_declared_vectors_name_their_components():
    mapping = Mapping(vectors={"wind": ("u", "v")}, boundary="open")  # type: ignore[arg-type]
    ds, _ = apply(foreign(), mapping, "a.nc")
    assert ds["wind_x"].attrs["vector"] == "wind"
    assert ds["wind_y"].attrs["component"] == "y"


def test_a_file_of_one_run_gets_a_sample_dim_and_a_lone_time_a_time_dim():
    ds = foreign().isel(run=0, t=1).drop_vars(["label", "seed"])
    made, plan = apply(ds, Mapping(boundary="open"), "a.nc")
    assert plan.sample is None
    assert made["u"].shape == (1, 1, 5, 4)
    assert made["time"].values.tolist() == [0.5]


def test_dates_become_numbers_with_a_reference():
    ds = foreign().assign_coords(t=np.array(["2000-01-01", "2000-01-02", "2000-01-03"], "M8[ns]"))
    made, _ = apply(ds, Mapping(boundary="open"), "a.nc")
    # One day has 86400 s.
    assert made["time"].values.tolist() == [0, 86400, 172800]
    assert made["time"].attrs["since"].startswith("2000-01-01")


def test_cf_names_and_attributes_are_understood():
    ds = xr.Dataset(
        {
            "A": (("when", "n0", "n1"), np.zeros((2, 3, 4)), {"standard_name": "eastward_wind"}),
        },
        {
            "when": ("when", [0.0, 1.0], {"standard_name": "time", "units": "days since 2001-1-1"}),
            "n0": ("n0", np.arange(3.0), {"axis": "Y"}),
            "n1": ("n1", np.arange(4.0), {"standard_name": "longitude"}),
        },
    )
    made, _ = apply(ds, Mapping(boundary="open"), "a.nc")
    assert made["velocity_x"].dims == ("sample", "time", "x", "y")
    assert (made["time"].attrs["units"], made["time"].attrs["since"]) == ("days", "2001-1-1")


def test_the_schema_itself_passes_unchanged():
    ds = example(shape=(4, 3, 5))
    made, _ = apply(ds, Mapping(), "a.nc")
    xr.testing.assert_identical(made, ds)


@pytest.mark.parametrize(
    ("name", "axis"), [("lat_y", "y"), ("nx", "x"), ("x1", "x"), ("lev", "z"), ("r", None)]
)
def test_letters(name: str, axis: str | None):
    assert letter(xr.Dataset(), name) == axis


def test_kinds_of_dims():
    empty = xr.Dataset()
    assert looks_like_sample(empty, "ensemble_member")
    assert not looks_like_sample(empty, "x")
    assert looks_like_time(empty, "time_counter")
    assert not looks_like_time(empty, "lat")


def test_yaml_round_trip(tmp_path: Path):
    mapping = Mapping(
        time="t",
        space={"x": "lon", "y": "lat"},
        keep=("u",),
        boundary={"y": "wall open"},
        vectors={"wind": {"x": "u", "y": "v"}},
        parameters={"nu": 0.1},
    )
    path = tmp_path / "mapping.yaml"
    path.write_text(mapping.to_yaml(), encoding="utf-8")
    assert Mapping.from_yaml(path) == mapping


def test_single_entries_go_over_a_mapping():
    base = Mapping(boundary={"x": "wall"}, system="a")
    over = base.over({"boundary": {"y": "open"}, "system": "b"})
    assert over == Mapping(boundary={"x": "wall", "y": "open"}, system="b")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"boundry": "wall", "tme": "t"}, "unknown key boundry, tme"),
        ({"boundary": "sticky"}, "sticky"),
        ({"boundary": {"x": "periodic wall"}}, "periodic on both sides"),
        ({"roles": {"u": "king"}}, "the role of u is 'king'"),
        ({"join": "space"}, "join is 'space'"),
        ({"split": "all"}, "split is 'all'"),
        ({"parameters": {"nu": "small"}}, "parameter nu must be a number"),
        ({"names": ["u"]}, "names must be pairs"),
        ({"keep": 3}, "keep must be a list"),
    ],
)
def test_what_no_mapping_can_say_is_refused(values: dict, message: str):
    with pytest.raises(InputError, match=message):
        Mapping.from_dict(values)


@pytest.mark.parametrize("text", ["[1, 2", "- a\n- b\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "mapping.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"mapping\.yaml"):
        Mapping.from_yaml(path)
    with pytest.raises(InputError, match="cannot read"):
        Mapping.from_yaml(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (Mapping(time="when"), "time='when' is none of its dims"),
        (Mapping(space=("q",)), "must name one to three"),
        (Mapping(names={"q": "density"}), "no variable q"),
        (Mapping(names={"u": "tracer", "v": "tracer"}), "two variables are to be called tracer"),
        (Mapping(keep=("label",)), "label cannot be read .not numbers"),
        (Mapping(boundary={"q": "wall"}), "boundary is given for 'q'"),
        (Mapping(units={"q": "m"}), "units are given for 'q'"),
        (Mapping(vectors={"w": {"x": "q"}}), "no variable 'q'"),
    ],
)
def test_what_the_file_lacks_is_named(mapping: Mapping, message: str):
    with pytest.raises(InputError, match=message):
        apply(foreign(), mapping, "a.nc")


def test_dims_that_cannot_be_told_are_named():
    no_time = xr.Dataset({"u": (("y", "x"), np.zeros((3, 4)))})
    with pytest.raises(InputError, match=r"no time axis among its dims \(y, x\)"):
        apply(no_time, Mapping(), "a.nc")
    parts = xr.Dataset({"u": (("t", "y", "x", "c"), np.zeros((3, 4, 4, 2)))})
    with pytest.raises(InputError, match="'c' looks like components"):
        apply(parts, Mapping(), "a.nc")
    no_space = xr.Dataset({"u": (("t",), np.zeros(3))})
    with pytest.raises(InputError, match="no variable has the time axis"):
        apply(no_space, Mapping(), "a.nc")
