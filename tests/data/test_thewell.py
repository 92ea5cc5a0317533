"""Laws of the engine for The Well: each part of the format gives what was written."""

import pickle

import h5py
import numpy as np
import pytest
import xarray as xr

from mpp import schema
from mpp.data.thewell import TheWellBackend
from mpp.errors import InputError


def open_file(path, **options):
    return xr.open_dataset(path, engine="thewell", **options)


def sides(ds):
    return [ds[axis].attrs["boundary"] for axis in schema.space_axes(ds)]


@pytest.fixture
def edited(well_file, layouts):
    """Writes a file, lets a function change it, and returns its path."""

    def edit(change=None, **options):
        path = well_file(**options)
        if change:
            with h5py.File(path, "r+") as file:
                change(file, layouts)
        return path

    return edit


def conditions(*wanted):
    """Replaces the boundary conditions: each (kind, axes, where true, shape)."""

    def change(file, layouts):
        del file["boundary_conditions"]
        file.create_group("boundary_conditions")
        for number, (kind, axes, where, shape) in enumerate(wanted):
            layouts.write_condition(file, f"bc{number}", kind, axes, where, shape)

    return change


def rewritten(name, values, **flags):
    """Replaces a dataset, keeping its attributes but for those given."""

    def change(file, layouts):
        attrs = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, data=values(attrs) if callable(values) else values)
        file[name].attrs.update({**attrs, **flags})

    return change


def test_fields_are_what_was_written(well_file, layouts, solvers):
    ds = open_file(well_file())
    density, pressure, velocity, strain = layouts.well_arrays(solvers)
    assert schema.validate(ds) == []
    expected = {
        "density": density,
        "pressure": pressure,
        "velocity_x": velocity[..., 0],
        "velocity_y": velocity[..., 1],
        "strain_xx": strain[..., 0, 0],
        "strain_xy": strain[..., 0, 1],
        "strain_yy": strain[..., 1, 1],
    }
    assert schema.names(ds) == tuple(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(ds[name].values, values, err_msg=name)
    assert (ds.velocity_y.attrs["vector"], ds.velocity_y.attrs["component"]) == ("velocity", "y")
    assert ds.strain_xy.attrs["component"] == "xy"
    assert ds.attrs == {
        "system": "euler_toy",
        "dataset_name": "euler_toy",
        "grid_type": "cartesian",
    }


def test_what_does_not_vary_in_time_is_a_static_map(well_file, layouts, solvers):
    ds = open_file(well_file())
    density, pressure, _, _ = layouts.well_arrays(solvers)
    assert schema.names(ds, "static") == ("sound_speed", "gravity")
    expected = np.sqrt(pressure / density)[:, 0]
    np.testing.assert_array_equal(ds.sound_speed.values, expected)
    # Stored along y alone: the same for every x.
    assert ds.gravity.dims == ("x", "y")
    expected = np.broadcast_to((np.arange(8, dtype="f4") + 0.5) / 8, (8, 8))
    np.testing.assert_array_equal(ds.gravity.values, expected)


def test_scalars_of_each_kind_are_parameters(well_file, layouts, solvers):
    ds = open_file(well_file())
    density = layouts.well_arrays(solvers)[0]
    assert schema.names(ds, "parameter") == ("gamma", "seed", "heating", "mass")
    np.testing.assert_allclose(ds.gamma, [5 / 3] * 2, rtol=1e-6)
    assert ds.seed.values.tolist() == [0, 1]
    assert ds.heating.dims == ds.mass.dims == ("sample", "time")
    np.testing.assert_array_equal(ds.heating[1], np.linspace(0, 1, 4, dtype="f4"))
    np.testing.assert_array_equal(ds.mass, density.mean((2, 3)))


def test_simulation_parameters_that_are_no_scalars_are_taken_from_the_root(edited):
    def change(file, layouts):
        file.attrs["simulation_parameters"] = ["gamma", "Re"]
        file.attrs["Re"] = 100.0

    assert open_file(edited(change)).re.values.tolist() == [100, 100]


def test_axes_keep_the_names_of_the_file(well_file):
    ds = open_file(well_file(axes=("theta", "y")))
    assert schema.space_axes(ds) == ("theta", "y")
    assert "velocity_theta" in ds
    assert ds.strain_thetay.attrs["component"] == "thetay"


def test_names_that_differ_in_case_alone_stay_apart(edited):
    def change(file, layouts):
        file["scalars"].move("gamma", "density")
        file["scalars"].attrs["field_names"] = ["density", "seed", "heating", "mass"]

    ds = open_file(edited(change))
    assert ds.density.dims == ("sample", "time", "x", "y")
    assert ds.density_parameter.dims == ("sample",)


def test_flattened_and_unsymmetric_tensors(edited, layouts, solvers):
    strain = layouts.well_arrays(solvers)[3]
    flat = strain.reshape(*strain.shape[:-2], 4)
    ds = open_file(edited(rewritten("t2_fields/strain", flat, symmetric=False)))
    for place, name in enumerate(("strain_xx", "strain_xy", "strain_yx", "strain_yy")):
        np.testing.assert_array_equal(ds[name].values, flat[..., place])
    twisted = rewritten("t2_fields/strain", strain, symmetric=False, antisymmetric=True)
    ds = open_file(edited(twisted, name="twisted.hdf5"))
    assert [name for name in ds if str(name).startswith("strain")] == ["strain_xy"]


def test_axis_without_variation_may_be_stored_with_length_one(edited):
    ds = open_file(edited(rewritten("t0_fields/gravity", np.arange(8, dtype="f4")[None])))
    np.testing.assert_array_equal(ds.gravity[3], np.arange(8))


def test_field_that_all_samples_share_is_repeated(edited):
    one = np.arange(4 * 8 * 8, dtype="f4").reshape(4, 8, 8)
    ds = open_file(edited(rewritten("t0_fields/pressure", one, sample_varying=False)))
    np.testing.assert_array_equal(ds.pressure.values, np.stack([one, one]))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([("WALL", "x", [0], None), ("OPEN", "x", [-1], None)], ["wall open", "open"]),
        ([("OPEN", "x", [0], None), ("WALL", "x", [-1], None)], ["open wall", "open"]),
        ([("wall", "x", [0, -1], None), ("periodic", "y", [0], None)], ["wall", "periodic"]),
        ([("PERIODIC", "x", [], None), ("WALL", "y", [], None)], ["periodic", "wall"]),
        ([("WALL", "x", [-1], None)], ["open wall", "open"]),
        ([("PERIODIC", "xy", slice(None), (8, 8))], ["periodic", "periodic"]),
        ([("WALL", "xy", (slice(None), 0), (8, 8))], ["open", "wall open"]),
        (
            [("DIRICHLET", "x", [0, -1], None), ("NEUMANN", "y", [0, -1], None)],
            ["fixed", "no-flux"],
        ),
        ([], ["open", "open"]),
    ],
)
def test_masks_tell_the_sides_apart(edited, wanted, expected):
    ds = open_file(edited(conditions(*wanted)))
    assert sides(ds) == expected
    assert schema.names(ds, "mask") == ()


