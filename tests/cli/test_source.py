"""Every command that reads runs takes a mapping, and reads the same as from a converted file."""

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.cli.main import main
from mpp.model.axial import AxialTransformer
from mpp.schema import example
from mpp.weights import save

LINES = ("--set", "names: {c: tracer, u: velocity_x}", "--set", "boundary: {a: periodic, b: wall}")


@pytest.fixture
def folder(tmp_path):
    """A checkpoint, runs in the schema, and the same runs under names of their own."""
    torch.manual_seed(0)
    save(
        AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, fine=2), tmp_path / "checkpoint"
    )
    ds = example((8, 8), frames=8)
    ds = ds[["tracer", "velocity_x"]]
    for axis, side in {"x": "periodic", "y": "wall"}.items():
        ds[axis].attrs["boundary"] = side
    ds.to_netcdf(tmp_path / "known.nc", engine="h5netcdf")
    foreign = ds.rename(tracer="c", velocity_x="u", x="a", y="b")
    for axis in ("a", "b"):
        del foreign[axis].attrs["boundary"]
    foreign.to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    return tmp_path


def call(command: str, folder, name: str, *more: str) -> xr.Dataset:
    out = folder / f"{command}_{name}"
    words = ["--checkpoint", folder / "checkpoint", "--data", folder / name, "--out", out]
    assert main([command, *map(str, words), "--steps", "2", *more]) == 0
    return xr.load_dataset(out)


SAME = {"rollout": ("tracer", "velocity_x"), "evaluate": ("vrmse", "nrmse")}


@pytest.mark.parametrize("command", SAME)
def test_lines_of_a_mapping_read_a_foreign_file(folder, command):
    found = call(command, folder, "foreign.nc", *LINES, "--set", "space: [a, b]")
    known = call(command, folder, "known.nc")
    assert set(found.data_vars) == set(known.data_vars)
    for name in SAME[command]:
        np.testing.assert_array_equal(found[name], known[name])


def test_without_them_the_fields_are_not_known(folder, capsys):
    words = ["--checkpoint", folder / "checkpoint", "--data", folder / "foreign.nc"]
    out = ["--out", folder / "x.nc", "--steps", "2"]
    assert main(["rollout", *map(str, words + out)]) == 2
    assert "boundary" in capsys.readouterr().err
