"""No step is taken on a loss or a gradient that is not a usable number.

A loss is bad where it is NaN, infinite, or more than `EXPLODED` times the median size (a likelihood
may be negative) of the losses of the last `WINDOW` batches, `FEWEST` or more of them; a gradient
where its norm is NaN or infinite.
Both are looked at when gradients are there and the optimizer has not changed anything yet. The
whole step is then left out: weights and the optimizer's averages stay, while the schedule and the
mixture go on, so that what follows depends on the batches' numbers alone.
"""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import torch
import xarray as xr
from torch import Tensor

from mpp.batch import Batch
from mpp.errors import InputError, RunError
from mpp.files import written_beside
from mpp.train import processes
from mpp.train.datamodule import MixtureData
from mpp.train.modes import SKIP_LIMIT, OnBadLoss, require_policy

log = logging.getLogger(__name__)
EXPLODED = 1000.0
"""A loss has exploded at this many times the median of those before it."""
WINDOW, FEWEST = 100, 20
HUGE = 1e3
"""Values this many times a field's usual size are pointed at."""
BAD = "bad_batches"
"""Folder for batches that a step was left out for."""


class Diverged(RunError):
    """Raised where a loss or a gradient is no usable number and no further step may be left out."""


class Skipped(Exception):  # a sign between two hooks, no error
    """Raised before the optimizer takes a step that is to be left out."""


@dataclass(frozen=True)
class Seen:
    """One batch of the step that is being made.

    Args:
        number: Of the batch, in the mixture.
        batch: As the loader gave it.
        loss: What was found on it, as its share of the step's.
    """

    number: int
    batch: Batch
    loss: Tensor


