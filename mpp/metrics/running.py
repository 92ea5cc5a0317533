"""The mean of a score over samples that arrive in batches of any size, on one process or many."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from mpp.metrics.moments import Frames, Mask, Weights
from mpp.metrics.scores import Floor, Score


class SampleMean(Metric):
    """Mean over samples of a score, kept apart by lead time and field.

    Every sample counts once, however the samples are split into batches and over processes: the
    state is a sum and a count.

    Args:
        score: One of `nmse`, `nrmse`, `vrmse`, `rmse`, `mae`, or a function like them.
        frames: Number of lead times.
        fields: Number of fields.

    Example:
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

    def __init__(self, score: Score, frames: int, fields: int) -> None:
        super().__init__()
        self.score = score
        zeros = torch.zeros(frames, fields, dtype=torch.float64)
        self.add_state("total", zeros, dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(
        self,
        prediction: Frames,
        target: Frames,
        mask: Mask | None = None,
        floor: Floor | None = None,
        weights: Weights | None = None,
    ) -> None:
        """Add the samples of one batch.

        Raises:
            InputError: Prediction and target differ in shape.
        """
        scores = self.score(prediction, target, mask, floor, weights)
        self.total = self.total + scores.sum(0)
        self.count = self.count + scores.shape[0]

    def compute(self) -> Float[Tensor, "time field"]:
        """The mean over all samples so far."""
        return self.total / self.count
