"""Laws of the command: frames that go on in time, the truth beside them, a whole file or none."""

import os
import shlex
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch
import xarray as xr

from mpp.cli.main import main
from mpp.model.axial import AxialTransformer
from mpp.schema import example
from mpp.weights import load, save


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    made = AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, fine=2, coarse=2)
    made.card = {"systems": ["example"], "fields": {"tracer": {"units": "kg m-3"}}}
    return save(made, tmp_path / "checkpoint")


@pytest.fixture
def data(tmp_path):
    example((8, 8), frames=8).to_netcdf(tmp_path / "runs.nc", engine="h5netcdf")
    return tmp_path / "runs.nc"


def call(checkpoint, data, out, steps=3, *more: str) -> int:
    words = ["--checkpoint", checkpoint, "--data", data, "--steps", steps, "--out", out, *more]
    return main(["rollout", *map(str, words)])


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_the_frames_go_on_where_the_history_ends(checkpoint, data, tmp_path, ending):
    out = tmp_path / "new" / f"future.{ending}"
    assert call(checkpoint, data, out) == 0
    with xr.open_dataset(out) as future:
        # Three frames of history, at times 0, 1 and 2.
        assert future["time"].values.tolist() == [3, 4, 5]
        truth = example((8, 8), frames=8)["tracer"].isel(time=slice(3, 6))
        assert abs(future["truth_tracer"].values - truth.values).max() < 1e-6
        assert future["tracer"].attrs["units"] == "kg m-3"
        assert len(future.attrs["checkpoint"]) == 64
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_beyond_the_data_there_is_no_truth(checkpoint, data, tmp_path):
    assert call(checkpoint, data, tmp_path / "far.nc", 6) == 0
    with xr.open_dataset(tmp_path / "far.nc") as future:
        assert future.sizes["time"] == 6
        assert "truth_tracer" not in future


def test_a_history_of_one_frame_takes_its_step_from_the_data(checkpoint, data, tmp_path):
    assert call(checkpoint, data, tmp_path / "one.nc", 2, "--history", "1") == 0
    with xr.open_dataset(tmp_path / "one.nc") as future:
        assert future["time"].values.tolist() == [1, 2]


def test_a_single_frame_takes_the_step_that_is_given(checkpoint, data, tmp_path, capsys):
    example((8, 8), frames=1).to_netcdf(tmp_path / "start.nc", engine="h5netcdf")
    start, more = tmp_path / "start.nc", ("--history", "1")
    assert call(checkpoint, start, tmp_path / "one.nc", 2, *more) == 2
    assert "time_step" in capsys.readouterr().err
    assert call(checkpoint, start, tmp_path / "one.nc", 2, *more, "--time-step", "0.5") == 0
    with xr.open_dataset(tmp_path / "one.nc") as future:
        assert future["time"].values.tolist() == [0.5, 1]


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_an_existing_result_is_kept_unless_told(checkpoint, data, tmp_path, capsys, ending):
    out = tmp_path / f"future.{ending}"
    assert call(checkpoint, data, out, 2) == 0
    assert call(checkpoint, data, out, 3) == 2
    assert "--overwrite" in capsys.readouterr().err
    with xr.open_dataset(out) as future:
        assert future.sizes["time"] == 2
    assert call(checkpoint, data, out, 3, "--overwrite") == 0
    with xr.open_dataset(out) as future:
        assert future.sizes["time"] == 3


@pytest.mark.parametrize(
    ("steps", "more", "message"),
    [
        (0, (), "give at least 1"),
        (2, ("--history", "0"), "history is 0; give at least 1"),
        (2, ("--history", "9"), "between 1 and 8"),
        (2, ("--out", "future.txt"), "ends in .nc or .zarr"),
        (2, ("--checkpoint", "nowhere"), "expected a checkpoint folder"),
        (2, ("--data", "nowhere.nc"), "nowhere.nc"),
        (2, ("--time-step", "0.5"), "leave out --time-step"),
        (2, ("--limit", "0.5"), "give a number above 1, or none"),
        (2, ("--members", "4"), "--perturb 0.1"),
        (2, ("--batch-size", "0"), "batch_size is 0"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    checkpoint, data, tmp_path, capfd, monkeypatch, steps, more, message
):
    monkeypatch.chdir(tmp_path)
    assert call(checkpoint, data, "future.nc", steps, *more) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "future.nc").exists()


def test_a_wrong_ending_is_refused_before_anything_is_read(capsys):
    assert call("nowhere", "nowhere.nc", "future.txt") == 2
    assert "ends in .nc or .zarr" in capsys.readouterr().err


def test_a_field_the_model_does_not_know_is_named(checkpoint, tmp_path, capsys):
    example((8, 8)).rename(tracer="height").to_netcdf(tmp_path / "h.nc", engine="h5netcdf")
    assert call(checkpoint, tmp_path / "h.nc", tmp_path / "future.nc") == 2
    error = capsys.readouterr().err
    assert "no field height" in error
    assert error.count("\n") == 1


def test_a_rollout_that_leaves_the_finite_says_where(checkpoint, data, tmp_path, capsys):
    model = load(checkpoint)
    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)
    save(model, checkpoint)
    assert call(checkpoint, data, tmp_path / "nan.nc") == 0
    line = "stopped at step 1, sample 0: tracer is not finite (and 1 more, see the attribute"
    assert line in capsys.readouterr().err
    made = xr.load_dataset(tmp_path / "nan.nc")
    assert (made.attrs["finite_steps"], made.attrs["stopped_step"]) == (0, 1)
    assert made["tracer"].isnull().all()
    assert made.sizes["time"] == 1