def test_walls_inside_the_domain_are_a_mask(edited):
    block = (slice(2, 4), slice(5, 7))
    walls = [("WALL", "yx", block, (8, 8)), ("WALL", "xy", (0, slice(None)), (8, 8))]
    ds = open_file(edited(conditions(*walls)))
    inside = np.ones((8, 8))
    inside[5:7, 2:4] = 0  # the first mask lies over (y, x); the second is the low side of x
    np.testing.assert_array_equal(ds.mask, inside)
    assert (ds.mask.dims, sides(ds)) == (("x", "y"), ["wall open", "open"])
    assert schema.validate(ds) == []


def test_obstacles_may_differ_by_sample(edited):
    def change(file, layouts):
        conditions(("WALL", "xy", (3, 3), (8, 8)))(file, layouts)
        masks = np.zeros((2, 8, 8), bool)
        masks[0, 3, 3] = masks[1, 4, 4] = True
        rewritten("boundary_conditions/bc0/mask", masks)(file, layouts)
        file["boundary_conditions/bc0"].attrs["sample_varying"] = True

    ds = open_file(edited(change))
    assert ds.mask.dims == ("sample", "x", "y")
    assert [int((ds.mask[s] == 0).sum()) for s in range(2)] == [1, 1]
    assert ds.mask[1, 4, 4] == 0
    assert schema.validate(ds) == []


def test_boundary_can_be_overridden(edited):
    path = edited(conditions(("STICKY", "x", [0], None), ("WALL", "y", [0], None)))
    with pytest.raises(InputError, match="got STICKY on x; give boundary="):
        open_file(path)
    assert sides(open_file(path, boundary={"x": "fixed"})) == ["fixed", "wall open"]
    assert sides(open_file(path, boundary="periodic")) == ["periodic", "periodic"]


def test_times_of_each_trajectory_are_merged_when_equal(edited):
    time = np.tile(0.03 * np.arange(4, dtype="f4"), (2, 1))
    ds = open_file(edited(rewritten("dimensions/time", time, sample_varying=True)))
    np.testing.assert_array_equal(ds.time, time[0])


