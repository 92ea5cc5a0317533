"""Laws of training in several processes: it is the training of one process, shared out."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from safetensors.torch import load_file

from mpp.cli.main import main
from mpp.model.axial import AxialTransformer
from mpp.schema import example
from mpp.train import states
from mpp.weights import save

pytestmark = pytest.mark.slow

TINY = {"history": 3, "width": 16, "heads": 2, "depth": 1, "hidden": 8, "fine": 2, "coarse": 2}
STEPS, ACCUMULATED = 6, 4
"""Steps of a run, of four batches each; it is validated and its state saved after 2, 4 and 6."""
TOLERANCE = 1e-5
"""Of weights, the largest of which are 8. Gradients are summed in another order, in float32."""

PATCHES = """
import gc, json, os, signal, sys, traceback
from pathlib import Path
import torch, xarray
import mpp.cli.finetune, mpp.cli.pretrain, mpp.data.open, mpp.finetuning, mpp.study.record
import mpp.train.pretrain, mpp.weights
from mpp.cli.main import main
from mpp.train.modules import TrainingModule

def patch(folder, struck):
    "Note every batch of this process; at one of them, something happens."
    usual = TrainingModule.training_step
    def noted(self, batch, batch_idx):
        with open(Path(folder) / f"batches_{os.environ.get('RANK', '0')}", "a") as file:
            file.write(f"{self.number} {batch.system} {batch.values.double().sum().item()!r}\\n")
        if self.number == struck.get("batch"):
            what = struck["what"]
            if what == "nan":
                batch.values[:, 1, 0, 3] = torch.nan
            elif what == "error":
                raise RuntimeError("a mistake of the package")
            else:  # to the launcher, or to this process
                os.kill(os.getppid() if what == "launcher" else os.getpid(),
                        signal.SIGKILL if what == "kill" else signal.SIGTERM)
        return usual(self, batch, batch_idx)
    TrainingModule.training_step = noted
"""
SCRIPT = (
    PATCHES
    + """
folder, struck, words = json.loads(sys.argv[1])
patch(folder, struck)
sys.exit(main(words))
"""
)
DRIVER = (
    PATCHES
    + """
xarray.backends.list_engines()  # reads their packages
gc.freeze()
for line in sys.stdin:
    count, port, folder, struck, words, said = json.loads(line)
    sys.stdout.flush()
    children = []
    for rank in range(count):
        child = os.fork()
        children.append(child)
        if not child:
            for stream in (1, 2):
                os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
            if count > 1:  # as torchrun says it
                os.environ.update(
                    TORCHELASTIC_RUN_ID="test", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
                    RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count),
                    LOCAL_WORLD_SIZE=str(count),
                )
            patch(folder, struck)
            status = 99
            try:
                status = main(words)
            except SystemExit as ended:
                status = ended.code
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(json.dumps(ended), flush=True)
"""
)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Runs a command in several processes, forked from one that has read the package once."""
    said = tmp_path_factory.mktemp("said") / "said"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", DRIVER], **pipes) as parent:

        def run(count: int, words: list[str], folder, **struck) -> tuple[list[int], str]:
            said.unlink(missing_ok=True)
            request = [count, free_port(), str(folder), struck, words, str(said)]
            parent.stdin.write(json.dumps(request) + "\n")
            parent.stdin.flush()
            return json.loads(parent.stdout.readline()), said.read_text()

        yield run
        parent.stdin.close()


def noisy(name: str, field: str, samples: int):
    ds = example((16, 16), samples, 9).rename(tracer=field)
    rng = np.random.default_rng(len(name))
    for each in (field, "velocity_x"):
        ds[each] = ds[each] + 0.1 * rng.standard_normal(ds[each].shape)
    return ds.assign_attrs(system=name)


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> list[str]:
    """A pretraining of two systems with different fields, one and two runs of them held out."""
    folder, paths = tmp_path_factory.mktemp("data"), []
    for name, field, samples in (("drift", "tracer", 4), ("reaction", "activator", 8)):
        paths.append(str(folder / f"{name}.nc"))
        noisy(name, field, samples).to_netcdf(paths[-1], engine="h5netcdf")
    content = {
        "data": paths, "batch_size": 2, "max_steps": STEPS, "validate_every": 2,
        "accumulate": ACCUMULATED, "held_out": 0.25, "rollouts": 0.5,
        "model": {"class_path": "mpp.model.axial.AxialTransformer", "init_args": TINY},
    }  # fmt: skip
    (folder / "pretrain.yaml").write_text(yaml.safe_dump(content))
    return ["pretrain", "--config", str(folder / "pretrain.yaml")]


