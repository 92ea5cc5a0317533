"""Laws of the command: a whole file or none, a table to read, one line for a mistake."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mpp import schema
from mpp.cli import evaluate as command
from mpp.cli.main import main
from mpp.model.surrogate import Surrogate

BASELINES = ("persistence", "linear extrapolation", "climatology")


class Steady(Surrogate):
    """Keeps the last frame, with ten percent more of it every step."""

    def forward(self, batch):
        return 1.1 * batch.values


@pytest.fixture
def runs(tmp_path, loaders):
    """Two files of one system, the second one on a finer grid."""
    paths = [tmp_path / "a.nc", tmp_path / "b.nc"]
    schema.example(frames=8).to_netcdf(paths[0])
    schema.example(shape=(12, 6), frames=8, samples=1).to_netcdf(paths[1])
    return [str(path) for path in paths]


@pytest.fixture
def loaders(monkeypatch):
    """A stand-in for reading checkpoints, which has tests of its own."""
    monkeypatch.setitem(sys.modules, "mpp.weights", SimpleNamespace(load=lambda _: Steady(2)))


def call(runs, out, *more: str) -> int:
    words = ["--checkpoint", "runs/tuned", "runs/scratch", "--data", *runs, "--out", str(out)]
    return main(["evaluate", *words, "--steps", "5", *more])


def test_the_file_holds_the_scores_and_where_they_come_from(runs, tmp_path):
    out = tmp_path / "new" / "scores.nc"
    assert call(runs, out, "--starts", "2") == 0
    with xr.open_dataset(out) as scores:
        assert list(scores["model"].values) == ["tuned", "scratch", *BASELINES]
        assert scores["vrmse"].dims == ("model", "field", "lead_time", "sample")
        # Two runs and one run, with two windows each.
        assert scores.sizes["sample"] == 6
        np.testing.assert_array_equal(scores["dataset"], [0, 0, 0, 0, 1, 1])
        assert scores["lead_time"].attrs["units"] == "s"
        assert list(scores.attrs["data"]) == runs
        assert scores.attrs["history"] == 2
        assert np.all(scores["vrmse"].attrs["floor"] > 0)
        # Three runs: the mean of each score has an interval.
        assert scores["vrmse_interval"].dims == ("model", "field", "lead_time", "bound")
    assert sorted(path.name for path in out.parent.iterdir()) == ["scores.csv", "scores.nc"]


def test_the_table_shows_every_field_model_and_lead_time(runs, tmp_path, capsys):
    assert call(runs, tmp_path / "scores.nc") == 0
    shown = capsys.readouterr().out
    words = ["NRMSE", "VRMSE", "example", "tracer", "velocity_x", "step 1", "(5 s)", "3 runs", "*"]
    words += ["95 % interval", "max_error", "pearson", "usable steps of 5", "scores.csv"]
    for word in [*words, "tuned", "scratch", *BASELINES, "scores.nc"]:
        assert word in shown


def test_the_sheet_beside_the_file_holds_its_means(runs, tmp_path):
    out = tmp_path / "scores.nc"
    assert call(runs, out, "--quantity", "mass=tracer**2") == 0
    sheet = pd.read_csv(tmp_path / "scores.csv")
    with xr.open_dataset(out) as scores:
        rows = sheet[(sheet.score == "rmse") & (sheet.model == "tuned") & (sheet.field == "tracer")]
        # One window a run, so that the mean over runs is that over samples.
        expected = scores["rmse"].sel(model="tuned", field="tracer").mean("sample")
        np.testing.assert_allclose(rows["mean"], expected)
        np.testing.assert_array_equal(rows["step"], scores["step"])
        bounds = scores["rmse_interval"].sel(model="tuned", field="tracer")
        np.testing.assert_allclose(rows[["low", "high"]], bounds)
        assert set(rows["unit"]) == {"kg m-3"}
        assert set(rows["runs"]) == {3}
    whole = sheet[sheet.score == "drift_mass"]
    assert whole["field"].isna().all()
    assert len(whole) == 5 * 5


def test_scores_can_be_named_and_left_out_ones_are_told(runs, tmp_path, capsys):
    out = tmp_path / "scores.nc"
    assert call(runs, out, "--scores", "side_rmse", "wasserstein") == 0
    with xr.open_dataset(out) as scores:
        assert {"vrmse", "wasserstein", "side_rmse_y_low", "side_rmse_y_high"} <= set(scores)
        assert "band_nrmse_low" not in scores
    assert call(runs, out, "--scores", "all", "--overwrite") == 0
    shown = capsys.readouterr().out
    assert "left out: divergence: no vector" in shown
    with xr.open_dataset(out) as scores:
        assert {"band_nrmse_low", "band_ratio_high", "anomaly_correlation"} <= set(scores)


def test_evaluating_twice_on_differently_split_runs_gives_identical_numbers(
    monkeypatch, tmp_path, loaders
):
    # A real model, whose products round otherwise over several windows than over one.
    from mpp.model.axial import AxialTransformer

    model = AxialTransformer(("tracer", "velocity_x", "diffusivity"), width=16, heads=2, depth=1)
    monkeypatch.setattr(sys.modules["mpp.weights"], "load", lambda _: model)
    ds = schema.example(samples=3, frames=12)
    ds.to_netcdf(tmp_path / "all.nc")
    for name, runs in (("a", [0]), ("b", [1, 2])):
        ds.isel(sample=runs).to_netcdf(tmp_path / f"{name}.nc")
    read = []
    for out, names in (("one.nc", ["all"]), ("two.nc", ["a", "b"])):
        paths = [str(tmp_path / f"{name}.nc") for name in names]
        words = ["--steps", "3", "--checkpoint", "net", "--scores", "all", "--out"]
        assert main(["evaluate", "--data", *paths, *words, str(tmp_path / out)]) == 0
        read.append(xr.load_dataset(tmp_path / out, decode_timedelta=False))
    first, second = (one.drop_attrs().drop_vars(("dataset", "run")) for one in read)
    xr.testing.assert_identical(first, second)


def test_published_definitions_can_be_asked_for(runs, tmp_path):
    out = tmp_path / "scores.nc"
    assert call(runs, out, "--compat", "pdebench") == 0
    with xr.open_dataset(out) as scores:
        assert {"crmse", "brmse", "frmse_low"} <= set(scores)
        assert scores.attrs["compat"] == "pdebench"


def test_the_mean_state_can_be_that_of_training_runs(runs, tmp_path):
    out = tmp_path / "scores.nc"
    assert call(runs, out, "--climatology", *runs) == 0
    with xr.open_dataset(out) as scores:
        assert scores.attrs["climatology"] == "mean over 3 training runs"


def test_an_existing_file_is_kept_unless_told(runs, tmp_path, capsys):
    out = tmp_path / "scores.nc"
    out.write_text("mine")
    assert call(runs, out) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert call(runs, out, "--overwrite") == 0
    assert xr.open_dataset(out).sizes["lead_time"] == 5


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    out = tmp_path / "scores.nc"
    out.write_text("old")
    with pytest.raises(TypeError):
        command.write(xr.Dataset(attrs={"no": object()}), out)
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_an_existing_sheet_is_kept_unless_told(runs, tmp_path, capsys):
    sheet = tmp_path / "scores.csv"
    sheet.write_text("mine")
    assert call(runs, tmp_path / "scores.nc") == 2
    assert "scores.csv exists" in capsys.readouterr().err
    assert sheet.read_text() == "mine"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--steps", "9"), "need 11 frames, and the runs have 8; lower"),
        (("--history", "0"), "history is 0; give at least 1"),
        (("--out", "scores.zarr"), "expected a name that ends in .nc"),
        (("--out", "."), "expected a name that ends in .nc"),
        (("--checkpoint", "a", "a"), "the same checkpoint twice"),
        (("--scores", "ssim"), "no score is called ssim; there are: nrmse, vrmse"),
        (("--scores", "divergence"), "divergence cannot be computed here: no vector"),
        (("--quantity", "tracer**2"), "expected NAME=FORMULA"),
        (("--quantity", "mass=open(tracer)"), "'open(tracer)' is not allowed"),
        (("--quantity", "mass=dye"), "'dye' names dye; there are diffusivity, tracer, velocity_x"),
        (("--compat", "pdebench", "--scores", "drift"), "no score of pdebench is called drift"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(runs, tmp_path, capsys, more, message):
    assert call(runs, tmp_path / "scores.nc", *more) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().count("\n") == 0
    assert not (tmp_path / "scores.nc").exists()


def test_a_folder_as_out_is_refused(runs, tmp_path, capsys):
    folder = tmp_path / "folder.nc"
    folder.mkdir()
    assert call(runs, folder, "--overwrite") == 2
    assert "is a folder" in capsys.readouterr().err


def test_equal_names_fall_back_on_paths(runs, tmp_path):
    out = tmp_path / "scores.nc"
    assert call(runs, out, "--checkpoint", "one/best", "two/best") == 0
    with xr.open_dataset(out) as scores:
        assert list(scores["model"].values) == ["one/best", "two/best", *BASELINES]


def test_a_shipped_checkpoint_is_scored_on_a_file(tmp_path, capsys):
    from mpp.model.axial import AxialTransformer
    from mpp.weights import save

    names = ("tracer", "velocity_x", "diffusivity")
    save(AxialTransformer(names, width=16, heads=2, depth=1, hidden=4), tmp_path / "tiny")
    schema.example(frames=12).to_netcdf(tmp_path / "runs.nc")
    words = ["--checkpoint", str(tmp_path / "tiny"), "--data", str(tmp_path / "runs.nc")]
    out = tmp_path / "scores.nc"
    assert main(["evaluate", *words, "--steps", "3", "--out", str(out)]) == 0
    with xr.open_dataset(out) as scores:
        assert list(scores["model"].values) == ["tiny", *BASELINES]
        assert np.isfinite(scores["vrmse"]).all()
    assert "tiny" in capsys.readouterr().out


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "--help"])
    assert ended.value.code == 0
    assert "example:\n  mpp evaluate --checkpoint" in capsys.readouterr().out
