"""The LightningModule that trains any surrogate on batches from any system."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from mpp import schema
from mpp.batch import Batch
from mpp.errors import InputError, require_at_least
from mpp.model.axial import AxialTransformer
from mpp.model.numbers import reading_loss
from mpp.model.surrogate import Surrogate
from mpp.train import processes
from mpp.train.budget import Budget
from mpp.train.datamodule import MixtureData
from mpp.train.guard import Guard, Skipped
from mpp.train.hiding import hide_numbers
from mpp.train.loss import Loss, change_loss, rollout_loss
from mpp.train.optimizer import MakeOptimizer, muon_adamw
from mpp.train.schedule import Schedule, Trapezoid

ROLLED_OUT = 0.1
"""Weight of a rollout's later steps against the steps from true frames; their errors are larger."""
READING = 0.03
"""Weight of the numbers read back against the frames."""
LOGGED = ("reading_loss", "loss", "rollout_loss")
"""What is logged of a batch."""
LEADS = (1, 5)
"""Lead times that are validated: a step from true frames, and the end of a rollout."""


class TrainingModule(L.LightningModule):
    """Next-frame training, validated on the held-out runs of each system.

    Whatever it trains with, the validation error is that of the change loss, so that runs with
    different losses can be compared.

    Args:
        model: The surrogate to train.
        lr: Level of the learning rate.
        weight_decay: Decoupled weight decay; the optimizer says of which parameters.
        loss: What to minimize, averaged over samples, targets and fields.
        optimizer: Makes the optimizer of the model.
        schedule: Makes the learning rate's course over the run; `Trapezoid` when left out.
        rollouts: Share of the run, at its end, in which every other batch is rolled out; of the
            default model only.
        unroll: Steps of a rollout on the model's own frames; when left out, a window is rolled
            out from its first half.

    Raises:
        InputError: Rollouts of a model that has none to train on, a share outside 0 to 1, or a
            rollout of no step.
    """

    def __init__(
        self,
        model: Surrogate,
        lr: float = 5e-3,
        weight_decay: float = 0.01,
        loss: Loss = change_loss,
        optimizer: MakeOptimizer = muon_adamw,
        schedule: Schedule | None = None,
        rollouts: float = 0.0,
        unroll: int | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= rollouts <= 1:
            raise InputError(f"rollouts is {rollouts}; give a share of the run, from 0 to 1")
        if rollouts and not isinstance(model, AxialTransformer):
            raise InputError(
                f"{type(model).__name__} cannot be trained on its rollouts; set rollouts to 0"
            )
        if unroll is not None:
            require_at_least(1, unroll=unroll)
        self.rollouts, self.unroll = rollouts, unroll
        self.model = model
        self.lr, self.weight_decay = lr, weight_decay
        self.loss, self.optimizer, self.schedule = loss, optimizer, schedule or Trapezoid()
        self.found: list[dict[str, Tensor]] = []

    @property
    def data(self) -> MixtureData:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    @property
    def budget(self) -> Budget:
        """How long the run may be, one of the trainer's callbacks."""
        return next(part for part in self.trainer.callbacks if isinstance(part, Budget))  # type: ignore[attr-defined]

    @property
    def guard(self) -> Guard | None:
        """What looks at the losses, where the trainer has it."""
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        return next((part for part in callbacks if isinstance(part, Guard)), None)

    @property
    def steps(self) -> int:
        """Optimizer steps that were taken."""
        return int(self.trainer.global_step)

    @property
    def skipped(self) -> int:
        """Steps among them that were left out for a bad loss."""
        return 0 if self.guard is None else self.guard.skipped

    def progress(self) -> float:
        """Share of the budget that is used."""
        return self.budget.share(self.steps)

    def errors(self, batch: Batch, loss: Loss) -> Float[Tensor, "sample time field"]:
        """The loss of every target of a window whose last frame is only ever a target."""
        predicted = self.model(batch.window(0, batch.frames - 1))
        return loss(predicted, batch.values, self.data.usual(batch).change, batch.mask)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Let what a model draws depend on the batch's number alone, so that a resumed run repeats.

        Lightning's checkpoints do not keep the state of torch's generators.
        """
        number = self.number + 1
        torch.manual_seed(
            int(np.random.SeedSequence((self.data.seed, number)).generate_state(1)[0])
        )

    @property
    def number(self) -> int:
        """Number in the mixture of the batch that is trained on."""
        return processes.number(self.trainer.fit_loop.total_batch_idx)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient by its norm, which the guard sees before the step is taken."""
        if gradient_clip_val is None:
            return
        parameters = [value for group in optimizer.param_groups for value in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, gradient_clip_val)
        if (guard := self.guard) is not None:
            guard.judge(self.trainer, self.data, norm)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Take a step, or leave it out where the guard says so."""
        try:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        except Skipped:
            optimizer.zero_grad()

    def rolled_out(self, batch: Batch) -> Tensor:
        """The loss of a window of which the model is given the first frames only."""
        assert isinstance(self.model, AxialTransformer)
        given, usual, true = self.given(batch), self.data.usual(batch).change, batch.values
        predicted = self.model.free_run(batch.window(0, batch.frames - 1), given)
        steps = self.loss(predicted[:, :given], true[:, : given + 1], usual, batch.mask)
        later = rollout_loss(
            predicted[:, given:],
            true[:, given + 1 :],
            true[:, given - 1 : given],
            usual,
            batch.mask,
        )
        return steps.mean() + ROLLED_OUT * later.mean()

    def given(self, batch: Batch) -> int:
        """Frames of a window that a rollout starts from; the last frame is ever a target."""
        return batch.frames // 2 if self.unroll is None else batch.frames - 1 - self.unroll

    def rolls_out(self, batch: Batch) -> bool:
        """Whether this batch is one of those that are rolled out; two frames have no rollout."""
        step = self.steps
        late = step >= (1 - self.rollouts) * self.budget.total(step)
        return late and batch.frames > 2 and self.number % 2 == 0

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        batch, asked = hide_numbers(batch)
        if self.rolls_out(batch):
            loss = self.rolled_out(batch)
            self.tell(batch, rollout_loss=loss)
            return loss
        past, error, found = batch.window(0, batch.frames - 1), None, {}
        if isinstance(self.model, AxialTransformer) and asked:
            predicted, reading = self.model.predict(past)
            truth = self.model.numbers.standard(replace(past, parameters=asked), None)
            error = reading_loss(reading, truth)
            found["reading_loss"] = error
        else:
            predicted = self.model(past)
        usual = self.data.usual(batch).change
        loss = self.loss(predicted, batch.values, usual, batch.mask).mean()
        self.tell(batch, **found, loss=loss)
        return loss if error is None else loss + READING * error

    def tell(self, batch: Batch, **found: Tensor) -> None:
        """Log what was found on a batch, at the end of a step in the order of all its batches."""
        self.found.append({name: value.detach() for name, value in found.items()})
        if (self.trainer.fit_loop.total_batch_idx + 1) % self.trainer.accumulate_grad_batches:
            return
        mine, self.found = self.found, []
        for each in _everyones(mine):
            for name, value in each.items():
                self.log(name, value, prog_bar=name == "loss", batch_size=batch.samples)

    def setup(self, stage: str) -> None:
        """Prepare a score for each system, lead time and field.

        A NaN stays one, since a diverged model has no score.
        """
        self.scores = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(MeanMetric("disable") for _ in schema.names(windows.ds))
                for _ in LEADS
            )
            for windows in self.data.validation
        )

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        if self.data.idle:
            return
        errors = (self.errors(batch, change_loss)[:, -1], self.lead_errors(batch))
        for metrics, found in zip(self.scores[dataloader_idx], errors, strict=True):  # type: ignore[arg-type]
            if found is not None:
                for metric, values in zip(metrics, found.sqrt().unbind(1), strict=True):
                    metric(values)

    def lead_errors(self, batch: Batch) -> Float[Tensor, "sample field"] | None:
        """The error of the last frame of a window, as the end of a rollout that leads up to it.

        ``None`` where the window is too short for the model to start from.
        """
        given = batch.frames - LEADS[-1]
        if not self.leads(batch.frames):
            return None
        *_, last = self.model.forecast(batch.window(0, given), LEADS[-1])
        start, end = batch.values[:, given - 1 : given], batch.values[:, -1:]
        usual = self.data.usual(batch).change
        return rollout_loss(last[:, None], end, start, usual, batch.mask)[:, 0]

    def leads(self, frames: int) -> bool:
        """Whether a window of so many frames has a rollout to validate."""
        return frames - LEADS[-1] >= self.model.history

    def on_validation_epoch_end(self) -> None:
        """Log the errors of each system by field and lead time, and the mean over all at one step.

        They are in units of the change since the last frame given.
        """
        systems = []
        for windows, leads in zip(self.data.validation, self.scores, strict=True):
            for lead, metrics in zip(LEADS, leads, strict=True):  # type: ignore[arg-type]
                if lead > 1 and not self.leads(windows.frames):
                    continue  # in every process, whatever windows it has had
                values = [metric.compute() for metric in metrics]
                for name, value in zip(schema.names(windows.ds), values, strict=True):
                    self.log(f"val/{windows.system}/{name}/{lead}", value)
                mean = torch.stack(values).mean()
                self.log(f"val/{windows.system}" + (f"/{lead}" if lead > 1 else ""), mean)
                if lead == 1:
                    systems.append(mean)
                for metric in metrics:
                    metric.reset()
        self.log("val", torch.stack(systems).mean(), prog_bar=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Count the batches of the whole run, which another number of processes may go on with."""
        for counts in _batch_counts(checkpoint):
            counts.update({name: value * processes.count() for name, value in counts.items()})

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Count those of this process.

        Raises:
            InputError: They cannot be shared out evenly.
        """
        for counts in _batch_counts(checkpoint):
            if counts["completed"] % processes.count():
                raise InputError(
                    f"the run goes on after {counts['completed']} batches, which "
                    f"{processes.count()} processes cannot have shared; give a number of processes "
                    "that divides it"
                )
            counts.update({name: value // processes.count() for name, value in counts.items()})

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = self.optimizer(self.model, self.lr, self.weight_decay)
        schedule = self.schedule(optimizer, self.budget.length)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def _batch_counts(checkpoint: dict[str, Any]) -> list[dict[str, int]]:
    """The places where Lightning counts batches in a state."""
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return [progress["total"], progress["current"]]


def _everyones(mine: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """What all processes found on the batches of a step, in the order of the batches' numbers."""
    if processes.count() == 1:
        return mine
    missing = mine[0]["loss" if "loss" in mine[0] else "rollout_loss"].new_zeros(2)
    rows = [torch.stack([_marked(each.get(name), missing) for name in LOGGED]) for each in mine]
    parts = [part.float().cpu() for part in processes.gathered(torch.stack(rows))]
    return [
        {name: value for name, (there, value) in zip(LOGGED, row, strict=True) if there}
        for row in processes.in_order([list(part) for part in parts])
    ]


def _marked(value: Tensor | None, missing: Tensor) -> Tensor:
    """A value behind a one that says that it is there."""
    return missing if value is None else torch.stack([torch.ones_like(value), value])