def test_different_times_are_refused_with_a_way_out(edited):
    time = np.outer([1, 2], 0.03 * np.arange(4))
    path = edited(rewritten("dimensions/time", time, sample_varying=True))
    with pytest.raises(InputError, match=r"time differs from trajectory.*samples=\[0\]"):
        open_file(path)
    second = open_file(path, samples=[1])
    np.testing.assert_allclose(second.time, time[1])
    everything = open_file(edited())
    np.testing.assert_array_equal(second.pressure[0], everything.pressure[1])
    assert schema.validate(second) == []


def test_other_names_and_system(well_file):
    ds = open_file(well_file(), names={"pressure": "p"}, system="gas", drop_variables=["mass"])
    assert "p" in ds
    assert "pressure" not in ds
    assert "mass" not in ds
    assert ds.attrs["system"] == "gas"


def test_dataset_survives_pickling(well_file):
    ds = open_file(well_file())
    xr.testing.assert_identical(pickle.loads(pickle.dumps(ds)).load(), ds.load())


def test_window_reads_the_window_alone(well_file, monkeypatch):
    ds, read, plain = open_file(well_file()), [], h5py.Dataset.__getitem__

    def counting(self, key, **options):
        part = plain(self, key, **options)
        read.append(np.size(part))
        return part

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counting)
    ds[["pressure", "velocity_x"]].isel(sample=[1], time=slice(1, 3)).load()
    # Two frames of 8 x 8: one number of pressure, the two of the velocity that lie together.
    assert sum(read) == 2 * 8 * 8 * (1 + 2)


def drop(name):
    def change(file, layouts):
        del file[name]

    return change


def attribute(where, key, value):
    def change(file, layouts):
        file[where].attrs[key] = value

    return change


@pytest.mark.parametrize(
    ("damage", "options", "message"),
    [
        (drop("t0_fields/pressure"), {}, "no dataset pressure"),
        (drop("dimensions/y"), {}, "no dataset y"),
        (drop("dimensions/time"), {}, "not The Well's format"),
        (rewritten("t0_fields/pressure", np.zeros((2, 4, 8, 7))), {}, "expected the dims"),
        (rewritten("t1_fields/velocity", np.zeros((2, 4, 8, 8, 3))), {}, "expected the dims"),
        (rewritten("t0_fields/pressure", np.zeros((2, 4, 8, 8), "c8")), {}, "real numbers"),
        (rewritten("scalars/heating", np.zeros(3)), {}, "scalars/heating has the shape"),
        (rewritten("dimensions/x", np.zeros((2, 2, 8))), {}, "expected one axis"),
        (attribute("dimensions/x", "time_varying", True), {}, "x moves in time"),
        (conditions(("WALL", "x", [0], None), ("OPEN", "x", [0], None)), {}, "low side of x is"),
        (conditions(("WALL", "x", [0], None), ("PERIODIC", "x", [0], None)), {}, "is periodic and"),
        (conditions(("WALL", "z", [0], (8,))), {}, "on the axes x, y, got WALL on z"),
        (rewritten("boundary_conditions/y_wall/mask", np.ones(5)), {}, "its mask has the shape"),
        (
            attribute("boundary_conditions/y_wall", "bc_type", "MELTING"),
            {"boundary": {"x": "open"}},
            "MELTING",
        ),
        (None, {"samples": [2]}, "asks for trajectory 2; the file has 0 to 1"),
        (None, {"samples": []}, "asks for no trajectory"),
        (None, {"names": {"speed": "u"}}, "names= has 'speed'"),
        (None, {"boundary": {"r": "wall"}}, "names the axis 'r'"),
    ],
)
def test_files_and_options_that_do_not_fit_are_refused(edited, damage, options, message):
    path = edited(damage)
    with pytest.raises(InputError, match=message) as caught:
        open_file(path, **options)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_content_is_recognised(well_file, pdebench_file, tmp_path):
    assert TheWellBackend().guess_can_open(well_file()) is True
    text = tmp_path / "a.txt"
    text.write_text("no numbers")
    for other in (pdebench_file("burgers"), text, tmp_path, tmp_path / "none.h5", object()):
        assert TheWellBackend().guess_can_open(other) is False
    with pytest.raises(InputError, match=r"not The Well's format.*found t-coordinate"):
        open_file(pdebench_file("burgers"))
    cut = tmp_path / "cut.h5"
    cut.write_bytes(well_file().read_bytes()[:5000])
    with pytest.raises(InputError, match="cut off"):
        open_file(cut)
