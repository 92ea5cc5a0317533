"""Laws of the command: it leaves what it promises, goes on where it stopped, one line a mistake."""

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.cli.main import main
from mpp.model.axial import AxialTransformer
from mpp.schema import example
from mpp.weights import save


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(100)
    made = AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, fine=2, coarse=2)
    made.card = {"systems": ["example"], "fields": {"tracer": {"units": "kg m-3"}}}
    return save(made, tmp_path / "checkpoint")


def write(path, samples: int, seed: int = 0):
    ds = example((8, 8), samples, 8).rename(tracer="height").drop_vars("velocity_x")
    noise = np.random.default_rng(seed).standard_normal(ds["height"].shape)
    ds["height"] = ds["height"] + 0.1 * noise
    ds.assign_attrs(system="mine").to_netcdf(path, engine="h5netcdf")
    return path


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "runs.nc", 6)


def call(checkpoint, data, out, *more: str) -> int:
    words = ["--checkpoint", checkpoint, "--data", data, "--out", out, "--max-steps", "2"]
    words += ["--sizes", "1", "2", "--seeds", "1", "--lead-steps", "1", "3"]
    words += ["--test-runs", "2", "--validation-runs", "1", *more]
    return main(["transfer", *map(str, words)])


def test_the_study_leaves_scores_tables_and_curves(checkpoint, data, tmp_path, capsys):
    out = tmp_path / "study"
    assert call(checkpoint, data, out) == 0
    assert {path.name for path in out.iterdir()} == {
        "cells", "study.json", "mine.nc", "mine.png", "scores.csv", "report.md",
    }  # fmt: skip
    shown = capsys.readouterr().out
    for word in ["VRMSE · mine", "height", "step 3", "finetuned", "scratch", "persistence", "AG"]:
        assert word in shown
    assert "egative transfer" in shown
    assert str(out / "report.md") in shown
    with xr.open_dataset(out / "mine.nc", decode_times=False) as ds:
        assert ds.attrs["max_steps"] == 2
        assert ds["size"].values.tolist() == [1, 2]


def test_the_same_command_goes_on_and_another_one_is_refused(checkpoint, data, tmp_path, capsys):
    out = tmp_path / "study"
    assert call(checkpoint, data, out) == 0
    (out / "cells" / "mine" / "scratch_2_0_0.005.nc").unlink()
    kept = {path: path.stat().st_mtime_ns for path in (out / "cells").rglob("*.nc")}
    capsys.readouterr()
    assert call(checkpoint, data, out) == 0
    # One training is done anew, the fourth of four.
    assert capsys.readouterr().err.count("4 of 4 · mine: scratch, 2 runs, seed 0") == 1
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert call(checkpoint, data, out, "--batch-size", "3") == 2
    error = capsys.readouterr().err
    assert "batch_size is 2 there and 3 here" in error
    assert error.count("\n") == 1


def test_what_is_not_there_is_told(checkpoint, data, tmp_path, capsys):
    assert call(checkpoint, data, tmp_path / "study", "--sizes", "1", "9") == 0
    assert "mpp transfer: mine: 9 training runs were asked for" in capsys.readouterr().err


def test_rates_are_for_both_arms(checkpoint, data, tmp_path):
    out = tmp_path / "study"
    assert call(checkpoint, data, out, "--sizes", "1", "--rates", "0.003", "0.004") == 0
    names = {path.name for path in (out / "cells" / "mine").iterdir()}
    assert names == {
        f"{arm}_1_0_{r}.nc" for arm in ("finetuned", "scratch") for r in (0.003, 0.004)
    }


def test_a_folder_of_something_else_is_left_alone(checkpoint, data, tmp_path, capsys):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert call(checkpoint, data, out) == 2
    assert "holds something else than a study" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--max-steps", "0"), "max_steps is 0"),
        (("--sizes", "0"), "sizes is [0]"),
        (("--workers", "0"), "workers is 0"),
        (("--lead-steps", "6"), "need 9 frames"),
        (("--test-runs", "6"), "leave none to train on"),
        (("--rates", "0.1", "--lr", "0.1"), "--rates stands in place of --lr"),
        (("--checkpoint", "nowhere"), "expected a checkpoint folder"),
        (("--data", "nowhere.nc"), "nowhere.nc"),
        (("--out", "runs.nc"), "is a file; name a folder"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    checkpoint, data, tmp_path, capsys, more, message, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert call(checkpoint, data, tmp_path / "study", *more) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "study").exists()