class Guard(L.Callback):
    """Ends a run before a bad step, or leaves the step out.

    Args:
        out: Folder of the run; bad batches are kept in ``bad_batches`` in it.
        policy: ``stop`` or ``skip``.
        limit: Steps that may be left out.

    Attributes:
        skipped: Steps that were left out.

    Raises:
        InputError: Another policy, or a limit below zero.
    """

    def __init__(self, out: Path, policy: OnBadLoss = "stop", limit: int = SKIP_LIMIT) -> None:
        require_policy(policy, limit)
        self.out, self.policy, self.limit = out, policy, limit
        self.recent: deque[float] = deque(maxlen=WINDOW)
        self.skipped = 0
        self.seen: list[Seen] = []
        self._given: tuple[int, Batch] | None = None

    @property
    def batch(self) -> Batch | None:
        """The batch that the run is at."""
        return None if self._given is None else self._given[1]

    def state_dict(self) -> dict[str, Any]:
        return {"recent": list(self.recent), "skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.recent = deque(state_dict["recent"], maxlen=WINDOW)
        self.skipped = int(state_dict["skipped"])

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._given = processes.number(trainer.fit_loop.total_batch_idx), batch

    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        assert self._given is not None
        self.seen.append(Seen(*self._given, loss.detach()))

    def judge(self, trainer: L.Trainer, data: MixtureData, norm: Tensor) -> None:
        """Look at the losses of a step and the norm of its gradient.

        Raises:
            RunError: They are bad, and the run ends here.
            Skipped: They are bad, and the step is left out.
        """
        seen, self.seen = self.seen, []
        # Read together: on an accelerator every reading waits for all that was asked of it. Every
        # process reads the losses of all, and so comes to the same decision.
        mine = torch.stack([*(each.loss.float() for each in seen), norm.float()])
        read = [part.tolist() for part in processes.gathered(mine)]
        every = trainer.accumulate_grad_batches
        losses = [[share * every for share in shares] for *shares, _ in read]
        usual = median(map(abs, self.recent)) if len(self.recent) >= FEWEST else None
        found = [[exploded(loss, usual) for loss in each] for each in losses]
        size = next((size for *_, size in read if not isfinite(size)), None)
        if size is not None and not any(map(any, found)):
            found = [[f"the norm of the gradient is {size}"] * len(seen)] * len(read)
        if not any(map(any, found)):
            self.recent.extend(processes.in_order(losses))
            return
        step = trainer.global_step + 1
        own = [
            (replace(each, batch=each.batch.to("cpu")), told)
            for each, told in zip(seen, found[processes.rank()], strict=True)
            if told
        ]
        wrong = [each for part in processes.gathered_objects(own) for each in part]
        wrong.sort(key=lambda pair: pair[0].number)
        told = processes.by_first(lambda: self._told(step, data, wrong))
        if self.policy == "stop":
            raise Diverged(
                f"step {step}: {told}; the step was not taken; mend the data or lower the "
                "learning rate, or leave such steps out with --on-bad-loss skip; the last "
                "checkpoint is as it was"
            )
        self.skipped += 1
        if self.skipped > self.limit:
            raise Diverged(
                f"step {step}: {told}; this is step {self.skipped} that had to be left out, and "
                f"--skip-limit is {self.limit}; mend the data or lower the learning rate; the last "
                "checkpoint is as it was"
            )
        log.warning("step %d left out, %d of at most %d: %s", step, self.skipped, self.limit, told)
        raise Skipped

    def _told(self, step: int, data: MixtureData, wrong: Sequence[tuple[Seen, str]]) -> str:
        """What is wrong with a step in words, its batches being kept."""
        sentences = []
        for each, reason in wrong:
            file = self.out / BAD / f"step_{step}_batch_{each.number}.nc"
            where = f"batch {each.number} of {data.drawn(each.number).told()}"
            sentences.append(
                f"{reason} on {where}; {contents(each.batch, data)}; "
                f"{keep(each.batch, data, each.number, reason, file)}"
            )
        more = f" (and {len(sentences) - 1} other batches of the step)" if sentences[1:] else ""
        return sentences[0] + more


def exploded(loss: float, usual: float | None) -> str | None:
    """What is wrong with a loss, in words; ``None`` where it is usable.

    Args:
        loss: The loss.
        usual: Median of those before it, where there are enough.
    """
    if not isfinite(loss):
        return f"the loss is {loss}"
    if usual is not None and loss > EXPLODED * usual:
        return f"the loss is {loss:.3g}, more than {EXPLODED:g} times its median of {usual:.3g}"
    return None


def contents(batch: Batch, data: MixtureData) -> str:
    """What is not finite or of no usual size in a batch, by field, in words."""
    sizes = data.usual(batch).value.tolist()
    masked = None if batch.mask is None else batch.mask[:, None]
    said = []
    for part, frames in (("input", slice(0, -1)), ("target", slice(-1, None))):
        for channel, (name, usual) in enumerate(zip(batch.names, sizes, strict=True)):
            values = batch.values[:, frames, channel]
            if masked is not None:
                values = torch.where(masked, values, 0)
            if found := _unusual(values, usual):
                said.append(f"{part} {name} {found}")
    if batch.static is not None:
        for channel, item in enumerate(batch.static_fields):
            if found := _unusual(batch.static[:, channel], None):
                said.append(f"static map {item.name} {found}")
    for name, value in batch.parameters.items():
        if bool(torch.isinf(value).any()):  # NaN stands for a number that is not known
            said.append(f"number {name} holds infinity")
    return ", ".join(said) or "all its fields are finite and of their usual size"


def _unusual(values: Tensor, usual: float | None) -> str | None:
    missing, infinite = int(values.isnan().sum()), int(values.isinf().sum())
    kinds = [f"{count} {kind}" for count, kind in ((missing, "NaN"), (infinite, "inf")) if count]
    if kinds:
        return f"holds {' and '.join(kinds)} among {values.numel()} values"
    largest = float(values.abs().max())
    if usual is not None and largest > HUGE * usual:
        return f"reaches {largest:.3g}, {largest / usual:.2g} times its usual size"
    return None


def keep(batch: Batch, data: MixtureData, number: int, reason: str, file: Path) -> str:
    """Write a batch with its names to look at; says where it is, or why it is not there.

    Its times are those of its first window; where each window is from stands beside ``sample``.
    """
    drawn = data.drawn(number)
    alike = replace(batch, time=batch.time[:1].expand_as(batch.time))
    ds: xr.Dataset = alike.to("cpu").to_dataset().assign_coords(
        run=("sample", list(drawn.runs)),
        first_frame=("sample", list(drawn.frames)),
        true_time=(("sample", "time"), batch.time.cpu().numpy()),
    )  # fmt: skip
    ds = ds.assign_attrs(batch=number, seed=data.seed, reason=reason)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(file) as unfinished:
            ds.to_netcdf(unfinished)
    except (InputError, OSError) as error:
        return f"it could not be saved ({error})"
    return f"it is saved in {file}"
