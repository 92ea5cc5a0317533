"""Laws of what a mapping does to grids, for any sizes, positions and selections."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpp.data.interpolate import Interpolated, weights
from mpp.data.lazy import lazy
from mpp.data.mapping import Mapping
from mpp.data.missing import Filled, nearest
from mpp.data.open import open_dataset
from mpp.errors import InputError

POINTS = {"time": 7, "x": 9, "y": 8}
names = st.text("abcxyz", min_size=1, max_size=3)
numbers = st.floats(-1e6, 1e6)
part = st.fixed_dictionaries(
    {},
    optional={"start": st.integers(-9, 9), "stop": st.integers(-9, 9), "every": st.integers(1, 4)},
)
choice = st.one_of(
    st.integers(-9, 9),
    st.lists(st.integers(-5, 5), min_size=1, max_size=3),
    part.filter(bool),
    st.fixed_dictionaries({"value": numbers}),
    st.fixed_dictionaries({"from": numbers}, optional={"to": numbers}),
)


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """A file of two runs of random numbers."""
    path = tmp_path_factory.mktemp("waves") / "a.nc"
    values = np.random.default_rng(0).normal(size=(2, *POINTS.values()))
    coords = {name: 0.5 * np.arange(size) for name, size in POINTS.items()}
    xr.Dataset({"c": (("run", *POINTS), values)}, coords).to_netcdf(path, engine="netcdf4")
    return path


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(parts=st.fixed_dictionaries({}, optional=dict.fromkeys((*POINTS, "run"), part.filter(bool))))
def test_selecting_then_reading_is_reading_then_selecting(waves, parts):
    whole = open_dataset(waves, boundary="open")
    renamed = {("sample" if dim == "run" else dim): slice(*_ends(p)) for dim, p in parts.items()}
    wanted = whole.isel(renamed)
    if 0 in wanted.sizes.values():
        with pytest.raises(InputError, match="leaves nothing"):
            open_dataset(waves, boundary="open", select=parts)
    else:
        xr.testing.assert_identical(open_dataset(waves, boundary="open", select=parts), wanted)


def _ends(stated):
    return stated.get("start"), stated.get("stop"), stated.get("every")


@given(
    steps=st.lists(st.floats(0.01, 10), min_size=1, max_size=12),
    places=st.lists(st.floats(0, 1), min_size=1, max_size=8),
    falls=st.booleans(),
    slope=st.floats(-3, 3),
)
def test_a_linear_function_is_exact_wherever_its_points_are(steps, places, falls, slope):
    x = np.cumsum([0, *steps])
    x = x[::-1].copy() if falls else x
    low, high = x.min() - 0.5 * abs(x[1] - x[0]), x.max() + 0.5 * abs(x[-1] - x[-2])
    if falls:
        low, high = x.min() - 0.5 * abs(x[-1] - x[-2]), x.max() + 0.5 * abs(x[1] - x[0])
    wanted = low + (high - low) * np.array(places)
    source = xr.Variable(("t", "x"), np.stack([1 + slope * x, -slope * x]))
    made = Interpolated(source, "x", weights(x, wanted, "x"))
    values = lazy(("t", "x"), made, {}).values
    np.testing.assert_allclose(values, [1 + slope * wanted, -slope * wanted], atol=1e-9)


@given(shift=st.integers(-9, 9), points=st.integers(2, 9))
def test_around_a_periodic_axis_every_whole_turn_is_the_same(shift, points):
    x = np.arange(points) / points
    values = np.random.default_rng(points).normal(size=points)
    near = np.linspace(0, 1, 7)
    here, there = (
        lazy(("x",), Interpolated(xr.Variable(("x",), values), "x", made), {}).values
        for made in (weights(x, near, "x", 1.0), weights(x, near + shift, "x", 1.0))
    )
    np.testing.assert_allclose(here, there, atol=1e-9)
    assert here[0] == here[-1] == values[0]


def test_points_too_far_outside_are_refused():
    with pytest.raises(InputError, match=r"go from 0 to 1, too short for -0\.6 to 1"):
        weights(np.array([0.0, 1.0]), np.array([-0.6, 1.0]), "x")
    with pytest.raises(InputError, match="neither rise nor fall"):
        weights(np.array([0.0, 2.0, 1.0]), np.array([0.5]), "x")
    with pytest.raises(InputError, match="not below its period 1"):
        weights(np.array([0.0, 0.5, 1.0]), np.array([0.5]), "x", 1.0)


@pytest.mark.parametrize(
    "key",
    [(0,), (slice(1, 3), [2, 0]), (1, slice(None), 3), (slice(0, 0), 1, slice(None, None, -2))],
)
def test_lazy_grids_index_as_arrays(key):
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    values[:, 1, 2:4] = np.nan
    source = xr.Variable(("sample", "time", "x"), values)
    made = weights(np.arange(4.0), np.linspace(0, 3, 7), "time")
    for array in (Interpolated(source, "time", made), Filled(source, None, {"x": True})):
        whole = lazy(source.dims, array, {})
        wanted = xr.Variable(source.dims, whole.values)[key].values
        np.testing.assert_array_equal(lazy(source.dims, array, {})[key].values, wanted)


def test_a_missing_neighbour_spoils_only_what_is_made_of_it():
    values = np.array([0.0, 1.0, np.nan, 3.0])
    made = weights(np.arange(4.0), np.array([0, 0.5, 1, 1.5, 3]), "x")
    read = lazy(("x",), Interpolated(xr.Variable(("x",), values), "x", made), {}).values
    np.testing.assert_array_equal(read, [0, 0.5, 1, np.nan, 3])


def test_the_nearest_value_is_taken_across_a_periodic_side():
    values = np.array([[1.0, np.nan, np.nan, np.nan, 5.0]]).T
    # Two steps from both sides; with one side open as well, 1 and 5 meet in the middle.
    np.testing.assert_array_equal(nearest(values, [False, False])[:, 0], [1, 1, 3, 5, 5])
    lone = np.array([np.nan, np.nan, np.nan, 7.0, 9.0])
    np.testing.assert_array_equal(nearest(lone, [True]), [9, 8, 7, 7, 9])
    assert np.isnan(nearest(np.full(3, np.nan), [True])).all()


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "group": st.lists(names, min_size=1, max_size=3),
            "dims": st.lists(names, min_size=1, max_size=3),
            "channels": st.dictionaries(names, st.lists(names, min_size=1, max_size=3), min_size=1),
            "select": st.dictionaries(names, choice, min_size=1, max_size=3),
            "regrid": st.dictionaries(names, names, min_size=1, max_size=3),
            "missing": st.one_of(
                numbers,
                st.sampled_from(["mask", "nearest"]),
                st.dictionaries(names, st.one_of(numbers, st.just("mask")), min_size=1),
            ),
            "even": st.dictionaries(
                names, st.fixed_dictionaries({}, optional={"points": st.integers(2, 9)}), min_size=1
            ),
        },
    )
)
def test_a_mapping_is_what_its_dictionary_says(entries):
    mapping = Mapping.from_dict(entries)
    assert Mapping.from_dict(mapping.to_dict()) == mapping
    assert set(mapping.to_dict()) == set(entries)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"select": {"z": 1.5}}, "select: z is 1.5; expected the number of a point"),
        ({"select": {"z": {"value": 1, "start": 0}}}, "select: z is"),
        ({"select": {"z": {"start": 0.5}}}, "select: z is"),
        ({"select": {"z": {"every": 0}}}, "select: z is"),
        ({"select": {"z": []}}, "select: z is"),
        ({"select": {"z": True}}, "select: z is True"),
        ({"even": {"x": {"points": 1}}}, "points is 1"),
        ({"even": {"x": {"points": 4, "step": 1.0}}}, "even: x is"),
        ({"even": {"x": {"step": -1}}}, "step is -1"),
        ({"even": {"x": 64}}, "even: x is 64"),
        ({"missing": "drop"}, "missing is 'drop'"),
        ({"missing": float("nan")}, "missing is nan"),
        ({"missing": {"u": "drop"}}, "missing is 'drop'"),
        ({"regrid": ["xf"]}, "regrid must be pairs"),
        ({"channels": {"c": 3}}, "channels c must be a list of names"),
    ],
)
def test_what_a_mapping_cannot_say_of_grids(values, message):
    with pytest.raises(InputError, match=message):
        Mapping.from_dict(values)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"select": {"q": {"every": 2}}}, "select: 'q' is none of its dims"),
        ({"select": {"q": 0}}, "select: 'q' is none of its dims"),
        ({"select": {"x": [9]}}, r"asks for \[9\]; it has 9 points"),
        ({"select": {"x": {"from": 90}}}, "leaves nothing"),
        ({"even": ["q"]}, "even: q is none of its axes"),
        ({"even": {"x": {"period": 9.0}}}, "a period is given but the axis is not periodic"),
        ({"missing": {"q": 0}}, "missing: q is none of its fields"),
        ({"regrid": {"q": "x"}}, "regrid: 'q' is none of its dims"),
        ({"regrid": {"y": "x up"}}, "after the dim of the centres expected nothing, low, high"),
        ({"regrid": {"time": "x low"}}, "low needs as many faces as centres, got 7 and 9"),
        ({"channels": {"y": ["a", "b"]}}, "y is to have 2 points .a, b., but there are 8"),
    ],
)
def test_what_a_file_has_not_is_named(waves, entries, message):
    with pytest.raises(InputError, match=message):
        open_dataset(waves, boundary="open", **entries)
