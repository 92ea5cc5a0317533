"""Laws of choosing pictures by what a file holds."""

import numpy as np
import pytest
import xarray as xr

from mpp import schema
from mpp.errors import InputError
from mpp.files import file_name
from mpp.viz.figures import figures, plan


def names(paths) -> list[str]:
    return [path.name for path in paths]


def test_a_rollout_gives_a_picture_a_field(tmp_path, rollout):
    rollout(shape=(6, 4), frames=2).to_netcdf(tmp_path / "r.nc")
    calls = []
    paths = figures(
        tmp_path / "r.nc", tmp_path / "out", sample=1, progress=lambda *done: calls.append(done)
    )
    assert names(paths) == [
        "rollout_tracer_run1.png",
        "rollout_velocity_x_run1.png",
        "spectrum_tracer.png",
        "spectrum_velocity_x.png",
        "bands.png",
        "totals_run1.png",
    ]
    assert sorted((tmp_path / "out").iterdir()) == sorted(paths)
    assert calls == [(done, 6) for done in range(1, 7)]


def test_axes_without_a_common_wavenumber_give_no_spectra(rollout):
    ds = rollout(shape=(6, 4), frames=2).drop_vars(["velocity_x", "truth_velocity_x"])
    ds["y"].attrs["units"] = "s"
    assert list(plan(ds)) == ["rollout_tracer_run0", "totals_run0"]


def test_a_rollout_without_truth_and_zarr_are_known_too(tmp_path, rollout):
    ds = rollout(shape=(6, 4), frames=2).drop_vars(["truth_tracer", "truth_velocity_x"])
    ds.drop_vars("velocity_x").to_zarr(tmp_path / "r.zarr", zarr_format=2)
    paths = figures(tmp_path / "r.zarr", tmp_path / "out")
    expected = ["rollout_tracer_run0.png", "spectrum_tracer.png", "totals_run0.png"]
    assert names(paths) == expected


def test_an_evaluation_gives_a_picture_a_score(tmp_path, scores):
    scores(fields=("height",)).to_netcdf(tmp_path / "s.nc")
    assert names(figures(tmp_path / "s.nc", tmp_path)) == ["error_vrmse.png", "error_rmse.png"]


def test_other_runs_give_a_contact_sheet_a_field(tmp_path):
    ds = schema.example((6, 4), samples=1, frames=1).drop_vars("velocity_x")
    assert names(figures(ds, tmp_path, suffix="pdf")) == ["sheet_tracer.pdf"]


def test_a_training_log_gives_its_losses(tmp_path):
    log = tmp_path / "metrics.csv"
    log.write_text("epoch,loss,step\n0,2.0,0\n0,1.0,9\n")
    assert names(figures(log, tmp_path)) == ["training.png"]


def test_equal_files_give_equal_pictures(tmp_path, scores):
    ds = scores(fields=("height",)).drop_vars("rmse")
    first, second = (figures(ds, tmp_path / name)[0].read_bytes() for name in "ab")
    assert first == second


def test_pictures_are_kept_unless_told(tmp_path, scores):
    ds = scores(fields=("height",)).drop_vars("rmse")
    (path,) = figures(ds, tmp_path)
    path.write_text("mine")
    with pytest.raises(InputError, match="--overwrite"):
        figures(ds, tmp_path)
    assert path.read_text() == "mine"
    figures(ds, tmp_path, overwrite=True)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_names_from_data_stay_inside_the_folder_and_apart(tmp_path):
    ds = schema.example((6, 4), samples=1, frames=1).rename(tracer="../a", velocity_x="<a")
    assert names(figures(ds, tmp_path / "out")) == ["sheet_a.png", "sheet_a-2.png"]
    assert file_name("../..", "field") == "field"


def test_every_departure_from_the_schema_is_told(tmp_path):
    xr.Dataset({"a": ("x", np.zeros(3))}).to_netcdf(tmp_path / "a.nc")
    message = "a.nc: neither a rollout, an evaluation nor runs in the schema: .*expected the dims"
    with pytest.raises(InputError, match=message):
        figures(tmp_path / "a.nc", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wrong_run_leaves_nothing(tmp_path, rollout):
    with pytest.raises(InputError, match="runs 0 to 1"):
        figures(rollout(frames=2), tmp_path / "out", sample=5)
    assert not (tmp_path / "out").exists()
