r"""Totals that an equation may conserve, and how far a forecast drifts from the true ones.

The total of a quantity :math:`q` is :math:`\int q\,dV`. A quantity is a field, or made of fields at
each point: an `Expression`, or a function from fields by name to an array. Whether it is conserved
is for the equation to say: the drift compares with the total of the target at the same time, so
that it is 0 for the truth also where a force adds energy.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mpp.errors import InputError
from mpp.metrics.expression import Expression
from mpp.metrics.moments import Frames, Mask, Numbers, Weights, inside, space_mean
from mpp.metrics.scores import Floor, difference, quotient

Quantity = str | Expression | Callable[[Mapping[str, Tensor]], Tensor]
"""A quantity of every point, from the fields by name, each (sample, time, *space)."""


def quantity(declared: Quantity, values: Mapping[str, Tensor], name: str = "quantity") -> Frames:
    """A declared quantity at every point, as one field.

    Args:
        declared: An expression over the names, or a function.
        values: Arrays by name, each (sample, time, *space) or so that they broadcast.
        name: What to call it in errors.

    Raises:
        InputError: An expression that is none, a name that is not there, or a shape that is none.
    """
    function = Expression.parse(declared) if isinstance(declared, str) else declared
    found = torch.as_tensor(function(values))
    shape = torch.broadcast_shapes(*(value.shape for value in values.values()))
    try:
        return found.expand(shape)[:, :, None]
    except RuntimeError as error:
        raise InputError(
            f"{name}: expected one number a point, shape {tuple(shape)}, got {tuple(found.shape)}"
        ) from error


def drift(
    prediction: Frames,
    target: Frames,
    mask: Mask | None = None,
    floor: Floor | None = None,
    weights: Weights | None = None,
) -> Numbers:
    """Error of the total ``|<prediction> - <target>| / max(<|target|>, floor)``, best 0.

    Relative to the total of the absolute target, so that a total that is zero by symmetry, such as
    a momentum, still has a size. Invariant to the unit of the field. Source: Takamoto et al.,
    PDEBench (NeurIPS 2022), cRMSE, which is not relative.

    Args:
        prediction: A quantity of what a model gave.
        target: The same quantity of what the solver gave.
        mask: True where the fields are defined.
        floor: Smallest mean of the absolute target to divide by, one a field, in its unit.
        weights: Volume of every cell of an uneven grid.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    error = space_mean(difference(prediction, target, mask), mask, weights).abs()
    size = space_mean(inside(target, mask).abs(), mask, weights)
    if floor is not None:
        size = torch.maximum(size, floor.to(size))
    return quotient(error, size, None)


def total(
    values: Frames,
    volume: float | Tensor,
    mask: Mask | None = None,
    weights: Weights | None = None,
) -> Numbers:
    """The integral over the domain inside the mask, ``sum values * cell``.

    Args:
        values: A quantity.
        volume: Of the whole domain, as `mpp.metrics.grid.volume` gives it.
        mask: True where the fields are defined.
        weights: Volume of every cell of an uneven grid.
    """
    mean = space_mean(inside(values, mask), None, weights)
    return mean * volume
