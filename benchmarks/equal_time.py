"""Trainings whose time is measured: what a step costs, and what a whole training took.

Time is that which the processor works for the process, in all of its threads, and on a GPU what
passes until it has finished. Forward and backward pass and the optimizer count; validation,
checkpoints and the first step, which pays for first allocations, do not.
"""

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import torch

from mpp.batch import Batch
from mpp.model.surrogate import Surrogate
from mpp.train.datamodule import MixtureData
from mpp.train.fit import fit
from mpp.train.loss import Loss, change_loss
from mpp.train.modules import TrainingModule
from mpp.train.optimizer import MakeOptimizer, muon_adamw
from mpp.train.schedule import Schedule, Trapezoid


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Args:
        lr: Level of the learning rate.
        batch_size: Windows in a batch.
        accumulate: Batches an optimizer step.
        optimizer: Makes the optimizer.
        weight_decay: Decoupled weight decay.
        schedule: The learning rate's course.
        loss: What to minimize.
        rollouts: Share of the run, at its end, in which every other batch is rolled out.
    """

    lr: float
    batch_size: int = 2
    accumulate: int = 1
    optimizer: MakeOptimizer = muon_adamw
    weight_decay: float = 0.01
    schedule: Schedule = field(default_factory=Trapezoid)
    loss: Loss = change_loss
    rollouts: float = 0.0

    @property
    def work(self) -> str:
        """What a step consists of; recipes that agree in it cost the same."""
        name = getattr(self.optimizer, "__name__", None) or repr(self.optimizer)
        return f"{name}, {self.accumulate} x {self.batch_size} windows"


class Clocked(TrainingModule):
    """A training that keeps the seconds of each batch, in ``durations``."""

    def __init__(self, model: Surrogate, recipe: Recipe) -> None:
        super().__init__(
            model, recipe.lr, recipe.weight_decay, recipe.loss, recipe.optimizer, recipe.schedule,
            recipe.rollouts,
        )  # fmt: skip
        self.recipe = recipe
        self.durations: list[float] = []
        self._started = 0.0

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Start the clock behind what every training does here."""
        super().on_train_batch_start(batch, batch_idx)
        self._started = self._clock()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Stop it, with the optimizer's step done."""
        self.durations.append(self._clock() - self._started)

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()

    @property
    def seconds(self) -> float:
        """Of all optimizer steps but the first."""
        return sum(self.durations[self.recipe.accumulate :])

    @property
    def step(self) -> float:
        """Mean seconds of an optimizer step, the first one left out."""
        counted = self.durations[self.recipe.accumulate :]
        return statistics.fmean(counted) * self.recipe.accumulate


def train(
    model: Surrogate, data: MixtureData, recipe: Recipe, steps: int, seed: int, about: str
) -> Clocked:
    """Train a model for a number of optimizer steps; nothing is kept but the model.

    Args:
        model: What to train; it is changed.
        data: What to train it on, in batches of the recipe's size.
        recipe: How.
        steps: Optimizer steps, at least 2, since the first is not counted.
        seed: Fixes what is drawn in training.
        about: What the progress bar calls it.
    """
    L.seed_everything(seed, verbose=False)
    module = Clocked(model, recipe)
    with tempfile.TemporaryDirectory() as folder:
        fit(
            module, data, Path(folder), steps, about, accumulate=recipe.accumulate,
            validate_every=steps,
        )  # fmt: skip
    model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    return module


def steps_within(budget: float, step: float) -> int:
    """Optimizer steps in so many seconds, the first one, which does not count, included."""
    return max(2, 1 + round(budget / step))


def middle(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Median of each measurement over rounds."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
