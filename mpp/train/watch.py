"""What a long training says of itself while it runs: neglected systems, speed, waiting for data."""

import logging
import time
from typing import Any

import lightning as L

from mpp.train import processes

log = logging.getLogger(__name__)
BEHIND = 1.1
"""A system is being sacrificed where its error is this many times its lowest so far."""
PATIENCE = 0.25
"""Share of the run after which every system should be predicted better than by copying."""


class Neglect(L.Callback):
    """Warns when a system pays for the others.

    That is, when its validation error rises to more than `BEHIND` times its lowest while the mean
    over all systems is at its lowest, or when it is above 1, which copying the last frame scores,
    after `PATIENCE` of the run. Each is said once, and again if it comes back.
    """

    def __init__(self) -> None:
        self.lowest: dict[str, float] = {}
        self.said: set[str] = set()

    def state_dict(self) -> dict[str, Any]:
        return {"lowest": self.lowest, "said": sorted(self.said)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.lowest, self.said = dict(state_dict["lowest"]), set(state_dict["said"])

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        found = {
            name: float(trainer.callback_metrics[f"val/{name}"])
            for name in pl_module.data.systems  # type: ignore[union-attr]
        }
        mean = float(trainer.callback_metrics["val"])
        improved = mean < self.lowest.get("", float("inf"))
        late = pl_module.progress() >= PATIENCE  # type: ignore[operator]
        now = {}
        for name, value in found.items():
            lowest = self.lowest.get(name, float("inf"))
            if improved and len(found) > 1 and value > BEHIND * lowest:
                now[f"behind {name}"] = (
                    f"{name} is being sacrificed: its validation error rose from {lowest:.3g} to "
                    f"{value:.3g} while the mean fell to {mean:.3g}; give it more weight"
                )
            if late and value > 1:
                now[f"worse {name}"] = (
                    f"{name} is predicted no better than by copying the last frame (validation "
                    f"error {value:.3g}); look at its data, or give it more weight"
                )
            self.lowest[name] = min(lowest, value)
        self.lowest[""] = min(mean, self.lowest.get("", float("inf")))
        for key in now.keys() - self.said:
            log.warning("step %d: %s", trainer.global_step, now[key])
        self.said = set(now)


class Throughput(L.Callback):
    """Logs ``windows_per_second``, and ``data_wait``: the share of the time spent on getting data.

    Both since the validation before; validations and checkpoints are not counted.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if self.ended is not None:
            self.waited += now - self.ended
        self.began = now

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.ended = time.perf_counter()
        self.worked += self.ended - self.began
        self.windows += batch.samples * processes.count()
        total = self.waited + self.worked
        pl_module.log("windows_per_second", self.windows / total, batch_size=batch.samples)
        pl_module.log("data_wait", self.waited / total, batch_size=batch.samples)

    def _start(self) -> None:
        self.waited = self.worked = 0.0
        self.windows = 0
        self.ended: float | None = None
