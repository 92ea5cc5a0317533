"""Laws of the PDEBench engine: every layout gives what was written, as the schema has it."""

import importlib.metadata
import pickle
import subprocess
import sys

import h5py
import numpy as np
import pytest
import xarray as xr

from mpp import schema
from mpp.data.open import open_dataset
from mpp.data.pdebench import PDEBenchBackend
from mpp.errors import InputError

EXPECTED = {
    "shallow_water": ("shallow_water", ["open", "open"], {"gravity": [1.0, 1.0]}),
    "diffusion_reaction": (
        "diffusion_reaction",
        ["no-flux", "no-flux"],
        {"diffusivity_activator": [1e-3] * 3, "diffusivity_inhibitor": [5e-3] * 3, "k": [5e-3] * 3},
    ),
    "diffusion_sorption": (
        "diffusion_sorption",
        ["fixed open"],
        {"diffusivity": [5e-4] * 2, "porosity": [0.29] * 2, "bulk_density": [2880] * 2},
    ),
    "compressible_1d": ("compressible_flow", ["periodic"], {"eta": [0.01] * 2, "zeta": [0.02] * 2}),
    "compressible_2d": ("compressible_flow", ["periodic"] * 2, {"mach_number": [0.1] * 2}),
    "compressible_3d": ("compressible_flow", ["periodic"] * 3, {"mach_number": [0.1] * 2}),
    "incompressible": ("incompressible_flow", ["fixed", "fixed"], {"viscosity": [0.01] * 2}),
    "advection": ("advection", ["periodic"], {"beta": [0.4] * 2}),
    "burgers": ("burgers", ["periodic"], {"nu": [0.01] * 2}),
}


def open_file(path, **options):
    return xr.open_dataset(path, engine="pdebench", **options)


def sides(ds):
    return [ds[axis].attrs["boundary"] for axis in schema.space_axes(ds)]


def numbers(ds):
    return {name: ds[name].values.tolist() for name in schema.names(ds, "parameter")}


@pytest.mark.parametrize("layout", EXPECTED)
def test_every_layout_gives_what_was_written(pdebench_file, layout):
    ds = open_file(pdebench_file(layout))
    system, boundary, parameters = EXPECTED[layout]
    assert schema.validate(ds) == []
    assert ds.attrs["system"] == system
    assert sides(ds) == boundary
    assert parameters.items() <= numbers(ds).items()
    for name, values in pdebench_file.truth.items():
        written = values.astype(ds[name].dtype)
        np.testing.assert_array_equal(ds[name].values, written, err_msg=name)
    assert set(schema.names(ds)) <= set(pdebench_file.truth)


@pytest.mark.parametrize("layout", EXPECTED)
def test_dataset_survives_pickling(pdebench_file, layout):
    ds = open_file(pdebench_file(layout))
    xr.testing.assert_identical(pickle.loads(pickle.dumps(ds)).load(), ds.load())


def test_vector_components_and_static_maps_say_what_they_are(pdebench_file):
    ds = open_file(pdebench_file("incompressible"))
    assert ds.velocity_y.attrs["vector"] == "velocity"
    assert ds.velocity_y.attrs["component"] == "y"
    assert ds.force_x.attrs["role"] == "static"
    assert ds.force_x.dims == ("sample", "x", "y")
    # The centres of 16 cells on the unit square, which the file itself does not say.
    np.testing.assert_allclose(ds.x, (np.arange(16) + 0.5) / 16)


def test_domain_size_scales_the_cells_without_coordinates(pdebench_file):
    config = "NU: 0.01\ndomain_size: [2, 0.5]\nvelocity_extrapolation: PERIODIC\n"
    ds = open_file(pdebench_file("incompressible", config=config))
    np.testing.assert_allclose(ds.x, (np.arange(16) + 0.5) / 8)
    np.testing.assert_allclose(ds.y, (np.arange(16) + 0.5) / 32)
    assert sides(ds) == ["periodic", "periodic"]


def test_group_names_may_start_anywhere_and_have_gaps(pdebench_file):
    ds = open_file(pdebench_file("diffusion_reaction", start=7, step=5))
    assert ds.sample.values.tolist() == ["0007", "0012", "0017"]
    third = ds.activator.sel(sample="0017").values
    np.testing.assert_array_equal(third, pdebench_file.truth["activator"][2].astype("f4"))


