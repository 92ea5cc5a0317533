"""The LightningModule that trains any surrogate on batches from any system."""

from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import MeanMetric

from mpp.batch import Batch
from mpp.model.surrogate import Surrogate
from mpp.train.datamodule import MixtureData
from mpp.train.loss import change_loss
from mpp.train.optimizer import MuonAdamW, split_parameters
from mpp.train.schedule import trapezoid


class TrainingModule(L.LightningModule):
    """Next-frame training with the change loss, validated on the held-out runs of each system.

    Args:
        model: The surrogate to train.
        lr: Level of the learning rate.
        weight_decay: Decoupled weight decay of the matrices.
        warmup: Share of the steps in which the rate rises.
        decay: Share of the steps in which it falls to zero.
    """

    def __init__(
        self,
        model: Surrogate,
        lr: float = 5e-3,
        weight_decay: float = 0.01,
        warmup: float = 0.05,
        decay: float = 0.5,
    ) -> None:
        super().__init__()
        self.model = model
        self.lr, self.weight_decay = lr, weight_decay
        self.warmup, self.decay = warmup, decay

    @property
    def data(self) -> MixtureData:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def loss(self, batch: Batch) -> Float[Tensor, "sample time field"]:
        """The loss of every target of a window whose last frame is only ever a target."""
        predicted = self.model(batch.window(0, batch.frames - 1))
        return change_loss(predicted, batch.values, self.data.usual(batch).change, batch.mask)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.loss(batch).mean()
        self.log("loss", loss, prog_bar=True, batch_size=batch.samples)
        return loss

    def setup(self, stage: str) -> None:
        """Prepare one score a system; a NaN stays one, since a diverged model has no score."""
        self.scores = nn.ModuleList(MeanMetric("disable") for _ in self.data.validation)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.scores[dataloader_idx](self.loss(batch)[:, -1].sqrt())

    def on_validation_epoch_end(self) -> None:
        """Log the one-step error of each system, in units of its change, and their mean."""
        values = [score.compute() for score in self.scores]  # type: ignore[operator]
        for system, score, value in zip(self.data.systems, self.scores, values, strict=True):
            self.log(f"val/{system}", value)
            score.reset()  # type: ignore[operator]
        self.log("val", torch.stack(values).mean(), prog_bar=True)

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = MuonAdamW(
            *split_parameters(self.model), lr=self.lr, weight_decay=self.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = trapezoid(optimizer, steps, self.warmup, self.decay)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
