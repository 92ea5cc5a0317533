"""The LightningModule that adapts a trained model: what of it trains, and from where it starts."""

from collections.abc import Mapping

from torch import nn

from mpp.batch import Batch
from mpp.model.axial import AxialTransformer
from mpp.model.lora import NUMBER_ROWS, adapt
from mpp.train.datamodule import MixtureData
from mpp.train.donors import choose_donors, grow_from, require_donors
from mpp.train.modes import HEAD_SHARE, RANK, RATES, UNROLL_SHARE, Mode, require_mode
from mpp.train.modules import TrainingModule
from mpp.train.schedule import Trapezoid

HEAD = ("embed", "readout", "boundary", "speed", *(f"numbers.{name}" for name in NUMBER_ROWS))
"""The ends of the model and all that has a row for a field, a kind of side or a number."""


class FinetuningModule(TrainingModule):
    """Trains all of a model or part of it, rows of new fields starting from those of old ones.

    The model grows here, before the optimizer is built, so that new rows are trained as well.

    Args:
        model: The model to adapt; it is changed.
        data: The data that it is adapted to, whose fields it gets.
        lr: Level of the learning rate; that of the mode when left out.
        weight_decay: Decoupled weight decay of the matrices.
        warmup: Share of the budget in which the rate rises.
        decay: Share of the budget in which it falls to zero.
        rollouts: Share of the budget, at its end, in which every other batch is rolled out.
        unroll: Steps of a rollout on the model's own frames; half of a window when left out.
        mode: ``full`` trains everything; ``head`` the ends and what has a row by name; ``lora``
            adapters of the blocks and rows of new names; ``gradual`` is ``head``, then ``full``.
        rank: Rank of the adapters of ``lora``.
        head_share: Share of the budget in which ``gradual`` trains the head alone.
        donors: The old field, or ``zero``, that the rows of a new field start from; for the
            others, the old field whose rows predict it best.

    Attributes:
        donors: For each new field, what its rows started from.

    Raises:
        InputError: A mode, rank, share or donor that there cannot be.
    """

    model: AxialTransformer

    def __init__(
        self,
        model: AxialTransformer,
        data: MixtureData,
        lr: float | None = None,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
        decay: float = 0.5,
        rollouts: float = UNROLL_SHARE,
        unroll: int | None = None,
        mode: Mode = "full",
        rank: int = RANK,
        head_share: float = HEAD_SHARE,
        donors: Mapping[str, str] | None = None,
    ) -> None:
        require_mode(mode, rank, head_share)
        names, numbers = model.names, model.numbers.names
        chosen = prepare(model, data, donors)
        if mode == "lora":
            adapt(model, rank, len(names), len(numbers))
        elif mode == "head":
            model.requires_grad_(False)
            for parameter in head(model):
                parameter.requires_grad_(True)
        super().__init__(
            model,
            RATES[mode] if lr is None else lr,
            weight_decay,
            schedule=Trapezoid(warmup, decay),
            rollouts=rollouts,
            unroll=unroll,
        )
        self.mode, self.head_share, self.donors = mode, head_share, chosen

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        if self.mode == "gradual":
            self.model.requires_grad_(self.progress() >= self.head_share)
            for parameter in head(self.model):
                parameter.requires_grad_(True)


def head(model: AxialTransformer) -> list[nn.Parameter]:
    """The parameters that mode ``head`` trains."""
    every = model.named_parameters()
    return [value for name, value in every if f"{name}.".startswith(tuple(f"{p}." for p in HEAD))]


def prepare(
    model: AxialTransformer, data: MixtureData, donors: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Give a model all that it needs for new data, before any training.

    Args:
        model: The model; it is changed.
        data: The data.
        donors: What the rows of a new field start from; those left out are chosen.

    Returns:
        What the rows of each new field started from.

    Raises:
        InputError: A donor that there cannot be.
    """
    windows = data.training[0]
    names, scales = [field.name for field in data.fields], data.field_scales()
    require_donors(model, names, donors or {})
    places = range(0, len(windows), max(1, len(windows) // 8))
    trial = Batch.collate([windows[place] for place in places])
    chosen = choose_donors(model, trial, scales, donors)
    grow_from(model, names, chosen)
    model.set_scales(scales)
    model.learn_numbers(data.transforms())
    return chosen
