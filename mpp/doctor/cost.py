"""What a finetuning will take: three real optimizer steps on a few windows, and their peak memory.

The first step warms up, one of the others is rolled out. Large frames are trained on in part, and
time and memory are scaled by the points, which all but the reach of attention goes with.
"""

import copy
import inspect
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, nan, prod
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import xarray as xr

from mpp.batch import Batch
from mpp.data.windows import IN_MEMORY_BYTES
from mpp.doctor.layout import cost
from mpp.doctor.report import Precision
from mpp.doctor.sampled import MOST_BYTES, spread
from mpp.finetuning import HELD_OUT, finetune
from mpp.model.axial import AxialTransformer
from mpp.schema import space_axes
from mpp.train.datamodule import MixtureData, window_frames
from mpp.train.finetune import FinetuningModule
from mpp.train.fit import expected_warnings
from mpp.train.modes import STEPS as DEFAULT_STEPS
from mpp.train.modes import UNROLL_SHARE

STEPS = 3
POINTS = 128**2
"""Points of a frame that steps are measured on, at most."""
LEAST_POINTS = 16
"""Points along an axis that are kept in any case."""
WINDOWS = 4


@dataclass(frozen=True)
class CostReport:
    """What finetuning will take, from three optimizer steps on this machine.

    Args:
        device: What it ran on.
        precision: As the finetuning names it.
        steps: Optimizer steps of a finetuning by default.
        batch_size: Windows in a batch by default.
        seconds_a_step: Time of a step, rollouts included as often as they come.
        seconds: Time of all steps, and of validation as often as it comes.
        memory: Bytes by which the memory of the process grew, or that CUDA held; with the data,
            where training reads it into memory.
        available: Bytes that the device has left; 0 if that is not known.
        scaled: Points of a whole frame over the points of the part of it that was trained on; time
            and memory are scaled by that.
        error: Error of the first step before any training, in units of the change; copying the last
            frame has 1. ``nan`` if it is not finite.
    """

    device: str
    precision: str
    steps: int
    batch_size: int
    seconds_a_step: float
    seconds: float
    memory: int
    available: int
    scaled: float
    error: float


class MeasuredModule(FinetuningModule):
    """Finetuning without a schedule, of whose few steps the last is rolled out."""

    def rolls_out(self, batch: Batch) -> bool:
        return batch.frames > 2 and self.trainer.global_step == STEPS - 1

    def configure_optimizers(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer(self.model, self.lr, self.weight_decay)}


class Stopwatch(L.Callback):
    """Times of the steps and of a validation batch, and which steps were rolled out."""

    def __init__(self, on_step: Callable[[int, int], None]) -> None:
        self.on_step = on_step
        self.plain: list[float] = []
        self.rolled: list[float] = []
        self.validation: list[float] = []
        self.error = nan
        self.started = 0.0

    def on_train_batch_start(self, *args: Any) -> None:
        self._start()

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        took = self._took()
        seen = trainer.callback_metrics
        rolled = "rollout_loss" in seen and not self.rolled
        (self.rolled if rolled else self.plain).append(took)
        self.on_step(len(self.rolled) + len(self.plain), STEPS)
        if len(self.plain) == 1 and not self.rolled:
            self.error = float(seen["loss"]) ** 0.5

    def on_validation_batch_start(self, *args: Any) -> None:
        self._start()

    def on_validation_batch_end(self, *args: Any) -> None:
        self.validation.append(self._took())

    def _start(self) -> None:
        _finish()
        self.started = time.perf_counter()

    def _took(self) -> float:
        _finish()
        return time.perf_counter() - self.started


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@dataclass(frozen=True)
class Trial:
    """Windows to measure on, and the points of a whole frame over those of theirs."""

    ds: xr.Dataset
    scaled: float


