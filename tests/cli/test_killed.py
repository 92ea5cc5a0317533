"""A killed command, given again, ends as one that was never disturbed, bit for bit."""

import json
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
import json, os, signal, sys, traceback
import mpp.cli.finetune, mpp.cli.transfer
import mpp.study.closing
import mpp.train.states
from mpp.cli.main import main
from mpp.train.finetune import FinetuningModule

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def strike_at(where, count):
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

for line in sys.stdin:
    where, count, words = json.loads(line)
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        strike_at(where, count)
        try:
            os._exit(main(words))
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(99)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module")
def killed():
    """Whether a command that kills itself somewhere was killed, and not ended otherwise.

    Each is a process of its own, forked from one that has read the package once.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", DRIVER], **pipes) as parent:

        def run(where: str, count: int, *words: object) -> bool:
            parent.stdin.write(json.dumps([where, count, list(map(str, words))]) + "\n")
            parent.stdin.flush()
            return int(parent.stdout.readline()) == -signal.SIGKILL

        yield run
        parent.stdin.close()


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


def test_finetuning_survives_being_killed(words, killed, tmp_path, capsys):
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


def test_a_study_survives_being_killed(words, killed, tmp_path):
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
