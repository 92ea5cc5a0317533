"""The command: status, output, and one line for a mistake."""

import sys
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


def test_processes_are_asked_for_in_one_way(
    runs: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
):
    words = ["convert", str(runs), "--out", str(tmp_path / "a.nc"), "--boundary", "open"]
    assert main([*words, "--workers", "0"]) == 2
    assert "workers is 0; give at least 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--workers", "2", "--scheduler", "tcp://localhost:8786"])
    assert "not allowed with" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main([*words, "--scheduler", "tcp://localhost:8786"]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "pip install 'mpp-physics[scale]'" in shown
    assert not (tmp_path / "a.nc").exists()


def files(store: Path) -> dict[str, bytes]:
    return {str(f.relative_to(store)): f.read_bytes() for f in store.rglob("*") if f.is_file()}


@pytest.mark.slow
def test_workers_of_a_scheduler_and_processes_make_the_same_output(
    runs: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    words = ["convert", "my runs", "--boundary", "open", "--set", "even: {x: {points: 9}}", "--out"]
    with distributed.LocalCluster(**options, dashboard_address=None) as cluster:
        monkeypatch.chdir(tmp_path)  # where the workers are not
        address = ["--scheduler", cluster.scheduler_address]
        for ending in ("nc", "zarr"):
            assert main([*words, f"many.{ending}", *address]) == 0
        broken = xr.load_dataset(runs / "run 1.nc") * 1e300
        broken.to_netcdf(runs / "run 2.nc", engine="netcdf4")
        assert main([*words, "bad.zarr", *address]) == 2
        assert "values beyond float32" in capsys.readouterr().err
        (runs / "run 2.nc").unlink()
    for ending in ("nc", "zarr"):
        assert main([*words, f"one.{ending}"]) == 0
        many, one = (open_dataset(f"{name}.{ending}") for name in ("many", "one"))
        xr.testing.assert_identical(many.drop_attrs(), one.drop_attrs())
        assert {n: v.attrs for n, v in many.variables.items()} == {
            n: v.attrs for n, v in one.variables.items()
        }
        assert many.attrs == one.attrs
    assert files(Path("many.zarr")) == files(Path("one.zarr"))
    assert main([*words, "own.zarr", "--workers", "2"]) == 0
    assert files(Path("own.zarr")) == files(Path("one.zarr"))
    assert main([*words, "none.zarr", *address]) == 2
    assert "no dask scheduler answers there" in capsys.readouterr().err
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["many.nc", "many.zarr", "my runs", "one.nc", "one.zarr", "own.zarr"]