def test_parameters_may_differ_by_trajectory(pdebench_file):
    assert numbers(open_file(pdebench_file("shallow_water")))["dam_radius"] == [0.5, 1.0]


def test_groups_sort_by_number(pdebench_file):
    # As words 10000 comes before 9998.
    ds = open_file(pdebench_file("shallow_water", start=9998, step=2))
    assert ds.sample.values.tolist() == ["9998", "10000"]


def test_axes_stored_the_other_way_round_are_turned(pdebench_file):
    path = pdebench_file("diffusion_reaction")
    with h5py.File(path, "r+") as file:
        for name in file:
            turned = file[name]["data"][()].swapaxes(1, 2)
            del file[name]["data"]
            file[name]["data"] = turned
    ds = open_file(path)
    assert dict(ds.sizes) == {"sample": 3, "time": 5, "x": 16, "y": 12}
    truth = pdebench_file.truth["activator"].astype("f4")
    np.testing.assert_array_equal(ds.activator.values, truth)
    np.testing.assert_array_equal(ds.activator[1, 2, 3:5, [7, 1]], truth[1, 2, 3:5][:, [7, 1]])


@pytest.mark.parametrize("extra", [0, 1])
def test_times_one_longer_than_the_data_lose_the_last(pdebench_file, extra):
    ds = open_file(pdebench_file("compressible_2d", extra_time=extra))
    np.testing.assert_allclose(ds.time, 0.03 * np.arange(4), rtol=1e-6)


def test_cell_faces_become_centres(pdebench_file):
    path = pdebench_file("compressible_1d")
    with h5py.File(path, "r+") as file:
        del file["x-coordinate"]
        file["x-coordinate"] = np.linspace(0, 1, 9)
    np.testing.assert_allclose(open_file(path).x, (np.arange(8) + 0.5) / 8)


def test_grids_are_kept_as_they_are(pdebench_file):
    path = pdebench_file("burgers")
    with h5py.File(path, "r+") as file:
        file["x-coordinate"][...] = np.arange(16) ** 2
    ds = open_file(path)
    np.testing.assert_array_equal(ds.x, np.arange(16) ** 2)
    assert [violation.severity for violation in schema.validate(ds)] == ["warning"]


def test_one_run_without_a_sample_axis_is_one_sample(pdebench_file):
    path = pdebench_file("compressible_2d")
    with h5py.File(path, "r+") as file:
        for name in ("Vx", "Vy", "density", "pressure"):
            run = file[name][1]
            del file[name]
            file[name] = run
    ds = open_file(path)
    assert ds.sizes["sample"] == 1
    truth = pdebench_file.truth["density"][1:].astype("f4")
    np.testing.assert_array_equal(ds.density.values, truth)


@pytest.mark.parametrize(
    ("name", "numbers_told"),
    [
        ("2D_CFD_Rand_M0.1_Eta0.01_Zeta0.02_periodic_128_Train.hdf5", (0.01, 0.02, 0.1)),
        ("2D_CFD_Turb_M1.0_Eta1e-08_Zeta1e-08_periodic_512_Train.hdf5", (1e-8, 1e-8, 1.0)),
        ("KH_M01_dk10_Re1e3.hdf5", (None, None, 0.1)),
        ("Turb_M4.hdf5", (None, None, 4.0)),
        ("OTVortex.hdf5", (None, None, None)),
    ],
)
def test_file_name_gives_the_numbers_that_attributes_lack(pdebench_file, name, numbers_told):
    found = numbers(open_file(pdebench_file("compressible_2d", name, attrs={})))
    expected = dict(zip(("eta", "zeta", "mach_number"), numbers_told, strict=True))
    assert found == {key: [value] * 2 for key, value in expected.items() if value is not None}


def test_attributes_win_over_the_file_name(pdebench_file):
    name = "2D_CFD_Rand_M0.1_Eta0.5_Zeta0.5_periodic_128_Train.hdf5"
    assert numbers(open_file(pdebench_file("compressible_2d", name)))["eta"] == [0.01] * 2


