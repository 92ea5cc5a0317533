"""The LightningModule that adapts a trained model, new fields starting from the best old ones."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch

from mpp.batch import Batch
from mpp.model.axial import AxialTransformer
from mpp.train.datamodule import MixtureData
from mpp.train.loss import change_loss
from mpp.train.modules import TrainingModule
from mpp.train.schedule import Trapezoid


class FinetuningModule(TrainingModule):
    """Full finetuning: every parameter trains, rows of new fields start from the best old field.

    The model grows here, before the optimizer is built, so that new rows are trained as well.

    Args:
        model: The model to adapt; it is changed.
        data: The data that it is adapted to, whose fields it gets.
        lr: Level of the learning rate.
        weight_decay: Decoupled weight decay of the matrices.
        warmup: Share of the steps in which the rate rises.
        decay: Share of the steps in which it falls to zero.
        rollouts: Share of the run, at its end, in which every other batch is rolled out.

    Attributes:
        donors: For each new field, the old one whose rows it started from.
    """

    model: AxialTransformer

    def __init__(
        self,
        model: AxialTransformer,
        data: MixtureData,
        lr: float = 2e-3,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
        decay: float = 0.5,
        rollouts: float = 0.2,
    ) -> None:
        windows = data.training[0]
        places = range(0, len(windows), max(1, len(windows) // 8))
        trial = Batch.collate([windows[place] for place in places])
        scales = data.field_scales()
        self_donors = choose_donors(model, trial, scales)
        model.grow([field.name for field in data.fields], self_donors)
        model.set_scales(scales)
        model.learn_numbers(data.transforms())
        super().__init__(
            model, lr, weight_decay, schedule=Trapezoid(warmup, decay), rollouts=rollouts
        )
        self.donors = self_donors


@torch.inference_mode()
def choose_donors(
    model: AxialTransformer, trial: Batch, scales: dict[str, tuple[float, float]]
) -> dict[str, str]:
    """For each field new to the model, the old field whose rows predict it best without training.

    New fields are tried one after another, on a model that has only the fields settled so far, so
    that the number of trials is the product of new and old names, not a power of it. Static maps
    and the mask, which may be new as well, are not shown to it.

    Args:
        model: The model before it grows; it is left as it is.
        trial: Windows of the new data.
        scales: RMS of value and change of the new data's fields.

    Returns:
        A donor by new name; fields that evolve only, in the order of the batch.
    """
    donors: dict[str, str] = {}
    old = [
        name
        for name in model.names
        if model.card.get("fields", {}).get(name, {}).get("role") is None
    ]
    for name in [name for name in trial.names if name not in model.names]:
        settled = [n for n in trial.names if n in model.names or n in donors]
        losses = {
            donor: _trial_loss(
                model, _select(trial, [*settled, name]), scales, {**donors, name: donor}
            )
            for donor in old
        }
        donors[name] = min(losses, key=lambda donor: losses[donor])
    return donors


def _select(batch: Batch, names: Sequence[str]) -> Batch:
    channels = [batch.names.index(name) for name in names]
    return replace(
        batch, values=batch.values[:, :, channels], fields=tuple(batch.fields[c] for c in channels)
    )


def _trial_loss(
    model: AxialTransformer,
    trial: Batch,
    scales: dict[str, tuple[float, float]],
    donors: dict[str, str],
) -> float:
    grown = copy.deepcopy(model).eval()
    grown.grow(list(donors), donors)
    grown.set_scales({name: pair for name, pair in scales.items() if name in trial.names})
    usual = grown.change_scale[[grown.names.index(name) for name in trial.names]]
    values = trial.values
    if trial.mask is not None:
        values = torch.where(trial.mask[:, None, None], values, 0)
    seen = replace(trial, values=values, static=None, static_fields=(), mask=None)
    predicted = grown(seen.window(0, trial.frames - 1))
    return float(change_loss(predicted, values, usual, trial.mask)[:, :, -1].mean())
