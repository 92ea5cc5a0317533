"""Laws of the command: estimates, their picture and a table, or one line."""

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.cli.main import main
from mpp.model.axial import AxialTransformer
from mpp.model.numbers import Transform
from mpp.schema import example
from mpp.weights import save


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    made = AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, coarse=2)
    made.learn_numbers({"diffusivity": Transform.fit(np.array([0.01, 1.0]))})
    made.card = {"numbers": {"diffusivity": {"units": "m2 s-1"}}}
    return save(made, tmp_path / "checkpoint")


@pytest.fixture
def data(tmp_path):
    example((8, 8), samples=5, frames=4).to_netcdf(tmp_path / "runs.nc", engine="h5netcdf")
    return tmp_path / "runs.nc"


def call(checkpoint, data, out, *more: str) -> int:
    words = ["--checkpoint", checkpoint, "--data", data, "--out", out, *more]
    return main(["infer", *map(str, words)])


def test_a_file_a_picture_and_a_table(checkpoint, data, tmp_path, capsys):
    out = tmp_path / "new" / "numbers.nc"
    assert call(checkpoint, data, out, "--history", "2") == 0
    with xr.open_dataset(out) as found:
        assert found.sizes == {"sample": 5}
        assert found["diffusivity"].attrs["units"] == "m2 s-1"
        assert found.attrs["history_frames"] == 2
    assert out.with_suffix(".png").stat().st_size > 10_000
    told = capsys.readouterr().out
    assert "diffusivity (m2 s-1)" in told
    assert "5 runs, 2 frames of each" in told
    assert main(["figures", str(out), "--out", str(tmp_path / "pictures")]) == 0
    assert (tmp_path / "pictures" / "estimates.png").is_file()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--history", "9"], "its runs have 4; choose --history"),
        (["--parameters", "viscosity"], "viscosity"),
    ],
)
def test_what_cannot_be_done_is_one_line(checkpoint, data, tmp_path, capsys, more, told):
    assert call(checkpoint, data, tmp_path / "numbers.nc", *more) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "numbers.nc").exists()


def test_a_picture_that_is_there_is_kept(checkpoint, data, tmp_path, capsys):
    (tmp_path / "numbers.png").write_text("mine")
    assert call(checkpoint, data, tmp_path / "numbers.nc") == 2
    assert "numbers.png" in capsys.readouterr().err
    code = call(checkpoint, data, tmp_path / "numbers.nc", "--overwrite")
    assert code == 0, capsys.readouterr().err
