"""A suite from the command line: made, gone on with, what it lacks; a scheduler's workers."""

import sys
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from mpp.cli.main import main


@pytest.fixture
def words(tmp_path: Path, waves: Any) -> list[str]:
    """The command for a suite of two small systems, beside one for another purpose."""
    for name, line in {
        "ripples": ("", ""),
        "swell": ("least_resolution: 4", "least_resolution: 6"),
        "tide": ("purpose: pretrain", "purpose: transfer"),
    }.items():
        waves.write(tmp_path / "datasets" / name, waves.SPEC.replace(*line))
    return [
        "generate", "--suite", "pretrain", "--out", str(tmp_path / "out"), "--workers", "1",
        "--datasets", str(tmp_path / "datasets"), "--trajectories", "2",
        "--test-trajectories", "1", "--resolution", "4",
    ]  # fmt: skip


def test_a_suite_is_made_drawn_and_gone_on_with(words, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "swell: 6 points along an axis, the fewest that resolve it" in shown.out
    assert "ripples: " not in shown.out
    assert "ripples" in shown.err  # a bar for each system
    assert "4/4" in shown.err
    for folder in (out, out / "test", out / "beyond"):
        assert f"wrote {folder / 'ripples.nc'}\n" in shown.out
        assert f"wrote {folder / 'swell.nc'}\n" in shown.out
        assert f"drew {folder / 'sheet.png'}\n" in shown.out
        assert (folder / "sheet.png").is_file()
    (out / "test" / "swell.nc").unlink()
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert shown.count("kept ") == 5
    assert shown.count("wrote ") == 1
    assert f"wrote {out / 'test' / 'swell.nc'}" in shown
    assert main([*words, "--seed", "1"]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert "ripples.nc was made with other settings: seed 0, not 1 (and 5 files more)" in shown.err


def test_what_lacks_its_solver_is_told_after_all_else_is_made(words, tmp_path, waves, capsys):
    for name in ("dunes", "foam"):
        unsolved = waves.SPEC.replace("solver: numpy", "solver: no_such_solver")
        waves.write(tmp_path / "datasets" / name, unsolved)
    assert main([*words, "--split", "beyond"]) == 2
    shown = capsys.readouterr()
    made = sorted(path.name for path in (tmp_path / "out").rglob("*.*"))
    assert made == ["ripples.nc", "sheet.png", "swell.nc"]
    last = shown.err.splitlines()[-1]
    assert "lacks dunes, foam: its solver no_such_solver is not installed; pip install" in last


def test_one_system_is_made_in_the_split_that_is_asked_for(tmp_path, waves, capsys):
    folder = waves.write(tmp_path / "swell")
    words = ["generate", str(folder), "--out", str(tmp_path / "out"), "--trajectories", "1"]
    assert main([*words, "--workers", "1", "--split", "beyond"]) == 0
    path = tmp_path / "out" / "beyond" / "swell.nc"
    assert capsys.readouterr().out.strip() == str(path)
    assert xr.load_dataset(path).speed.min() > 2
    assert main([*words, "--test-trajectories", "1"]) == 2
    assert "--split test --trajectories N" in capsys.readouterr().err


def test_a_scheduler_without_dask_is_one_line(tmp_path, waves, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    folder = waves.write(tmp_path / "swell")
    words = ["generate", str(folder), "--out", str(tmp_path), "--scheduler", "tcp://localhost:8786"]
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "pip install 'mpp-physics[scale]'" in shown


@pytest.mark.slow
def test_a_schedulers_workers_make_the_same_file(tmp_path, waves, capsys):
    distributed = pytest.importorskip(
        "distributed", reason="dask is not installed: pip install 'mpp-physics[scale]'"
    )
    folder = waves.write(tmp_path / "swell")
    words = ["generate", str(folder), "--trajectories", "5", "--out"]
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with distributed.LocalCluster(**options, dashboard_address=None) as cluster:
        address = ["--scheduler", cluster.scheduler_address]
        assert main([*words, str(tmp_path / "many"), *address]) == 0
        broken = waves.SOLVER.replace("wave[:, None]", "np.nan * wave[:, None]")
        bad = waves.write(tmp_path / "nought", solver=broken)
        assert main(["generate", str(bad), "--out", str(tmp_path / "bad"), *address]) == 2
        assert "tracer of trajectory 0" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "one"), "--workers", "1"]) == 0
    many, one = (xr.load_dataset(tmp_path / part / "swell.nc") for part in ("many", "one"))
    xr.testing.assert_identical(many, one)
    assert main([*words, str(tmp_path / "none"), *address]) == 2
    assert "no dask scheduler answers there" in capsys.readouterr().err
