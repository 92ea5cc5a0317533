"""A killed command, given again, ends as one that was never disturbed, bit for bit."""

import signal

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.cli.main import main
from mpp.model.axial import AxialTransformer
from mpp.schema import example
from mpp.weights import save

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture
def killed(struck):
    """Whether a command that kills itself somewhere was killed, and not ended otherwise."""

    def run(where: str, count: int, *words: object) -> bool:
        return struck("SIGKILL", where, count, list(map(str, words)))[0] == -signal.SIGKILL

    return run


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
    for where, count in (("step", 31), ("checkpoint", 2), ("scoring", 1)):
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
