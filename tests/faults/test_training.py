"""Whatever ends a training, the same command goes on, to the result of one that nothing ended."""

import csv
import os
import re
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr
import yaml

from mpp.cli.main import main
from mpp.data import windows
from mpp.model.axial import AxialTransformer
from mpp.schema import example
from mpp.train import guard, modules, states
from mpp.train.modules import TrainingModule
from mpp.weights import describe, save

pytestmark = [pytest.mark.slow, pytest.mark.faults]

TINY = {"history": 3, "width": 16, "heads": 2, "depth": 1, "hidden": 8, "fine": 2, "coarse": 2}
STEPS, ACCUMULATED = 6, 2
"""Steps of a run, of two batches each; it is validated and its state saved after 3 and 6."""


def noisy(name: str, field: str, samples: int = 4) -> xr.Dataset:
    ds = example((8, 8), samples, 8).rename(tracer=field)
    rng = np.random.default_rng(len(name))
    for each in (field, "velocity_x"):
        ds[each] = ds[each] + 0.1 * rng.standard_normal(ds[each].shape)
    return ds.assign_attrs(system=name)


def pretraining(folder, **changes) -> list[str]:
    """The words of a pretraining of two systems, whose files are written into the folder."""
    paths = []
    for name, field in (("drift", "tracer"), ("reaction", "activator")):
        paths.append(str(folder / f"{name}.nc"))
        if not os.path.exists(paths[-1]):
            noisy(name, field).to_netcdf(paths[-1], engine="h5netcdf")
    content = {
        "data": paths, "batch_size": 2, "max_steps": STEPS, "validate_every": 3,
        "accumulate": ACCUMULATED, "held_out": 0.25,
        "model": {"class_path": "mpp.model.axial.AxialTransformer", "init_args": TINY},
    }  # fmt: skip
    file = folder / "pretrain.yaml"
    file.write_text(yaml.safe_dump({**content, **changes}))
    return ["pretrain", "--config", str(file)]


def to(out, words: list[str]) -> list[str]:
    return [*words, "--out", str(out)]


def result(out) -> dict[str, object]:
    """All that must be the same: weights, and what was logged of them but for times."""
    timed = ("windows_per_second", "data_wait")
    with (out / "metrics.csv").open() as file:
        rows = [{k: v for k, v in row.items() if k not in timed} for row in csv.DictReader(file)]
    state = torch.load(out / states.FOLDER / states.LAST, weights_only=True)
    kept = ("global_step", "lr_schedulers", "loops", "MixtureData")
    moments = [
        value for one in state["optimizer_states"][0]["state"].values() for value in one.values()
    ]
    return {
        "weights": (out / "weights.safetensors").read_bytes(),
        "rows": rows,
        "state": {name: state[name] for name in kept},
        "guard": state["callbacks"]["Guard"],
        "moments": torch.cat([value.double().flatten() for value in moments]).tolist(),
    }


