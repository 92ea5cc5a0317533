"""Error near each side of the domain that is not periodic.

The strip at a side holds the points whose distance from the outer face of the outermost cell is at
most a share of the length of the axis, and always the outermost points. A corner belongs to the
strips of both its sides.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mpp.batch import Axis
from mpp.errors import InputError
from mpp.metrics import grid
from mpp.metrics.moments import Frames, Mask, Weights, space_mean
from mpp.metrics.scores import difference

WIDTH = 1 / 16
"""Share of an axis that a strip is wide, where nothing else is said."""


def sides(axes: Sequence[Axis]) -> tuple[str, ...]:
    """Names of the sides: ``x_low``, ``x_high``, ... of every axis that is not periodic."""
    ends = ("low", "high")
    return tuple(f"{axis.name}_{end}" for axis in axes if not axis.periodic for end in ends)


def side_rmse(
    prediction: Frames,
    target: Frames,
    axes: Sequence[Axis],
    width: float = WIDTH,
    mask: Mask | None = None,
    weights: Weights | None = None,
) -> Float[Tensor, "sample time field side"]:
    """Root mean square error ``sqrt(<e^2>)`` over the strip at each of `sides`.

    In the field's unit; NaN where a mask leaves no point of a strip. Where nothing is special about
    a side it is about the `rmse` of the whole field. Source: Takamoto et al., PDEBench (NeurIPS
    2022), bRMSE, which is over the outermost points of all sides together, periodic ones included.

    Args:
        prediction: What a model gave.
        target: What the solver gave.
        axes: The space axes.
        width: Share of the axis that a strip is wide, above 0 and up to 1.
        mask: True where the fields are defined.
        weights: Volume of every cell of an uneven grid.

    Raises:
        InputError: Shapes that differ, a width that is none, or no side that is not periodic.
    """
    if not 0 < width <= 1:
        raise InputError(f"expected a strip's width above 0 and up to 1 of the axis, got {width:g}")
    if not sides(axes):
        raise InputError("every axis is periodic; there is no side to score at")
    squares = difference(prediction, target, mask) ** 2
    found = []
    for dim, axis in enumerate(axes):
        for end in () if axis.periodic else (0, -1):
            shape = [1] * len(axes)
            shape[dim] = -1
            strip = _strip(axis, width, end).to(squares.device).reshape(shape)
            inside = strip.expand(squares.shape[0], *squares.shape[3:])
            inside = inside if mask is None else inside & mask
            found.append(space_mean(squares, inside, weights).sqrt())
    return torch.stack(found, -1)


def _strip(axis: Axis, width: float, end: int) -> Bool[Tensor, " point"]:
    """True for the points of the strip at the low (0) or high (-1) side."""
    cells = torch.from_numpy(grid.cells(axis))
    centre = cells.cumsum(0) - cells / 2
    if end:
        centre = cells.sum() - centre
    strip = centre <= width * cells.sum()
    strip[end] = True
    return strip
