"""The progress bar of a training: steps done, time left, loss and validation error."""

from collections.abc import Callable
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)


class TrainingBar(L.Callback):
    """Shows optimizer steps on stderr, with the logged ``loss`` and ``val`` beside them.

    Args:
        task: What to call the training.
        total: Tells at a step how many there will be in all.
    """

    def __init__(self, task: str, total: Callable[[int], float]) -> None:
        self.task, self.total = task, total
        self.bar: Progress | None = None
        self.number = TaskID(0)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=Console(stderr=True),
            disable=not trainer.is_global_zero,
        )
        self.bar.start()
        total = round(self.total(trainer.global_step))
        self.number = self.bar.add_task(self.task, total=total, metrics="")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *outputs: Any
    ) -> None:
        self._update(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._update(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def _update(self, trainer: L.Trainer) -> None:
        if self.bar is not None:
            known = trainer.callback_metrics
            shown = [f"{name} {known[name]:.3f}" for name in ("loss", "val") if name in known]
            step = trainer.global_step
            total = round(self.total(step))
            self.bar.update(self.number, completed=step, total=total, metrics=", ".join(shown))

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