def test_a_drift_is_one_plain_line_and_what_is_good_is_kept(checkpoint, data, tmp_path, capsys):
    model = load(checkpoint)
    for parameter in model.readout.parameters():
        parameter.data.mul_(2)
    save(model, checkpoint)
    out = tmp_path / "drift.nc"
    assert call(checkpoint, data, out, 400, "--limit", "3") == 0
    line = next(line for line in capsys.readouterr().err.splitlines() if "stopped" in line)
    made = xr.load_dataset(out)
    step = made.attrs["stopped_step"]
    assert line.startswith(f"mpp rollout: stopped at step {step}, sample ")
    assert "the limit is 3" in line
    assert 1 < step <= 400
    assert call(checkpoint, data, tmp_path / "free.nc", step, "--limit", "none") == 0
    free = xr.load_dataset(tmp_path / "free.nc")
    assert free.attrs["limit"] == "none"
    assert "stopped_step" not in free.attrs
    good = slice(0, step - 1)
    xr.testing.assert_equal(
        made[["tracer", "velocity_x"]].isel(time=good),
        free[["tracer", "velocity_x"]].isel(time=good),
    )


def test_members_and_checkpoints_stand_along_a_dim(checkpoint, data, tmp_path):
    other = save(load(checkpoint), tmp_path / "other")
    words = ["--members", "2", "--perturb", "0.1", "--seed", "3", "--batch-size", "3"]
    assert (
        call(checkpoint, data, tmp_path / "e.nc", 2, *words, "--checkpoint", checkpoint, other) == 0
    )
    made = xr.load_dataset(tmp_path / "e.nc")
    assert made["tracer"].dims == ("sample", "member", "time", "x", "y")
    assert made["truth_tracer"].dims == ("sample", "time", "x", "y")
    assert (made.sizes["member"], made.attrs["members"], made.attrs["seed"]) == (4, 4, 3)
    xr.testing.assert_allclose(
        made.isel(member=[0, 1]).drop_vars("member"), made.isel(member=[2, 3]).drop_vars("member")
    )


def test_the_attributes_tell_how_it_was_made(checkpoint, data, tmp_path):
    out = tmp_path / "a b.nc"
    assert call(checkpoint, data, out, 2) == 0
    attrs = xr.load_dataset(out).attrs
    words = ["mpp", "rollout", "--checkpoint", str(checkpoint), "--data", str(data)]
    assert shlex.split(attrs["command"]) == [*words, "--steps", "2", "--out", str(out)]
    assert attrs["boundaries"] == "x periodic, y wall open"
    assert "each sample by the RMS of its last 3 frames" in attrs["normalization"]
    assert attrs["normalization"].endswith("tracer 1 (1), velocity_x 1 (1)")


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "number"), [("nc", signal.SIGINT), ("zarr", signal.SIGTERM)])
def test_ctrl_c_and_a_scheduler_leave_the_frames_so_far(checkpoint, data, tmp_path, ending, number):
    out = tmp_path / "out" / f"long.{ending}"
    words = ["--checkpoint", checkpoint, "--data", data, "--steps", 10**6, "--out", out]
    code = [sys.executable, "-m", "mpp", "rollout", *map(str, words)]
    running = subprocess.Popen(
        code,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ},
        # A shell's background jobs, and all that they start, are born deaf to it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (out.parent.is_dir() and any(out.parent.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    running.send_signal(number)
    try:
        _, error = running.communicate(timeout=120)
    finally:
        running.kill()
    assert running.returncode == 130
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    made = xr.load_dataset(out)
    assert 0 < made.sizes["time"] < 10**6
    assert made["tracer"].notnull().all()
    told = f"after samples 0 to 1, step {made.sizes['time']} of 1000000"
    assert made.attrs["interrupted"] == told
    assert error == f"mpp rollout: interrupted {told}; the frames so far are in {out}\n"
