"""The grid that a score integrates over: sizes of its cells, its length, its sides.

Every point stands for a cell whose faces lie halfway to the neighbouring points. At a side that is
not periodic the last cell reaches as far outwards as inwards, so that on an even axis all cells are
of one size and the axis is as long as its number of points times the step. Around a periodic axis
the gap from the last point to the first is that of an even axis, or where the axis is uneven the
mean of the first and the last step, because the coordinate alone does not tell it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mpp.batch import Axis
from mpp.errors import InputError
from mpp.schema import is_even


def cells(axis: Axis) -> Float[np.ndarray, " point"]:
    """Size of the cell of every point, in the unit of the axis."""
    points = np.asarray(axis.points, dtype=np.float64)
    if points.size == 1:
        return np.ones(1)
    steps = np.diff(points)
    if is_even(points):
        return np.full(points.size, steps.mean())
    around = (steps[0] + steps[-1]) / 2
    low, high = (around, around) if axis.periodic else (steps[0], steps[-1])
    return (np.concatenate([[low], steps]) + np.concatenate([steps, [high]])) / 2


def length(axis: Axis) -> float:
    """Length of the axis: the sum of its cells, in its unit."""
    return float(cells(axis).sum())


def volume(axes: Sequence[Axis]) -> float:
    """Length, area or volume of the domain, in the product of the units of its axes."""
    return float(np.prod([length(axis) for axis in axes]))


def weights(axes: Sequence[Axis]) -> Float[Tensor, "*space"] | None:
    """Volume of every cell, or ``None`` where all are of one size and every point counts the same.

    ``None`` rather than equal numbers, so that on an even grid nothing is multiplied and rounded.
    """
    if all(is_even(axis.points) for axis in axes):
        return None
    sizes = [torch.from_numpy(cells(axis)) for axis in axes]
    product = sizes[0]
    for size in sizes[1:]:
        product = product[..., None] * size
    return product


def step(axis: Axis) -> float:
    """Distance between the points of an even axis, in its unit.

    Raises:
        InputError: The axis is uneven.
    """
    if not is_even(axis.points):
        raise InputError(
            f"{axis.name}: expected even steps for a spectrum, got steps from "
            f"{np.diff(axis.points).min():.4g} to {np.diff(axis.points).max():.4g} {axis.units}; "
            f"interpolate to an even axis first, ds.interp({axis.name}=np.linspace(...))"
        )
    return float(cells(axis)[0])