@pytest.mark.parametrize(
    ("name", "boundary"),
    [
        ("1D_CFD_Rand_Eta1.e-8_Zeta1.e-8_trans_Train.hdf5", ["open"]),
        ("1D_CFD_Shock_Eta1.e-8_Zeta1.e-8_trans_Train.hdf5", ["open"]),
        ("Sod3.hdf5", ["open"]),
        ("1D_CFD_Rand_Eta0.1_Zeta0.1_periodic_Train.hdf5", ["periodic"]),
        ("mine.hdf5", ["periodic"]),
    ],
)
def test_file_name_tells_the_sides_of_compressible_flow(pdebench_file, name, boundary):
    assert sides(open_file(pdebench_file("compressible_1d", name))) == boundary


def test_kelvin_helmholtz_is_periodic_along_the_stream_alone(pdebench_file):
    ds = open_file(pdebench_file("compressible_2d", "KH_M01_dk10_Re1e3.hdf5"))
    assert sides(ds) == ["periodic", "open"]


@pytest.mark.parametrize(
    ("attrs", "name", "system"),
    [
        ({"beta": 0.4}, "a.hdf5", "advection"),
        ({}, "1D_Advection_Sols_beta0.4.hdf5", "advection"),
        ({"Nu": 0.01}, "a.hdf5", "burgers"),
        ({}, "1D_Burgers_Sols_Nu0.01.hdf5", "burgers"),
        ({"Nu": 0.5, "rho": 1.0}, "a.hdf5", "reaction_diffusion"),
        ({}, "ReacDiff_Nu0.5_Rho1.0.hdf5", "reaction_diffusion"),
    ],
)
def test_attributes_or_file_name_tell_the_scalar_equations_apart(
    pdebench_file, attrs, name, system
):
    ds = open_file(pdebench_file("burgers", name, attrs=attrs))
    assert ds.attrs["system"] == system
    assert len(schema.names(ds, "parameter")) == (2 if "reaction" in system else 1)


def test_scalar_equation_without_a_hint_must_be_told(pdebench_file):
    path = pdebench_file("burgers", "a.hdf5", attrs={})
    with pytest.raises(InputError, match="system='burgers'"):
        open_file(path)
    assert open_file(path, system="burgers").attrs["system"] == "burgers"
    told = open_dataset(path, system="burgers")
    assert (told.attrs["system"], schema.names(told)) == (
        "burgers",
        schema.names(open_file(path, system="burgers")),
    )
    with pytest.raises(InputError, match="sides of x is not known"):
        open_file(path, names=["wave"])
    ds = open_file(path, names=["wave"], boundary="wall", system="string")
    assert (schema.names(ds), sides(ds), ds.attrs["system"]) == (("wave",), ["wall"], "string")


def test_shape_tells_the_trajectory_sets_apart_without_any_hint(pdebench_file):
    for layout in ("shallow_water", "diffusion_reaction", "diffusion_sorption"):
        path = pdebench_file(layout, "a.h5")
        with h5py.File(path, "r+") as file:
            for group in file.values():
                group.attrs.clear()
        assert open_file(path).attrs["system"] == layout


def test_configuration_wins_over_name_and_shape(pdebench_file):
    path = pdebench_file("shallow_water", "1D_diff-sorp_NA_NA.h5")
    assert open_file(path).attrs["system"] == "shallow_water"


def test_overrides(pdebench_file):
    path = pdebench_file("diffusion_reaction")
    ds = open_file(
        path,
        names=["u", "v"],
        boundary={"y": "wall open"},
        system="turing",
        drop_variables="k",
    )
    assert schema.names(ds) == ("u", "v")
    assert sides(ds) == ["no-flux", "wall open"]
    assert ds.attrs["system"] == "turing"
    assert "k" not in ds
    assert sides(open_file(path, boundary="periodic")) == ["periodic", "periodic"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["u"]}, "expected 2 different names"),
        ({"names": ["u", "u"]}, "expected 2 different names"),
        ({"system": "shallow_water"}, "expected 2 different names.*got height"),
        ({"boundary": {"z": "wall"}}, "names the axis 'z'"),
        ({"boundary": "sticky"}, "'sticky' is not one or two of"),
        ({"boundary": {"x": "periodic wall"}}, "periodic on both sides or on neither"),
    ],
)
def test_overrides_that_do_not_fit_are_refused(pdebench_file, options, message):
    with pytest.raises(InputError, match=message):
        open_file(pdebench_file("diffusion_reaction"), **options)


