"""What every model is: a function from a history of frames to the next one, in physical units."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mpp.batch import Batch


class Surrogate(nn.Module):
    """A model that steps fields forward in time.

    A subclass writes `forward`; `forecast` then repeats it on its own output. A subclass that can
    reuse what it computed for past frames overrides `forecast` as well.

    Args:
        history: Number of past frames the model looks at; fewer are always allowed.

    Attributes:
        card: What is known of the weights: systems, fields with units, recipe. Saved with them.
    """

    def __init__(self, history: int) -> None:
        super().__init__()
        self.history = history
        self.card: dict[str, Any] = {}

    @property
    def training_frames(self) -> int:
        """Frames to give it in training; more than the history for a model whose window slides."""
        return self.history

    @property
    def patch(self) -> tuple[int, ...]:
        """Points of a token along each axis, one number for each size of token there is."""
        return ()

    def numbers_outside(self, batch: Batch) -> tuple[str, ...]:
        """Names of the batch's numbers of the equation that leave their range in training."""
        return ()

    @property
    def field_scales(self) -> dict[str, tuple[float, float]]:
        """RMS of value and change of each field over the training data, where the model knows."""
        return {}

    def normalization(self, names: Sequence[str]) -> str:
        """In words, how the model makes these fields dimensionless."""
        return "none"

    @property
    def number_ranges(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value in training of each number of the equation that it takes."""
        return {}

    @property
    def number_units(self) -> dict[str, str]:
        """Units of the numbers of the equation that the model was trained on, by name."""
        known = self.card.get("numbers", {})
        return {name: str(attrs.get("units", "1")) for name, attrs in known.items()}

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments that make this model again, as JSON can hold them."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> Float[Tensor, "sample target field *space"]:
        """Predict the frame that follows each of the last ``target`` frames of the batch.

        A model that learns from every frame returns as many targets as there are frames; one that
        learns from the last frame only returns one.
        """
        raise NotImplementedError

    @torch.inference_mode()
    def forecast(self, batch: Batch, steps: int) -> Iterator[Float[Tensor, "sample field *space"]]:
        """Yield ``steps`` frames that continue the batch, one at a time."""
        for _ in range(steps):
            batch = batch.window(max(0, batch.frames - self.history), batch.frames)
            frame = self(batch)[:, -1]
            yield frame
            batch = batch.extend(frame[:, None])


class Persistence(Surrogate):
    """The baseline that every score is read against: the last frame stays as it is."""

    def __init__(self) -> None:
        super().__init__(history=1)

    @property
    def arguments(self) -> dict[str, Any]:
        return {}

    def forward(self, batch: Batch) -> Float[Tensor, "sample target field *space"]:
        return batch.values


class LinearExtrapolation(Surrogate):
    """A baseline for smooth fields: the last change goes on as it was.

    A single frame has no change and stays as it is.
    """

    def __init__(self) -> None:
        super().__init__(history=2)

    @property
    def arguments(self) -> dict[str, Any]:
        return {}

    def forward(self, batch: Batch) -> Float[Tensor, "sample target field *space"]:
        values = batch.values
        return torch.cat([values[:, :1], 2 * values[:, 1:] - values[:, :-1]], 1)


class Climatology(Surrogate):
    """A baseline for long lead times: the mean state, whatever the history.

    Args:
        mean: The mean state of every field and point, in the fields' units.
    """

    def __init__(self, mean: Float[Tensor, "field *space"]) -> None:
        super().__init__(history=1)
        self.mean: Tensor
        self.register_buffer("mean", mean)

    def forward(self, batch: Batch) -> Float[Tensor, "sample target field *space"]:
        return self.mean.expand_as(batch.values)
