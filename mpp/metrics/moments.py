"""Mean and variance over the points of a grid, one of each for every sample, frame and field."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Frames = Float[Tensor, "sample time field *space"]
Mask = Bool[Tensor, "sample *space"]
Weights = Float[Tensor, "*space"]
Numbers = Float[Tensor, "sample time field"]

ROUNDING = 1e-12
"""A standard deviation below this part of the RMS is float64 rounding, and counts as zero."""


def inside(values: Frames, mask: Mask | None) -> Frames:
    """``values`` in float64 with zeros outside the mask, whatever stood there."""
    values = values.double()
    if mask is None:
        return values
    return torch.where(mask[:, None, None], values, torch.zeros((), device=values.device).double())


def space_mean(values: Frames, mask: Mask | None = None, weights: Weights | None = None) -> Numbers:
    """Mean over the grid points inside the mask.

    It tends to the integral over the domain divided by the domain's volume: on a grid whose cells
    are of one size as it is, on an uneven one with the sizes of the cells as weights.

    Args:
        values: Anything on the grid.
        mask: True where the points count.
        weights: How much each point counts, in any unit; all the same where left out.
    """
    flat = inside(values, mask).flatten(3)
    if weights is None:
        if mask is None:
            return flat.mean(-1)
        return flat.sum(-1) / mask.flatten(1).sum(-1)[:, None, None]
    sizes = weights.to(flat).flatten()
    if mask is None:
        return (flat * sizes).sum(-1) / sizes.sum()
    counted = torch.where(mask.flatten(1), sizes, 0.0)
    return (flat * counted[:, None, None]).sum(-1) / counted.sum(-1)[:, None, None]


def deviation(
    values: Frames, mask: Mask | None = None, weights: Weights | None = None
) -> tuple[Frames, Numbers]:
    """Deviation from the mean, zero outside the mask, and the mean of its square: the variance."""
    values = values.double()
    mean = space_mean(values, mask, weights)
    centred = inside(values - mean.reshape(*mean.shape, *([1] * (values.ndim - 3))), mask)
    variance = space_mean(centred**2, mask, weights)
    return centred, torch.where(variance <= (ROUNDING * mean) ** 2, 0.0, variance)


def space_variance(
    values: Frames, mask: Mask | None = None, weights: Weights | None = None
) -> Numbers:
    """Mean squared deviation from the mean over the grid points inside the mask."""
    return deviation(values, mask, weights)[1]