def test_darcy_flow_is_refused_because_it_is_steady(pdebench_file):
    with pytest.raises(InputError, match="Darcy flow is steady"):
        open_file(pdebench_file("darcy"))


def change_every(key, value):
    def every(file):
        for name in file:
            change(f"{name}/{key}", value)(file)

    return every


def change(key, value):
    def one(file):
        del file[key]
        if value is not None:
            file[key] = value

    return one


@pytest.mark.parametrize(
    ("layout", "damage", "message"),
    [
        ("diffusion_reaction", change("0001/data", None), "no dataset data"),
        ("diffusion_reaction", change("0001/data", np.zeros((5, 8, 8, 2))), "different shapes"),
        ("diffusion_reaction", change("0002/grid/t", np.arange(5.0)), "grid/t of 0002 and of 0000"),
        ("diffusion_reaction", change("0000/grid/y", None), r"expected \(time, \*axes, channel\)"),
        (
            "diffusion_reaction",
            change("0002/grid/y", np.arange(11.0)),
            "grid/y of 0002 and of 0000",
        ),
        ("shallow_water", change_every("grid/y", np.arange(11.0)), "lengths must agree"),
        ("shallow_water", change("0000/data", np.zeros((5, 16, 16, 1), "c8")), "real numbers"),
        ("compressible_2d", change("Vy", None), "no Vy"),
        ("compressible_2d", change("Vy", np.zeros((2, 4, 8, 7))), "Vy has the shape"),
        ("compressible_2d", change("y-coordinate", None), "a coordinate for time and every axis"),
        ("compressible_2d", change("y-coordinate", np.arange(5.0)), "lengths must agree"),
        ("compressible_2d", change("t-coordinate", np.arange(9.0)), "lengths must agree"),
        ("incompressible", change("t", np.arange(10.0).reshape(2, 5)), "different times"),
        ("incompressible", change("t", np.arange(3.0)), "lengths must agree"),
        (
            "incompressible",
            change("particles", np.zeros((2, 5, 8, 8, 1))),
            "the file is incomplete",
        ),
        ("incompressible", change("force", np.zeros((2, 16, 16, 1))), "force has the shape"),
    ],
)
def test_files_that_contradict_themselves_are_refused(pdebench_file, layout, damage, message):
    path = pdebench_file(layout)
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(InputError, match=message) as caught:
        open_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_pdebench_file_is_refused_in_one_line(tmp_path, pdebench_file, well_file):
    text, empty, cut = tmp_path / "a.txt", tmp_path / "b.h5", tmp_path / "c.h5"
    text.write_text("no numbers here\n")
    empty.touch()
    whole = pdebench_file("burgers").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    expected = {
        text: "expected an HDF5 file, got something else of 16 bytes",
        empty: "expected an HDF5 file, got something else of 0 bytes",
        cut: "cut off",
        tmp_path / "none.h5": "no such file",
        well_file(): "not a layout of PDEBench.*found boundary_conditions, dimensions",
    }
    for path, message in expected.items():
        with pytest.raises(InputError, match=message):
            open_file(path)
        assert PDEBenchBackend().guess_can_open(path) is False


def test_content_is_recognised(pdebench_file):
    for layout in (*EXPECTED, "darcy"):
        assert PDEBenchBackend().guess_can_open(pdebench_file(layout)) is True
        assert PDEBenchBackend().guess_can_open(str(pdebench_file(layout))) is True
    assert PDEBenchBackend().guess_can_open(object()) is False


def test_engine_is_found_without_naming_it(pdebench_file):
    assert importlib.metadata.entry_points(group="xarray.backends")["pdebench"].load()
    path = pdebench_file("burgers").rename(pdebench_file.folder / "no_suffix")
    assert xr.open_dataset(path, engine="pdebench").attrs["system"] == "burgers"


def test_closing_lets_the_file_be_written(pdebench_file):
    path = pdebench_file("burgers")
    with open_file(path) as ds:
        ds.velocity_x[0, 0].load()
    with h5py.File(path, "r+") as file:
        file["tensor"][...] = 3
    assert open_file(path).velocity_x.values.max() == 3


def test_reading_needs_no_torch(pdebench_file):
    code = "import sys, xarray as xr; xr.open_dataset(sys.argv[1], engine='pdebench').load(); "
    code += "sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, str(pdebench_file("burgers"))], check=True)
