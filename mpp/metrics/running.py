"""The mean of a score over samples that arrive in batches of any size, on one process or many."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from mpp.metrics.moments import Frames
from mpp.metrics.scores import Score


class SampleMean(Metric):
    """Mean over samples of a score, kept apart by lead time and field.

    Every sample counts once, however the samples are split into batches and over processes: the
    state is a sum and a count.

    Args:
        score: Any score of `mpp.metrics` that is one number, or several, a sample, frame and field;
            what else it needs, such as axes, is given to `update` by name.
        frames: Number of lead times.
        fields: Number of fields.
        more: Sizes of the dims that it has behind the field, such as 3 bands.

    Examples:
        >>> metric = SampleMean(nrmse, frames=1, fields=1)
        >>> metric.update(torch.zeros(5, 1, 1, 8), torch.ones(5, 1, 1, 8))
        >>> metric.compute().item()
        1.0
    """

    full_state_update = False
    higher_is_better = False
    is_differentiable = True
    total: Tensor
    count: Tensor

    def __init__(self, score: Score, frames: int, fields: int, more: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.score = score
        zeros = torch.zeros(frames, fields, *more, dtype=torch.float64)
        self.add_state("total", zeros, dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, prediction: Frames, target: Frames, *options: Any, **named: Any) -> None:
        """Add the samples of one batch.

        Args:
            prediction: What a model gave.
            target: What the solver gave.
            options: What the score takes behind them: for most a mask, a floor and weights.
            named: The same by name, such as ``axes``.

        Raises:
            InputError: Prediction and target differ in shape.
        """
        scores = self.score(prediction, target, *options, **named)
        self.total = self.total + scores.sum(0)
        self.count = self.count + scores.shape[0]

    def compute(self) -> Float[Tensor, "time field ..."]:
        """The mean over all samples so far."""
        return self.total / self.count
