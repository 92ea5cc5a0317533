"""Between fields on a grid and tokens: two steps of patches, and padding that knows the boundary.

A patch of ``fine * coarse`` points along each axis becomes one token in two matrix products: the
first joins all fields of a fine patch by name, the second joins the fine patches of a coarse one.
Patches do not overlap, so nothing passes a wall here, and a roll by whole patches rolls the tokens.
"""

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from mpp.batch import Axis

AXES = "xyz"


def _layouts(rank: int, size: int) -> tuple[str, str, dict[str, int]]:
    """Einops patterns of a field on its grid and in patches, and the sizes within a patch."""
    axes = AXES[:rank]
    grid = " ".join(f"({axis} p{axis})" for axis in axes)
    inside = " ".join(f"p{axis}" for axis in axes)
    patches = f"b t {' '.join(axes)} (c {inside})"
    return f"b t c {grid}", patches, {f"p{axis}": size for axis in axes}


def patch(
    values: Float[Tensor, "sample time channel *space"], size: int
) -> Float[Tensor, "sample time *patch inside"]:
    """Gather patches of ``size`` points along every axis; channels come first inside a patch."""
    grid, patches, sizes = _layouts(values.ndim - 3, size)
    return rearrange(values, f"{grid} -> {patches}", **sizes)


def unpatch(
    tokens: Float[Tensor, "sample time *patch inside"], size: int
) -> Float[Tensor, "sample time channel *space"]:
    """The inverse of `patch`."""
    grid, patches, sizes = _layouts(tokens.ndim - 3, size)
    return rearrange(tokens, f"{patches} -> {grid}", **sizes)


def pad(
    values: Float[Tensor, "*lead _"], axes: Sequence[Axis], multiple: int
) -> Float[Tensor, "*lead _"]:
    """Lengthen the last dims at their high side to a multiple of ``multiple``.

    A periodic axis goes on with its own start; any other repeats its last point.
    """
    first = values.ndim - len(axes)
    for dim, axis in enumerate(axes, first):
        points = values.shape[dim]
        extra = math.ceil(points / multiple) * multiple - points
        if extra:
            index = torch.arange(points + extra, device=values.device)
            index = index % points if axis.periodic else index.clamp(max=points - 1)
            values = values.index_select(dim, index)
    return values


def crop(values: Float[Tensor, "*lead _"], shape: Sequence[int]) -> Float[Tensor, "*lead _"]:
    """Cut what `pad` added, so that the last dims have ``shape`` again."""
    for dim, points in enumerate(shape, values.ndim - len(shape)):
        values = values.narrow(dim, 0, points)
    return values
