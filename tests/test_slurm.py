"""The scripts for SLURM, with an srun that starts the processes of two nodes on this machine."""

import csv
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mpp.schema import example

SCRIPTS = sorted(Path(__file__).parents[1].glob("experiments/slurm/*.sh"))

SRUN = """#!/bin/bash
# What srun would tell each task. The first job is asked to end once it has saved a state.
echo "$@" >> "$HERE/started"
while [[ "$1" == -* ]]; do shift; done
export SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NUM_NODES=2 SLURM_NTASKS_PER_NODE=1 SLURM_LOCALID=0
tasks=()
for rank in 0 1; do
    SLURM_PROCID=$rank SLURM_NODEID=$rank "$@" &
    tasks+=($!)
done
if [[ "$(wc -l < "$HERE/started")" -eq 1 ]]; then
    until [[ -e "$HERE/run/checkpoints/last.ckpt" ]]; do sleep 0.2; done
    kill -TERM "${tasks[@]}"
fi
worst=0
for task in "${tasks[@]}"; do
    status=0
    wait "$task" || status=$?
    if ((status > worst)); then worst=$status; fi
done
exit "$worst"
"""
SCONTROL = '#!/bin/bash\necho "$@" >> "$HERE/asked"\n'
MPP = f'#!/bin/bash\nexec {sys.executable} -m mpp "$@"\n'


def submit(script: Path, words: list[str], folder: Path) -> subprocess.CompletedProcess:
    """Run a job's script as SLURM runs it on its first node, with the commands in a folder."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    job = {
        "SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "mpp-pretrain", "SLURM_NTASKS": "2",
        "SLURM_NNODES": "2", "SLURM_NODELIST": "localhost", "SLURM_PROCID": "0",
        "MASTER_PORT": str(port), "HERE": str(folder),
        "PATH": f"{folder}:{os.environ['PATH']}",
    }  # fmt: skip
    return subprocess.run(
        ["bash", str(script), *words], env={**os.environ, **job}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip


def commands(folder: Path, **found: str) -> None:
    for name, text in found.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_asks_for_what_the_training_needs(script, tmp_path):
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    asked = [line.split()[1] for line in script.read_text().splitlines() if "#SBATCH -" in line]
    options = dict(option.removeprefix("--").partition("=")[::2] for option in asked)
    assert options["ntasks-per-node"] == options["gpus-per-node"]
    assert options["signal"].startswith("TERM@")
    commands(tmp_path, srun='#!/bin/bash\necho "$@"\n')
    done = submit(script, ["--out", "a folder"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "--kill-on-bad-exit=1 --wait=0 mpp pretrain --out a folder\n"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_job_that_is_too_short_queues_itself_again_until_it_has_ended(tmp_path):
    commands(tmp_path, srun=SRUN, scontrol=SCONTROL, mpp=MPP)
    example((16, 16), 4, 9).to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
    model = {"history": 3, "width": 16, "heads": 2, "depth": 1, "hidden": 8, "fine": 2, "coarse": 2}
    content = {
        "data": [str(tmp_path / "data.nc")], "batch_size": 1, "max_steps": 30, "accumulate": 2,
        "validate_every": 3, "held_out": 0.25,
        "model": {"class_path": "mpp.model.axial.AxialTransformer", "init_args": model},
    }  # fmt: skip
    (tmp_path / "pretrain.yaml").write_text(yaml.safe_dump(content))
    words = ["--config", str(tmp_path / "pretrain.yaml"), "--out", str(tmp_path / "run")]
    script = next(script for script in SCRIPTS if script.name == "requeue.sh")
    first = submit(script, words, tmp_path)
    assert first.returncode == 143, first.stderr
    assert first.stderr.count("mpp pretrain: stopped by SIGTERM, saved at step ") == 1
    assert (tmp_path / "asked").read_text() == "requeue 4711\n"
    assert not (tmp_path / "run" / "model.json").exists()
    second = submit(script, words, tmp_path)
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("wrote ") == 1
    assert (tmp_path / "asked").read_text() == "requeue 4711\n"
    assert (tmp_path / "run" / "model.json").is_file()
    with (tmp_path / "run" / "metrics.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["val"]]
    assert steps == list(range(2, 30, 3))