def to(folder, words: list[str]) -> list[str]:
    return [*words, "--out", str(folder / "run")]


@pytest.fixture(scope="module")
def alone(words, together, tmp_path_factory):
    """The folder of the run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    status, said = together(1, to(folder, words), folder)
    assert status == [0], said
    return folder


def batches(folder) -> list[list[str]]:
    return [file.read_text().splitlines() for file in sorted(folder.glob("batches_*"))]


def rows(folder) -> list[dict[str, float]]:
    """What was logged, but for times; the rate is logged once a batch of the first process."""
    found: list[dict[str, float]] = []
    with (folder / "run" / "metrics.csv").open() as file:
        for row in csv.DictReader(file):
            timed = ("windows_per_second", "data_wait")
            kept = {k: float(v) for k, v in row.items() if v and k not in timed}
            if not found or found[-1] != kept:
                found.append(kept)
    return found


def require_equal(folder, expected) -> None:
    ours, theirs = (load_file(each / "run" / "weights.safetensors") for each in (folder, expected))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE)
    found, wanted = rows(folder), rows(expected)
    assert [row.keys() for row in found] == [row.keys() for row in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, rel=1e-4, nan_ok=True)
    cards = [
        json.loads((each / "run/model.json").read_text())["card"] for each in (folder, expected)
    ]
    assert cards[0]["recipe"] == cards[1]["recipe"]


def line_of(said: str) -> str:
    """The one line that all processes together end with."""
    assert "Traceback" not in said, said
    assert said.count("mpp pretrain: ") == 1, said
    return said[said.index("mpp pretrain: ") :].splitlines()[0]


# Equality


@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_train_as_one(count, alone, words, together, tmp_path):
    # With four, two of them have no window to validate on.
    status, said = together(count, to(tmp_path, words), tmp_path)
    assert status == [0] * count, said
    assert said.count("wrote ") == 1
    shares = batches(tmp_path)
    numbers = [[int(line.split()[0]) for line in share] for share in shares]
    assert numbers == [list(range(r, STEPS * ACCUMULATED, count)) for r in range(count)]
    assert {line.split()[1] for share in shares for line in share} == {"drift", "reaction"}
    assert sorted(line for share in shares for line in share) == sorted(batches(alone)[0])
    require_equal(tmp_path, alone)


# Ends, and going on


def test_sigterm_to_torchrun_saves_a_state_for_any_number_of_processes(
    alone, words, together, tmp_path
):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    asked = json.dumps([str(tmp_path), {"batch": 9, "what": "launcher"}, to(tmp_path, words)])
    done = subprocess.run(
        [*command, str(script), asked], capture_output=True, text=True, timeout=300, check=False
    )
    # In step 3; torchrun says something of its own beside.
    assert done.returncode != 0
    assert done.stderr.count("mpp pretrain: ") == 1, done.stderr
    told = "mpp pretrain: stopped by SIGTERM, saved at step 3; the same command goes on from there"
    assert told in done.stderr
    found = states.find(tmp_path / "run")
    assert found is not None
    assert found.step == 3
    state = torch.load(found.file, weights_only=True)
    assert state["MixtureData"] == {"batches": 3 * ACCUMULATED}
    status, said = together(1, to(tmp_path, words), tmp_path)
    assert status == [0], said
    require_equal(tmp_path, alone)


def test_two_processes_go_on_where_one_was_stopped(alone, words, together, tmp_path):
    status, said = together(1, to(tmp_path, words), tmp_path, batch=9, what="self")
    assert status == [143], said
    for file in tmp_path.glob("batches_*"):
        file.unlink()
    status, said = together(2, to(tmp_path, words), tmp_path)
    assert status == [0, 0], said
    ours = [int(line.split()[0]) for share in batches(tmp_path) for line in share]
    assert sorted(ours) == list(range(3 * ACCUMULATED, STEPS * ACCUMULATED))
    require_equal(tmp_path, alone)


def test_a_bad_loss_of_one_process_ends_all_as_it_ends_one(words, together, tmp_path):
    lines = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        status, said = together(count, to(folder, words), folder, batch=7, what="nan")
        assert status == [1] * count, said
        lines.append(line_of(said).replace(str(folder), ""))
        (kept,) = (folder / "run" / "bad_batches").iterdir()
        assert kept.name == "step_2_batch_7.nc"
    assert lines[0] == lines[1]
    assert "step 2: the loss is nan on batch 7 of " in lines[0]


def test_steps_left_out_are_those_of_one_process(words, together, tmp_path):
    more = ["--on-bad-loss", "skip", "--max-steps", "2"]
    for count in (1, 2):
        (tmp_path / str(count)).mkdir()
        asked = to(tmp_path / str(count), [*words, *more])
        status, said = together(count, asked, tmp_path / str(count), batch=7, what="nan")
        assert status == [0] * count, said
        assert said.count("step 2 left out") == 1
    require_equal(tmp_path / "2", tmp_path / "1")


@pytest.mark.parametrize(
    ("more", "status", "told"),
    [
        (["--accumulate", "3"], 2, "accumulate is 3, and 2 processes share the batches of a step "
         "out; give 4 or another multiple of 2"),
        (["--devices", "3"], 2, "devices is 3, and the run has 2; start it with torchrun"),
        (["--strategy", "fsdp"], 2, "strategy is fsdp, and weights cannot be shared out"),
        (["--batch-size", "0"], 2, "batch_size is 0; give at least 1"),
        (["--batch-size", "x"], 2, "see mpp pretrain --help"),
    ],
)  # fmt: skip
def test_a_mistake_ends_all_in_one_line(more, status, told, words, together, tmp_path):
    ended, said = together(2, to(tmp_path, [*words, *more]), tmp_path)
    assert ended == [status, status], said
    assert told in line_of(said)
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_refused_in_one_line(alone, words, together, tmp_path):
    before = sorted(alone.rglob("*"))
    ended, said = together(2, to(alone, words), tmp_path)
    assert ended == [2, 2], said
    assert "exists; choose another --out" in line_of(said)
    assert sorted(alone.rglob("*")) == before


@pytest.mark.parametrize("lost", [0, 1])
def test_a_process_that_is_killed_ends_the_others(lost, words, together, tmp_path):
    # Batch 6 is of the first process, batch 7 of the second.
    ended, said = together(2, to(tmp_path, words), tmp_path, batch=6 + lost, what="kill")
    assert ended[lost] == -signal.SIGKILL
    assert ended[1 - lost] == 1, said
    assert "Traceback" not in said
    # Where the first is killed, the count of who has told anything goes with it.
    if lost:
        assert "another process of the run has ended without a word" in line_of(said)


def test_a_mistake_of_the_package_has_one_traceback(words, together, tmp_path):
    ended, said = together(2, to(tmp_path, words), tmp_path, batch=7, what="error")
    assert ended == [1, 99], said
    assert said.count("a mistake of the package") == 1
    assert "mpp pretrain: " not in said


# Before there is a group


def test_other_commands_are_for_one_process(monkeypatch, capsys):
    launcher = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    for rank, lines in (("0", 1), ("1", 0)):
        for name, value in {**launcher, "RANK": rank, "LOCAL_RANK": rank}.items():
            monkeypatch.setenv(name, value)
        assert main(["inspect", "mpp-mini"]) == 2
        told = capsys.readouterr().err
        assert told.count("mpp inspect: is for one process, and 4 were started") == lines


def test_several_machines_need_a_launcher(words, tmp_path, capsys):
    assert main([*to(tmp_path, words), "--num-nodes", "2"]) == 2
    assert "num_nodes is 2, and only this machine is known" in line_of(capsys.readouterr().err)


def test_devices_start_the_command_anew_with_torchrun(words, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(os, "execv", lambda program, line: started.append(line) or sys.exit(0))
    with pytest.raises(SystemExit):
        main([*to(tmp_path, words), "--devices", "2"])
    ((_, _, run, *options),) = started
    assert run == "torch.distributed.run"
    assert "--nproc-per-node=2" in options
    assert options[-len(to(tmp_path, words)) - 4 :] == [
        "-m", "mpp", *to(tmp_path, words), "--devices", "2",
    ]  # fmt: skip


# Finetuning


@pytest.fixture(scope="module")
def tuning(words, tmp_path_factory) -> list[str]:
    """A finetuning of a checkpoint on a system with a field that is new to it."""
    folder = tmp_path_factory.mktemp("tuning")
    torch.manual_seed(0)
    save(AxialTransformer(["tracer", "velocity_x"], **TINY), folder / "model")
    ds = noisy("reaction", "activator", 8)
    ds.to_netcdf(folder / "runs.nc", engine="h5netcdf")
    return [
        "finetune", "--checkpoint", str(folder / "model"), "--data", str(folder / "runs.nc"),
        "--donor", "activator=tracer", "--max-steps", "4", "--accumulate", "2",
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["full", "lora", "gradual"])
def test_several_processes_finetune_as_one(mode, tuning, together, tmp_path):
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        asked = to(folder, [*tuning, "--mode", mode])
        status, said = together(count, asked, folder)
        assert status == [0] * count, said
        assert said.count("wrote ") == said.count("the weights that validated best") == 1
    shares = batches(tmp_path / "2")
    assert [len(share) for share in shares] == [4, 4]
    assert sorted(line for share in shares for line in share) == sorted(batches(tmp_path / "1")[0])
    one, two = (tmp_path / name / "run" for name in "12")
    names = [sorted(p.relative_to(f).as_posix() for p in f.rglob("*")) for f in (one, two)]
    assert names[0] == names[1]
    torch.testing.assert_close(
        load_file(two / "weights.safetensors"), load_file(one / "weights.safetensors"),
        rtol=0, atol=TOLERANCE,
    )  # fmt: skip
    found, wanted = rows(tmp_path / "2"), rows(tmp_path / "1")
    assert [row.keys() for row in found] == [row.keys() for row in wanted]
    for mine, other in zip(found, wanted, strict=True):
        assert mine == pytest.approx(other, rel=1e-4, nan_ok=True)
    mine, other = (xr.load_dataset(f / "scores.nc", decode_times=False) for f in (two, one))
    np.testing.assert_allclose(mine["vrmse"], other["vrmse"], rtol=1e-3)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--accumulate", "3"], "accumulate is 3, and 2 processes share the batches of a step out"),
        (["--max-minutes", "1"], "max_minutes is for one process, whose clock tells"),
        (["--lr", "-1"], "lr is -1.0; give a finite number above 0"),
        (["--strategy", "fsdp"], "strategy is fsdp, and weights cannot be shared out"),
    ],
)
def test_a_mistake_of_a_finetuning_ends_all_in_one_line(more, told, tuning, together, tmp_path):
    ended, said = together(2, to(tmp_path, [*tuning, *more]), tmp_path)
    assert ended == [2, 2], said
    assert "Traceback" not in said
    assert said.count("mpp finetune: ") == 1
    assert told in said
    assert not (tmp_path / "run").exists()


def test_devices_start_a_finetuning_anew_with_torchrun(tuning, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(os, "execv", lambda program, line: started.append(line) or sys.exit(0))
    asked = [*to(tmp_path, tuning), "--devices", "2"]
    with pytest.raises(SystemExit):
        main(asked)
    assert "--nproc-per-node=2" in started[0]
    assert started[0][-len(asked) - 2 :] == ["-m", "mpp", *asked]
