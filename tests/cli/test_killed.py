"""A killed command, given again, ends as one that was never disturbed, bit for bit."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.cli.main import main
from mpp.model.axial import AxialTransformer
from mpp.schema import example
from mpp.weights import save

DRIVER = """
import os, signal, sys
import mpp.study.closing
import mpp.train.states
from mpp.cli.main import main
from mpp.train.finetune import FinetuningModule

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

where, count = sys.argv[1], int(sys.argv[2])
calls = [0]
if where == "step":
    start = FinetuningModule.on_train_batch_start
    def step(self, *args):
        calls[0] += 1
        return die() if calls[0] == count else start(self, *args)
    FinetuningModule.on_train_batch_start = step
elif where == "checkpoint":
    write = mpp.train.states._write
    def save(*args):
        calls[0] += 1
        return die() if calls[0] == count else write(*args)
    mpp.train.states._write = save
else:
    mpp.study.closing.score = die
sys.exit(main(sys.argv[3:]))
"""

pytestmark = [pytest.mark.slow, pytest.mark.faults]


def killed(where: str, count: int, *words: object) -> bool:
    """Whether a command that kills itself there was killed, and not ended otherwise."""
    code = [sys.executable, "-c", DRIVER, where, count, *words]
    done = subprocess.run(list(map(str, code)), capture_output=True, env={**os.environ})
    return done.returncode == -signal.SIGKILL


@pytest.fixture
def words(tmp_path):
    torch.manual_seed(0)
    made = AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, fine=2, coarse=2)
    save(made, tmp_path / "checkpoint")
    ds = example((8, 8), samples=5, frames=8).rename(tracer="height")
    noise = np.random.default_rng(0).standard_normal(ds["height"].shape)
    ds["height"] = ds["height"] + 0.1 * noise
    ds.assign_attrs(system="mine").to_netcdf(tmp_path / "runs.nc", engine="h5netcdf")
    return ["--checkpoint", tmp_path / "checkpoint", "--data", tmp_path / "runs.nc"]


def test_finetuning_survives_being_killed(words, tmp_path, capsys):
    def command(out):
        # Checkpoints after 20, 40 and 60 steps; the head alone up to the 18th.
        return ["finetune", *words, "--mode", "gradual", "--max-steps", 60, "--out", tmp_path / out]

    assert main(list(map(str, command("whole")))) == 0
    for where, count in (("step", 31), ("checkpoint", 2), ("scoring", 0)):
        assert killed(where, count, *command("killed")), where
        assert not (tmp_path / "killed" / "finetune.png").exists()
    capsys.readouterr()
    assert main(list(map(str, command("killed")))) == 0
    assert "going on with" in capsys.readouterr().out
    for name in ("weights.safetensors", "scores.csv"):
        whole, other = (tmp_path / side / name for side in ("whole", "killed"))
        assert whole.read_bytes() == other.read_bytes(), name
    steps = [
        (tmp_path / side / "metrics.csv").read_text().count("\n") for side in ("whole", "killed")
    ]
    assert steps[0] == steps[1]


def test_a_study_survives_being_killed(words, tmp_path):
    def command(out):
        sizes = ["--sizes", 1, 2, "--seeds", 1, "--lead-steps", 1, 3, "--max-steps", 4]
        aside = ["--test-runs", 1, "--validation-runs", 1]
        return ["transfer", *words, *sizes, *aside, "--out", tmp_path / out]

    assert main(list(map(str, command("whole")))) == 0
    # In the third of four trainings.
    assert killed("step", 10, *command("killed"))
    cells = sorted(path.name for path in (tmp_path / "killed" / "cells").rglob("*.nc"))
    assert len(cells) == 2
    assert main(list(map(str, command("killed")))) == 0
    whole, other = (
        xr.load_dataset(tmp_path / side / "mine.nc", decode_times=False)
        for side in ("whole", "killed")
    )
    times = ["seconds", "cpu_seconds"]
    xr.testing.assert_identical(whole.drop_vars(times), other.drop_vars(times))
