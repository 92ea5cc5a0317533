"""The published numbers of PDEBench over samples that arrive in batches, on one process or many."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from mpp.metrics.moments import Frames
from mpp.metrics.pdebench import bands_of, parts_of


class PDEBench(Metric):
    """The published numbers of samples that arrive in batches of any size, on any processes.

    Examples:
        >>> metric = PDEBench()
        >>> metric.update(torch.zeros(5, 1, 1, 32), torch.ones(5, 1, 1, 32))
        >>> metric.compute()["nrmse"].item()
        1.0
    """

    full_state_update = False
    higher_is_better = False
    count: Tensor
    largest: Tensor
    spectrum: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("rmse", "nrmse", "crmse", "brmse", "spectrum"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("largest", torch.zeros((), dtype=torch.float64), dist_reduce_fx="max")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, prediction: Frames, target: Frames) -> None:
        """Add the samples of one batch.

        Raises:
            InputError: Prediction and target differ in shape.
        """
        parts = parts_of(prediction, target)
        largest = parts.pop("max_error").amax(0)
        parts["crmse"] = parts["crmse"] ** 2
        for name, value in parts.items():
            setattr(self, name, getattr(self, name) + value.sum(0))
        self.largest = torch.maximum(self.largest, largest)
        self.count = self.count + prediction.shape[0]

    def compute(self) -> dict[str, Float[Tensor, "time field"]]:
        """The published numbers over all samples so far."""
        means = {n: getattr(self, n) / self.count for n in ("rmse", "nrmse", "crmse", "brmse")}
        means["crmse"] = means["crmse"].sqrt()
        bands = bands_of((self.spectrum / self.count).sqrt())
        return {**means, **bands, "max_error": self.largest}
