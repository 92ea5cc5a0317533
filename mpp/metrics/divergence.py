r"""How far a vector field is from free of sources.

.. math:: \frac{\mathrm{rms}(\nabla\cdot u)}{\mathrm{rms}(\nabla u)}, \qquad
          \mathrm{rms}(\nabla u)^2 = \Big\langle \sum_i (\partial_i u_i)^2 \Big\rangle

is 0 where the derivatives along the axes cancel at every point and 1 where they are independent.
Derivatives are central differences, of second order, one-sided at sides that are not periodic. A
field that a spectral solver made free of sources is so for spectral derivatives; central
differences see a rest of it that grows towards the scale of the grid. Hence the value of the truth
belongs beside that of a forecast: equal to the truth is best, not 0.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mpp.batch import Axis
from mpp.errors import InputError
from mpp.fields import Field
from mpp.metrics import grid
from mpp.metrics.moments import Frames, Mask, Weights, inside, space_mean


def vectors(fields: Sequence[Field], axes: Sequence[Axis]) -> dict[str, tuple[int, ...]]:
    """Channels, in the order of the axes, of each vector that has a component along all of them."""
    found: dict[str, tuple[int, ...]] = {}
    for name in dict.fromkeys(field.vector for field in fields if field.vector):
        channels = {
            field.component: place for place, field in enumerate(fields) if field.vector == name
        }
        if len(axes) > 1 and all(axis.name in channels for axis in axes):
            found[name] = tuple(channels[axis.name] for axis in axes)
    return found


def divergence(
    components: Float[Tensor, "sample time axis *space"],
    axes: Sequence[Axis],
    mask: Mask | None = None,
    weights: Weights | None = None,
) -> Float[Tensor, "sample time"]:
    """Root mean square of the divergence over that of its terms: 0 where they cancel.

    A point counts where it and its neighbours along every axis are inside the mask. A vector that
    does not change in space has the value 0.

    Args:
        components: The component along each axis, in the order of the axes.
        axes: The space axes.
        mask: True where the fields are defined.
        weights: Volume of every cell of an uneven grid.

    Raises:
        InputError: Not one component an axis, or an axis of fewer than 3 points.
    """
    if components.shape[2] != len(axes):
        raise InputError(
            f"expected a component along each of {len(axes)} axes, got {components.shape[2]}"
        )
    values = inside(components, mask)
    terms = torch.stack([_slope(values[:, :, d], axis, d + 2) for d, axis in enumerate(axes)], 2)
    counted = mask
    for dim, axis in enumerate(axes, 1):
        counted = None if counted is None else _surrounded(counted, axis, dim)
    source = space_mean(terms.sum(2, keepdim=True) ** 2, counted, weights)[:, :, 0]
    size = space_mean(terms**2, counted, weights).sum(2)
    return torch.where(source == 0, 0.0, source / size).sqrt()


def _slope(values: Frames, axis: Axis, dim: int) -> Frames:
    """Derivative along one dim; around a periodic axis the ends are neighbours."""
    points = np.array(axis.points, dtype=np.float64)
    if points.size < 3:
        raise InputError(f"{axis.name}: a derivative needs 3 points, got {points.size}")
    place = torch.from_numpy(points).to(values.device)
    if not axis.periodic:
        return torch.gradient(values, spacing=(place,), dim=dim, edge_order=2)[0]
    around = grid.length(axis)
    place = torch.cat([place[-1:] - around, place, place[:1] + around])
    last = values.shape[dim] - 1
    wrapped = torch.cat([values.narrow(dim, last, 1), values, values.narrow(dim, 0, 1)], dim)
    slope = torch.gradient(wrapped, spacing=(place,), dim=dim)[0]
    return slope.narrow(dim, 1, last + 1)


def _surrounded(mask: Tensor, axis: Axis, dim: int) -> Tensor:
    """True where the points that a derivative is made of are inside, at a side the next two."""
    low, high = mask.roll(1, dim), mask.roll(-1, dim)
    if not axis.periodic:
        last = mask.shape[dim] - 1
        low.narrow(dim, 0, 1).copy_(mask.narrow(dim, 2, 1))
        high.narrow(dim, last, 1).copy_(mask.narrow(dim, last - 2, 1))
    return mask & low & high