def one_line(error: str, command: str = "pretrain") -> str:
    """The line that a command ends with; there is no traceback above it."""
    assert "Traceback" not in error
    assert error.count(f"mpp {command}: ") == 1
    line = error.splitlines()[-1]
    assert line.startswith(f"mpp {command}: ")
    return line


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run that nothing ended, and the words of its command."""
    folder = tmp_path_factory.mktemp("undisturbed")
    words = pretraining(folder)
    assert main(to(folder / "whole", words)) == 0
    return words, result(folder / "whole")


def same(found: dict[str, object], expected: dict[str, object]) -> bool:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == value, name
    return True


# Signals


@pytest.mark.parametrize(
    ("where", "count", "saved"),
    # In a step whose second batch is still to come; while a validation runs; at the very end.
    [("batch", 7, 4), ("validation", 2, 3), ("batch", 12, 6)],
)
def test_sigterm_saves_the_step_it_stops_at(undisturbed, struck, tmp_path, where, count, saved):
    words, expected = undisturbed
    status, said = struck("SIGTERM", where, count, to(tmp_path / "run", words))
    assert status == 143, said
    line = one_line(said)
    assert f"stopped by SIGTERM, saved at step {saved}; the same command goes on" in line
    assert not (tmp_path / "run" / "model.json").exists()
    found = states.find(tmp_path / "run")
    assert found is not None
    assert (found.step, found.warning) == (saved, None)
    assert main(to(tmp_path / "run", words)) == 0
    same(result(tmp_path / "run"), expected)


def test_sigkill_loses_no_more_than_the_steps_since_the_last_state(undisturbed, struck, tmp_path):
    words, expected = undisturbed
    out = tmp_path / "run"
    # In step 5; before the bytes of the second state are safe; between its two renames.
    for where, count, left in (("batch", 9, 3), ("writing", 1, 3), ("renaming", 3, None)):
        status, said = struck("SIGKILL", where, count, to(out, words))
        assert status == -signal.SIGKILL, (where, said)
        if left is not None:
            found = states.find(out)
            assert found is not None
            assert found.step == left
    assert not (out / states.FOLDER / states.LAST).exists()
    assert (out / states.FOLDER / states.PREVIOUS).exists()
    assert main(to(out, words)) == 0
    assert not list((out / states.FOLDER).glob(".*"))
    same(result(out), expected)


def test_another_command_does_not_go_on_with_what_is_there(undisturbed, tmp_path, capsys):
    words, _ = undisturbed
    out = tmp_path / "run"
    assert main([*to(out, words), "--max-steps", "3"]) == 0
    (out / "model.json").unlink()
    assert main([*to(out, words), "--max-steps", "3", "--lr", "0.001"]) == 2
    line = one_line(capsys.readouterr().err)
    assert "holds another pretraining: settings, lr is 0.005 there and 0.001 here" in line


# Workers


def test_an_error_in_a_worker_leaves_the_state(tmp_path, monkeypatch, capsys):
    words = pretraining(tmp_path, workers=1)
    expected_out = tmp_path / "whole"
    monkeypatch.setattr(windows, "IN_MEMORY_BYTES", 0)  # read window by window, by the worker
    assert main(to(expected_out, words)) == 0
    file, out = tmp_path / "reaction.nc", tmp_path / "run"
    whole, step = file.read_bytes(), TrainingModule.training_step

    def breaking(self, batch, batch_idx):
        if batch_idx == 7:
            os.truncate(file, len(whole) // 4)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", breaking)
        status = main(to(out, words))
    line = one_line(capsys.readouterr().err)
    assert status == 2
    assert f"{file}: the HDF5 file is cut off" in line
    assert multiprocessing_children() == []
    file.write_bytes(whole)

    def killing(self, batch, batch_idx):
        if batch_idx == 9:
            for worker in multiprocessing_children():
                os.kill(worker, signal.SIGKILL)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", killing)
        assert main(to(out, words)) == 1
    assert "a process that reads windows died" in one_line(capsys.readouterr().err)
    assert main(to(out, words)) == 0
    same(result(out), result(expected_out))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."),
        RuntimeError("received 0 items of ancdata"),
        ConnectionResetError(104, "Connection reset by peer"),
        ConnectionRefusedError(111, "Connection refused"),
        EOFError(),
    ],
)
def test_a_dead_worker_is_told_by_whatever_says_so_first(tmp_path, monkeypatch, capsys, error):
    def lost(self, batch, batch_idx):
        raise error

    monkeypatch.setattr(TrainingModule, "training_step", lost)
    assert main(to(tmp_path / "run", pretraining(tmp_path))) == 1
    assert "a process that reads windows died" in one_line(capsys.readouterr().err)


def multiprocessing_children() -> list[int]:
    import multiprocessing

    return [child.pid for child in multiprocessing.active_children() if child.pid]


# Disks


def test_a_full_disk_leaves_the_state_before(undisturbed, tmp_path, monkeypatch, capsys):
    words, expected = undisturbed
    out, step = tmp_path / "run", TrainingModule.training_step
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def filling(self, batch, batch_idx):
        if batch_idx == 8:  # the state of step 3 is there
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", filling)
        try:
            status = main(to(out, words))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 2
    line = one_line(capsys.readouterr().err)
    assert re.search(r"last\.ckpt: could not be written \(File too large; .* MB are free\)", line)
    assert "the one before is still there, to go on from" in line
    assert [p.name for p in (out / states.FOLDER).iterdir()] == [states.LAST]
    assert main(to(out, words)) == 0
    same(result(out), expected)


# Damaged states


def flipped(file) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_damaged_state_falls_back_to_the_one_before(undisturbed, tmp_path, caplog, capsys):
    words, expected = undisturbed
    out = tmp_path / "run"
    assert main(to(out, words)) == 0
    (out / "model.json").unlink()  # as if it had been stopped before its end
    folder = out / states.FOLDER
    flipped(folder / states.LAST)
    assert main(to(out, words)) == 0
    (warning,) = [r.getMessage() for r in caplog.records if "damaged" in r.getMessage()]
    assert str(folder / states.LAST) in warning
    assert f"{folder / states.PREVIOUS}, of step 3" in warning
    assert (folder / states.DAMAGED).is_file()
    same(result(out), expected)
    (out / "model.json").unlink()
    for name in (states.LAST, states.PREVIOUS):
        (folder / name).write_bytes((folder / name).read_bytes()[:-5000])
    capsys.readouterr()
    assert main(to(out, words)) == 2
    line = one_line(capsys.readouterr().err)
    assert "so that there is nothing to go on from; start anew with --overwrite" in line


def test_a_state_without_a_hash_is_read_and_one_with_code_is_not(tmp_path):
    folder = tmp_path / states.FOLDER
    folder.mkdir()
    torch.save({"global_step": 7}, folder / states.LAST)
    found = states.find(tmp_path)
    assert found is not None
    assert found.step == 7
    torch.save({"global_step": 7, "code": print}, folder / states.LAST)
    with pytest.raises(states.InputError, match="holds more than tensors and numbers"):
        states.find(tmp_path)


def test_a_state_carries_the_hash_of_all_of_it(tmp_path):
    file = tmp_path / states.FOLDER / states.LAST
    states.StateIO().save_checkpoint({"global_step": 1, "x": torch.arange(100.0)}, file)
    whole = file.read_bytes()
    for place in range(0, len(whole) - 66, 7):
        changed = bytearray(whole)
        changed[place] ^= 4
        file.write_bytes(changed)
        assert states.damage(file) is not None, place
    file.write_bytes(whole)
    assert states.damage(file) is None


# Bad losses


def spoiled(monkeypatch, system: str, value: float, run: int = 1) -> None:
    """Let every window of one run of a system hold a value where it starts."""
    usual = windows.Windows.__getitem__

    def bad(self, index):
        batch, (place, _) = usual(self, index), self.places[index]
        if self.system == system and place == run and self in training:
            batch = batch.rows([0])
            batch.values[:, 1, 0, 3] = value
        return batch

    training: list[windows.Windows] = []
    loader = modules.MixtureData.train_dataloader

    def noted(self):
        training.extend(self.training)
        return loader(self)

    monkeypatch.setattr(modules.MixtureData, "train_dataloader", noted)
    monkeypatch.setattr(windows.Windows, "__getitem__", bad)


def test_a_bad_loss_stops_before_the_step_and_says_where_it_is(
    undisturbed, tmp_path, monkeypatch, capsys
):
    words, expected = undisturbed
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        spoiled(patch, "reaction", np.nan)
        assert main(to(out, words)) == 1
    line = one_line(capsys.readouterr().err)
    found = re.search(r"step (\d): the loss is nan on batch (\d+) of reaction \(training run", line)
    assert found is not None
    step, batch = int(found[1]), int(found[2])
    assert "run 1 frames" in line
    assert re.search(r"input activator holds \d+ NaN among \d+ values", line)
    assert "velocity_x" not in line
    file = out / guard.BAD / f"step_{step}_batch_{batch}.nc"
    assert str(file) in line
    with xr.open_dataset(file) as ds:
        assert ds.attrs["system"] == "reaction"
        assert 1 in ds["run"].values
        assert int(ds["activator"].isnull().sum()) > 0
        assert int(ds["velocity_x"].isnull().sum()) == 0
    assert not (out / "model.json").exists()
    assert main(to(out, words)) == 0  # the data is mended
    same(result(out), expected)


def test_skipping_changes_nothing_but_the_step_and_survives_a_stop(tmp_path, monkeypatch, caplog):
    words = [*pretraining(tmp_path), "--on-bad-loss", "skip"]
    spoiled(monkeypatch, "reaction", np.inf)
    before, step, weights = [], TrainingModule.optimizer_step, {}

    def watched(self, *args):
        before.append({k: v.clone() for k, v in self.model.state_dict().items()})
        skipped, moments = self.skipped, repr(self.trainer.optimizers[0].state_dict())
        step(self, *args)
        if self.skipped > skipped:
            weights[self.steps] = all(
                torch.equal(v, before[-1][k]) for k, v in self.model.state_dict().items()
            )
            assert repr(self.trainer.optimizers[0].state_dict()) == moments

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "optimizer_step", watched)
        assert main(to(tmp_path / "whole", words)) == 0
    assert weights
    assert all(weights.values())
    expected = result(tmp_path / "whole")
    skipped = describe(tmp_path / "whole")["card"]["recipe"]["skipped_steps"]
    assert skipped == len(weights) == expected["guard"]["skipped"]
    assert 0 < skipped < STEPS
    said = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert len(said) == skipped
    assert "1 of at most 10: the loss is nan on batch" in said[0]
    usual = TrainingModule.training_step

    def signalled(self, batch, batch_idx):
        if batch_idx == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return usual(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", signalled)
        assert main(to(tmp_path / "parts", words)) == 143
    assert main(to(tmp_path / "parts", words)) == 0
    same(result(tmp_path / "parts"), expected)


def test_a_run_ends_where_it_skips_too_often(tmp_path, monkeypatch, capsys):
    spoiled(monkeypatch, "reaction", np.nan)
    words = [*pretraining(tmp_path), "--on-bad-loss", "skip", "--skip-limit", "0"]
    assert main(to(tmp_path / "run", words)) == 1
    line = one_line(capsys.readouterr().err)
    assert "this is step 1 that had to be left out, and --skip-limit is 0" in line


def test_a_gradient_without_a_norm_is_bad(tmp_path, monkeypatch, capsys):
    class Broken(torch.autograd.Function):
        """A loss whose gradient is infinite."""

        @staticmethod
        def forward(ctx, loss):
            return loss.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * np.inf

    step = TrainingModule.training_step

    def steep(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        return Broken.apply(loss) if batch_idx == 3 else loss

    monkeypatch.setattr(TrainingModule, "training_step", steep)
    assert main(to(tmp_path / "run", pretraining(tmp_path))) == 1
    line = one_line(capsys.readouterr().err)
    assert re.search(r"step 2: the norm of the gradient is (nan|inf) on batch 2 of", line)
    assert "(and 1 other batches of the step)" in line
    assert len(list((tmp_path / "run" / guard.BAD).iterdir())) == 2


def test_a_loss_has_exploded_at_a_thousand_times_its_median():
    usual = 0.1
    assert guard.exploded(99.0, usual) is None
    assert "more than 1000 times its median of 0.1" in (guard.exploded(101.0, usual) or "")
    assert guard.exploded(1e30, None) is None
    assert guard.exploded(float("nan"), None) == "the loss is nan"


def test_an_exploding_loss_is_caught(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(guard, "FEWEST", 4)
    step = TrainingModule.training_step

    def exploding(self, batch, batch_idx):
        return step(self, batch, batch_idx) * (1e5 if batch_idx == 6 else 1)

    monkeypatch.setattr(TrainingModule, "training_step", exploding)
    assert main(to(tmp_path / "run", pretraining(tmp_path))) == 1
    line = one_line(capsys.readouterr().err)
    assert "step 4: the loss is" in line
    assert "more than 1000 times its median" in line
    assert "all its fields are finite and of their usual size" in line


# Memory


TORCH_CPU = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 68719476736 bytes. Error code 12 (Cannot allocate memory)"
)
CUDA = "CUDA out of memory. Tried to allocate 64.00 GiB. GPU 0 has a total capacity of 79.10 GiB"


@pytest.mark.parametrize(
    "error",
    [RuntimeError(TORCH_CPU), torch.OutOfMemoryError(CUDA), MemoryError()],
    ids=["processor", "accelerator", "python"],
)
def test_a_batch_that_does_not_fit_says_how_large_it_is(tmp_path, monkeypatch, capsys, error):
    def full(self, batch, batch_idx):
        raise error

    monkeypatch.setattr(TrainingModule, "training_step", full)
    assert main(to(tmp_path / "run", pretraining(tmp_path))) == 1
    line = one_line(capsys.readouterr().err)
    # A history of 3 is trained on windows of 8 frames here: the last is only a target.
    assert re.search(
        r"out of memory on cpu with a batch of 2 windows x \d frames x 2 fields x 8 x 8 points of "
        r"(drift|reaction) \(.* MB as it is read\) and a model of [\d,]+ parameters; .* are free",
        line,
    )
    assert "lower --batch-size, the model's history" in line


def test_another_error_keeps_its_traceback(tmp_path, monkeypatch):
    def wrong(self, batch, batch_idx):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(TrainingModule, "training_step", wrong)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        main(to(tmp_path / "run", pretraining(tmp_path)))


def test_memory_that_is_really_out_ends_in_one_line(tmp_path):
    words = [*pretraining(tmp_path, accumulate=1), "--batch-size", "20000"]
    limit = (
        "import resource, sys, torch, lightning, mpp.cli.pretrain, mpp.train.fit\n"
        "from mpp.cli.main import main\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "most = pages * resource.getpagesize() + 600 * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    code = [sys.executable, "-c", limit, *to(tmp_path / "run", words)]
    done = subprocess.run(code, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    line = one_line(done.stderr)
    assert "out of memory on cpu with a batch of 20000 windows x" in line
    assert "this process may have" in line


# Finetuning and studies


@pytest.fixture
def own(tmp_path):
    """The words that name a checkpoint and runs of a system that it does not know."""
    torch.manual_seed(0)
    made = AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, fine=2, coarse=2)
    save(made, tmp_path / "checkpoint")
    noisy("mine", "height", samples=5).to_netcdf(tmp_path / "runs.nc", engine="h5netcdf")
    return ["--checkpoint", str(tmp_path / "checkpoint"), "--data", str(tmp_path / "runs.nc")]


def signalled(monkeypatch, count: int) -> None:
    """Send SIGTERM with the ``count``th batch that is trained on."""
    usual, seen = TrainingModule.training_step, []

    def step(self, batch, batch_idx):
        seen.append(batch_idx)
        if len(seen) == count:
            os.kill(os.getpid(), signal.SIGTERM)
        return usual(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", step)


def test_a_finetuning_stops_and_goes_on(own, tmp_path, monkeypatch, capsys):
    words = ["finetune", *own, "--max-steps", "6"]
    assert main(to(tmp_path / "whole", words)) == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        signalled(patch, 4)
        assert main(to(tmp_path / "parts", words)) == 143
    assert "saved at step 4" in one_line(capsys.readouterr().err, "finetune")
    assert main(to(tmp_path / "parts", words)) == 0
    same(result(tmp_path / "parts"), result(tmp_path / "whole"))


def test_a_finetuning_names_its_bad_batch(own, tmp_path, monkeypatch, capsys):
    spoiled(monkeypatch, "mine", 1e30, run=0)
    assert main(to(tmp_path / "run", ["finetune", *own, "--max-steps", "6"])) == 1
    line = one_line(capsys.readouterr().err, "finetune")
    assert "of mine (training run" in line
    assert re.search(r"input height reaches 1e\+30, .* times its usual size", line)


def test_a_study_goes_on_within_a_training(own, tmp_path, monkeypatch, capsys):
    sizes = ["--sizes", "1", "2", "--seeds", "1", "--lead-steps", "1", "3", "--max-steps", "6"]
    words = ["transfer", *own, *sizes, "--test-runs", "1", "--validation-runs", "1"]
    assert main(to(tmp_path / "whole", words)) == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        signalled(patch, 9)  # in the third step of the second of four trainings
        assert main(to(tmp_path / "parts", words)) == 143
    assert "saved at step 3" in one_line(capsys.readouterr().err, "transfer")
    (begun,) = (tmp_path / "parts" / "cells" / "mine").glob("*.training")
    found = states.find(begun)
    assert found is not None
    assert found.step == 3
    assert main(to(tmp_path / "parts", words)) == 0
    assert not list((tmp_path / "parts" / "cells" / "mine").glob("*.training"))
    whole, parts = (
        xr.load_dataset(tmp_path / side / "mine.nc", decode_times=False).drop_vars(
            ["seconds", "cpu_seconds"]
        )
        for side in ("whole", "parts")
    )
    xr.testing.assert_identical(whole, parts)
