"""Mean and variance over the points of a grid, one of each for every sample, frame and field."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Frames = Float[Tensor, "sample time field *space"]
Mask = Bool[Tensor, "sample *space"]
Numbers = Float[Tensor, "sample time field"]

ROUNDING = 1e-12
"""A standard deviation below this part of the RMS is float64 rounding, and counts as zero."""


def inside(values: Frames, mask: Mask | None) -> Frames:
    """``values`` in float64 with zeros outside the mask, whatever stood there."""
    values = values.double()
    if mask is None:
        return values
    return torch.where(mask[:, None, None], values, torch.zeros((), device=values.device).double())


def space_mean(values: Frames, mask: Mask | None = None) -> Numbers:
    """Mean over the grid points inside the mask.

    It tends to the integral over the domain divided by the domain's volume on a grid whose cells
    are of one size; on an uneven grid every point still counts the same.
    """
    flat = inside(values, mask).flatten(3)
    if mask is None:
        return flat.mean(-1)
    return flat.sum(-1) / mask.flatten(1).sum(-1)[:, None, None]


def space_variance(values: Frames, mask: Mask | None = None) -> Numbers:
    """Mean squared deviation from the mean over the grid points inside the mask."""
    values = values.double()
    mean = space_mean(values, mask)
    centred = values - mean.reshape(*mean.shape, *([1] * (values.ndim - 3)))
    variance = space_mean(inside(centred, mask) ** 2, mask)
    return torch.where(variance <= (ROUNDING * mean) ** 2, 0.0, variance)
