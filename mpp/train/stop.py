"""SIGTERM ends a training between two steps, with its state saved."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L

from mpp.errors import Stopped
from mpp.train import processes
from mpp.train.states import StateIO


class Stop(L.Callback):
    """Ends a run in good order when the system asks it to.

    The optimizer step under way is finished first, and a validation that is due after it; a second
    SIGTERM ends the process at once. Away from the main thread, where signals cannot be caught,
    the signal does what it did before.

    Args:
        state: Where the state is saved.
        io: What writes it.

    Attributes:
        asked: Whether there was a SIGTERM.
    """

    def __init__(self, state: Path, io: StateIO) -> None:
        self.state, self.io = state, io
        self.asked = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # In place of Lightning's own, which ends a run between any two batches, its step half
        # accumulated. Lightning puts back what was there before the run.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._ask)

    def look(self, trainer: L.Trainer) -> None:
        """End the run if that was asked for; called when a batch is there but not yet counted.

        Raises:
            Stopped: There was a SIGTERM, and the last step is complete.
        """
        complete = (trainer.fit_loop.total_batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if not complete or not trainer.strategy.reduce_boolean_decision(self.asked, all=False):
            return
        # Else the validation has just saved it, of which the first process knows.
        if processes.by_first(lambda: self.io.step != trainer.global_step):
            trainer.save_checkpoint(self.state)
        raise self.stopped(trainer.global_step)

    def stopped(self, step: int | None) -> Stopped:
        """What to raise when a run has ended for a SIGTERM, with the steps that are saved."""
        where = f"saved at step {step}" if step is not None else "before anything was saved"
        return Stopped(f"stopped by SIGTERM, {where}")

    def _ask(self, number: int, frame: FrameType | None) -> Any:
        self.asked = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
