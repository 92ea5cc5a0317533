"""The command: status, output, and one line for a mistake."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mpp.cli.main import main
from mpp.cli.source import boundaries
from mpp.data.open import open_dataset
from mpp.errors import InputError


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "my runs"
    folder.mkdir()
    for number in range(2):
        ds = xr.Dataset(
            {"u": (("t", "y", "x"), np.random.default_rng(number).normal(size=(4, 5, 6)))},
            {"t": ("t", np.arange(4.0), {"units": "s"})},
        )
        ds.to_netcdf(folder / f"run {number}.nc", engine="netcdf4")
    return folder


def test_runs_become_one_file(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "all.zarr"
    words = ["convert", str(runs / "run *.nc"), "--out", str(out), "--system", "pipe"]
    assert main([*words, "--boundary", "x=periodic", "--boundary", "y=wall open"]) == 0
    assert f"wrote {out}" in capsys.readouterr().out
    ds = open_dataset(out)
    assert (ds.sizes["sample"], ds.attrs["system"]) == (2, "pipe")
    assert ds["y"].attrs["boundary"] == "wall open"


def test_mistakes_are_one_line_and_status_2(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "a.nc"
    for words, message in (
        ([str(runs), "--out", str(out)], "no boundary condition along x, y"),
        ([str(runs), "--out", str(tmp_path / "a.csv"), "--boundary", "open"], "end the output"),
        ([str(runs), "--out", str(out), "--boundary", "x=sticky"], "boundary 'sticky'"),
        ([str(runs / "absent"), "--out", str(out)], "no such file or folder"),
        ([str(runs), "--out", str(out), "--mapping", str(tmp_path / "m.yaml")], "cannot read this"),
    ):
        assert main(["convert", *words]) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1
    assert not out.exists()


def test_an_existing_output_stays_unless_told(runs: Path, tmp_path: Path):
    out = tmp_path / "a.nc"
    words = ["convert", str(runs), "--out", str(out), "--boundary", "open"]
    assert main(words) == 0
    assert main(words) == 2
    assert main([*words, "--overwrite"]) == 0


def test_boundary_options():
    assert boundaries([]) is None
    assert boundaries(["wall open"]) == "wall open"
    assert boundaries(["x=periodic", "y = wall open"]) == {"x": "periodic", "y": "wall open"}
    with pytest.raises(InputError, match="expected AXIS=KIND"):
        boundaries(["x=periodic", "wall"])
