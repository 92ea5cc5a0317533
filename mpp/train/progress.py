"""The progress bar of a training: steps done, time left, loss and validation error."""

from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

import lightning as L
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

EVERY = 0.5
"""Seconds between two updates of a line in a notebook."""


class Line(Protocol):
    """What shows the progress of one training."""

    def update(self, completed: int, total: int, metrics: str) -> None: ...

    def stop(self) -> None: ...


class TerminalLine:
    """A bar on stderr.

    Args:
        task: What to call the training.
        total: Steps there are to do.
        shown: Whether to show anything.
    """

    def __init__(self, task: str, total: int, shown: bool) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=Console(stderr=True),
            disable=not shown,
        )
        self.bar.start()
        self.number = self.bar.add_task(task, total=total, metrics="")

    def update(self, completed: int, total: int, metrics: str) -> None:
        self.bar.update(self.number, completed=completed, total=total, metrics=metrics)

    def stop(self) -> None:
        self.bar.stop()


class NotebookLine:
    """A line of text below a cell that is replaced as the training goes on.

    Args:
        task: What to call the training.
        total: Steps there are to do.
    """

    def __init__(self, task: str, total: int) -> None:
        from IPython.display import display

        self.task, self.start, self.shown = task, monotonic(), 0.0
        self.text = f"{task} 0/{total}"
        self.handle = display({"text/plain": self.text}, raw=True, display_id=True)

    def update(self, completed: int, total: int, metrics: str) -> None:
        now = monotonic()
        left = (now - self.start) / max(1, completed) * (total - completed)
        self.text = f"{self.task} {completed}/{total}, {left:.0f} s left, {metrics}"
        if now - self.shown > EVERY:
            self.shown = now
            self._show()

    def stop(self) -> None:
        self._show()

    def _show(self) -> None:
        if self.handle is not None:
            self.handle.update({"text/plain": self.text}, raw=True)


class TrainingBar(L.Callback):
    """Shows optimizer steps, with the logged ``loss`` and ``val`` beside them.

    On stderr, or below the cell of a notebook.

    Args:
        task: What to call the training.
        total: Tells at a step how many there will be in all.
    """

    def __init__(self, task: str, total: Callable[[int], float]) -> None:
        self.task, self.total = task, total
        self.line: Line | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        total, first = round(self.total(trainer.global_step)), trainer.is_global_zero
        if Console().is_jupyter and first:
            self.line = NotebookLine(self.task, total)
        else:
            self.line = TerminalLine(self.task, total, first)

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
        if self.line is not None:
            known = trainer.callback_metrics
            shown = [f"{name} {known[name]:.3f}" for name in ("loss", "val") if name in known]
            step = trainer.global_step
            self.line.update(step, round(self.total(step)), ", ".join(shown))

    def _stop(self) -> None:
        if self.line is not None:
            self.line.stop()
            self.line = None