def trial_of(ds: xr.Dataset, model: AxialTransformer) -> Trial | None:
    """A few windows of a part of the grid, in memory; ``None`` if they cost too much to read."""
    axes, frames = space_axes(ds), window_frames(model, [ds]) + 1
    points = prod(ds.sizes[axis] for axis in axes)
    shrink = max(1.0, points / POINTS) ** (1 / len(axes))
    lengths = {axis: max(min(n, LEAST_POINTS), int(n / shrink)) for axis, n in _sizes(ds, axes)}
    needed = cost(ds, {"sample": 1, "time": frames, **lengths})
    if needed > MOST_BYTES or frames > ds.sizes["time"]:
        return None
    runs = spread(ds.sizes["sample"], int(np.clip(MOST_BYTES // max(1, needed), 1, WINDOWS)))
    part = {
        axis: slice((ds.sizes[axis] - n) // 2, (ds.sizes[axis] + n) // 2)
        for axis, n in lengths.items()
    }
    # A single run gives further windows by being longer.
    length = frames if len(runs) > 1 else min(ds.sizes["time"], frames + WINDOWS - 1)
    chosen = ds.isel({"sample": runs, "time": slice(0, length), **part}).load()
    return Trial(chosen, points / prod(chosen.sizes[axis] for axis in axes))


def _sizes(ds: xr.Dataset, axes: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(axis, ds.sizes[axis]) for axis in axes]


def measure(
    model: AxialTransformer,
    ds: xr.Dataset,
    trial: Trial,
    precision: Precision,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[CostReport, dict[str, str]]:
    """Take the steps with the module that finetuning uses.

    Args:
        model: The checkpoint's model; it stays as it is.
        ds: The whole dataset.
        trial: What `trial_of` made of it.
        precision: As the finetuning names it.
        on_step: Called with the number of steps taken and of all.

    Returns:
        What it takes, and the known field that each new one starts from.

    Raises:
        InputError: The windows cannot be trained on.
    """
    given = inspect.signature(finetune).parameters
    steps, batch = DEFAULT_STEPS, int(given["batch_size"].default)
    frames = window_frames(model, [ds])
    watch, memory = Stopwatch(on_step), Memory()
    data = MixtureData([trial.ds], [trial.ds], frames, batch)
    module = MeasuredModule(copy.deepcopy(model), data)
    _train(module, data, watch, precision)
    plain, rolled = watch.plain[-1], (watch.rolled or watch.plain)[-1]
    share = UNROLL_SHARE / 2  # every other batch of that part of the run
    each = trial.scaled * ((1 - share) * plain + share * rolled)
    checks = ceil(steps / int(given["validate_every"].default)) * _validation_batches(
        ds, frames, batch
    )
    checking = trial.scaled * checks * (watch.validation or [0.0])[-1]
    held = ds.nbytes if ds.nbytes <= IN_MEMORY_BYTES else 0
    weights = 4 * 4 * sum(parameter.numel() for parameter in module.model.parameters())
    grown = memory.grown()
    report = CostReport(
        device=memory.device,
        precision=precision,
        steps=steps,
        batch_size=batch,
        seconds_a_step=each,
        seconds=steps * each + checking,
        memory=int(weights + trial.scaled * max(0, grown - weights) + held),
        available=memory.available,
        scaled=trial.scaled,
        error=watch.error,
    )
    return report, module.donors


def _train(module: FinetuningModule, data: MixtureData, watch: Stopwatch, precision: str) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    trainer = L.Trainer(
        accelerator="auto",
        devices=1,
        max_steps=STEPS,
        max_epochs=-1,
        precision=precision,  # type: ignore[arg-type]  # Lightning checks it
        gradient_clip_val=1.0,
        val_check_interval=STEPS,
        check_val_every_n_epoch=None,
        limit_val_batches=1,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with expected_warnings():
        trainer.fit(module.train(), data)


def _validation_batches(ds: xr.Dataset, frames: int, batch: int) -> int:
    """Batches of a validation, as `mpp.finetune` splits the runs."""
    runs, length = ds.sizes["sample"], ds.sizes["time"]
    if runs == 1:
        return 1
    windows = max(1, round(HELD_OUT * runs)) * len(range(0, length - frames, frames))
    return ceil(windows / batch)


class Memory:
    """Memory from now on: of the process, or of CUDA where there is one."""

    def __init__(self) -> None:
        self.cuda = torch.cuda.is_available()
        self.device = torch.cuda.get_device_name() if self.cuda else "the CPU"
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            self.available = int(torch.cuda.mem_get_info()[0])
            self.before = 0
            return
        with suppress(OSError):  # not everywhere; then the peak is that since the start
            Path("/proc/self/clear_refs").write_text("5")
        self.available = _read("/proc/meminfo", "MemAvailable")
        self.before = _read("/proc/self/status", "VmRSS") or _most()

    def grown(self) -> int:
        """Bytes by which it was above the start at its peak."""
        if self.cuda:
            return int(torch.cuda.max_memory_allocated())
        return max(0, (_read("/proc/self/status", "VmHWM") or _most()) - self.before)


def _most() -> int:
    """Peak memory since the process started."""
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _read(path: str, key: str) -> int:
    """A number of bytes that Linux tells; 0 elsewhere."""
    with suppress(OSError):
        for line in Path(path).read_text().splitlines():
            if line.startswith(f"{key}:"):
                return 1024 * int(line.split()[1])
    return 0
