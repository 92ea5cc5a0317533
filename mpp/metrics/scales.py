"""The size of every field over many frames, which gives relative scores a floor with a meaning."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mpp.batch import Batch
from mpp.errors import InputError
from mpp.metrics.moments import space_mean, space_variance

FLOOR_FRACTION = 1e-3
"""Part of a field's own size below which a frame's size no longer divides an error."""


@dataclass(frozen=True)
class Scales:
    """Root mean square and standard deviation of every field over all points, frames and runs.

    Args:
        names: The fields, in order.
        rms: Root mean square of each, in its unit.
        std: Standard deviation of each, in its unit.
    """

    names: tuple[str, ...]
    rms: Float[Tensor, " field"]
    std: Float[Tensor, " field"]

    def floor(self, score: str) -> Float[Tensor, " field"]:
        """What a score's denominator is kept above, before it is squared.

        Args:
            score: ``vrmse`` is kept above a part of the standard deviation, all others above the
                same part of the RMS.
        """
        return FLOOR_FRACTION * (self.std if score == "vrmse" else self.rms)


def measure(batches: Iterable[Batch]) -> Scales:
    """Measure the fields of many windows in one pass that keeps two numbers a frame and field.

    By the law of total variance the variance over everything is the mean of the frames' variances
    plus the variance of the frames' means, every frame weighted by its points inside the mask.

    Raises:
        InputError: No windows, a value inside the mask that is not finite, or an empty mask.
    """
    means, variances, points, names = [], [], [], ()
    for batch in batches:
        names = batch.names
        mean = _finite(space_mean(batch.values, batch.mask), batch)
        means.append(mean.flatten(0, 1))
        variances.append(space_variance(batch.values, batch.mask).flatten(0, 1))
        points.append(_points(batch))
    if not means:
        raise InputError("there are no windows to measure; give a dataset with at least one run")
    weight = torch.cat(points)[:, None]
    weight = weight / weight.sum()
    mean = (weight * torch.cat(means)).sum(0)
    between = (weight * (torch.cat(means) - mean) ** 2).sum(0)
    variance = (weight * torch.cat(variances)).sum(0) + between
    return Scales(names, (variance + mean**2).sqrt(), variance.sqrt())


def _points(batch: Batch) -> Float[Tensor, " frame"]:
    if batch.mask is None:
        size = batch.values[0, 0, 0].numel()
        return torch.full((batch.samples * batch.frames,), size, dtype=torch.float64)
    return batch.mask.flatten(1).sum(1).double().repeat_interleave(batch.frames)


def _finite(mean: Float[Tensor, "sample time field"], batch: Batch) -> Tensor:
    if batch.mask is not None and not batch.mask.flatten(1).any(1).all():
        raise InputError(f"{batch.system}: a mask leaves no point of a run; drop that run")
    bad = ~torch.isfinite(mean)
    if bad.any():
        sample, frame, channel = (int(index) for index in bad.nonzero()[0])
        raise InputError(
            f"{batch.system}: {batch.names[channel]} is NaN or infinite at time "
            f"{float(batch.time[sample, frame]):g} {batch.time_units}; fill it, or give a mask "
            "variable that is 0 there"
        )
    return mean
