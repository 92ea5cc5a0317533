"""How long a training may be: in steps, in minutes, or until it no longer gets better."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

import lightning as L

from mpp.errors import InputError, require_at_least

UNTIMED = 1000
"""Steps that a run in minutes is taken to have until its first step has told how long one is."""


@dataclass
class Budget(L.Callback):
    """Ends a run after so many steps or minutes, whichever is first, and says how far it is.

    Minutes are those of training, validations included. They are kept in checkpoints: a resumed
    run goes on with those that were left at the checkpoint it starts from.

    Args:
        steps: Optimizer steps; no limit when left out.
        minutes: Minutes; no limit when left out.
        patience: Share of the budget without a better validation after which the run ends; none
            ends it early when this is 1.

    Attributes:
        ended: Why the run ended: ``steps``, ``minutes`` or ``patience``; ``interrupted`` before.

    Raises:
        InputError: No limit at all, one that is not positive, or a patience outside 0 to 1.
    """

    steps: int | None = None
    minutes: float | None = None
    patience: float = 1.0
    ended: str = field(default="interrupted", init=False)
    used: float = field(default=0.0, init=False)
    worked: float = field(default=0.0, init=False)
    best: tuple[float, float] = field(default=(inf, 0.0), init=False)
    """The lowest validation error, and the share of the budget that was used then."""

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise InputError("a run needs an end; give max_steps, max_minutes, or both")
        if self.steps is not None:
            require_at_least(1, max_steps=self.steps)
        if self.minutes is not None and not (self.minutes > 0 and isfinite(self.minutes)):
            raise InputError(f"max_minutes is {self.minutes}; give minutes above 0")
        if not 0 < self.patience <= 1:
            raise InputError(f"patience is {self.patience}; give a share of the run, above 0 to 1")
        self.validated: int | None = None  # the step of the last validation
        self.began: float | None = None
        self._processors = 0.0

    __hash__ = object.__hash__

    @property
    def seconds(self) -> float:
        """Time used, that before a resumption included."""
        return self.used + (0 if self.began is None else time.monotonic() - self.began)

    @property
    def cpu_seconds(self) -> float:
        """Time that processors worked for the run, that before a resumption included."""
        return self.worked + (0 if self.began is None else time.process_time() - self._processors)

    @property
    def length(self) -> int | Callable[[int], float]:
        """Steps of the run where they are its only limit; else what tells them, `total`."""
        return self.total if self.steps is None or self.minutes is not None else self.steps

    def share(self, step: int) -> float:
        """Share of the budget that is used after ``step`` steps, from 0 to 1."""
        return min(1.0, step / self.total(step))

    def total(self, step: int) -> float:
        """Steps that the run will have in all, as far as can be told after ``step`` of them."""
        known = inf if self.steps is None else self.steps
        if self.minutes is None:
            return known
        if not step:
            return min(known, UNTIMED)
        return min(known, max(step, step * 60 * self.minutes / max(self.seconds, 1e-9)))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.began, self._processors = time.monotonic(), time.process_time()
        self._judge(trainer, validated=self.validated == trainer.global_step)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self._judge(trainer, validated=False)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        error, self.validated = float(trainer.callback_metrics["val"]), trainer.global_step
        if error < self.best[0]:
            self.best = error, self.share(trainer.global_step)
        self._judge(trainer, validated=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.used, self.worked, self.began = self.seconds, self.cpu_seconds, None

    def state_dict(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds,
            "cpu": self.cpu_seconds,
            "best": list(self.best),
            "validated": self.validated,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.used, self.worked = state_dict["seconds"], state_dict.get("cpu", 0.0)
        self.best = (state_dict["best"][0], state_dict["best"][1])
        self.validated = state_dict.get("validated")

    def _judge(self, trainer: L.Trainer, validated: bool) -> None:
        """Ask the trainer to stop where the run is over; the steps it counts itself."""
        step = trainer.global_step
        waited = self.share(step) - self.best[1]
        if self.steps is not None and step >= self.steps:
            self.ended = "steps"
        elif self.minutes is not None and self.seconds >= 60 * self.minutes:
            self.ended = "minutes"
        elif validated and self.patience < 1 and waited >= self.patience:
            self.ended = "patience"
        trainer.should_stop |= self.ended in ("minutes", "patience")
