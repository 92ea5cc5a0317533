"""Errors of predicted frames, one number for every sample, frame and field.

Write ``e = prediction - target`` and ``<.>`` for the mean over the grid points inside the mask,
which tends to the integral over the domain divided by its volume. Nothing else is averaged here: a
mean over samples, fields or lead times is the reader's choice. Every component of a vector is a
field of its own. All arithmetic is in float64.

The relative scores divide by a size of the target. Where a field dies out or goes quiet that size
tends to zero and the quotient says nothing, so it is kept above a ``floor`` in the field's own
unit, which `mpp.metrics.scales` measures. Without a floor an exact prediction of nothing scores 0,
any other infinity.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from mpp.errors import InputError
from mpp.metrics.moments import Frames, Mask, Numbers, inside, space_mean, space_variance

Floor = Float[Tensor, " field"]
Score = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]


def mae(
    prediction: Frames, target: Frames, mask: Mask | None = None, floor: Floor | None = None
) -> Numbers:
    """Mean absolute error ``<|e|>``, in the field's unit.

    Tends to the L1 norm of the error over the volume. ``floor`` has no meaning here.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    return space_mean(_difference(prediction, target, mask).abs(), mask)


def rmse(
    prediction: Frames, target: Frames, mask: Mask | None = None, floor: Floor | None = None
) -> Numbers:
    """Root mean square error ``sqrt(<e^2>)``, in the field's unit.

    Tends to the L2 norm of the error over the root of the volume. ``floor`` has no meaning here.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    return _mean_square(prediction, target, mask).sqrt()


def nmse(
    prediction: Frames, target: Frames, mask: Mask | None = None, floor: Floor | None = None
) -> Numbers:
    """Normalized mean square error ``<e^2> / max(<target^2>, floor^2)``.

    Tends to the squared relative L2 error ``int e^2 / int target^2``; predicting zero scores 1.
    Source: McCabe et al., Multiple Physics Pretraining (NeurIPS 2024), the training loss.

    Args:
        prediction: What a model gave.
        target: What the solver gave.
        mask: True where the fields are defined.
        floor: Smallest RMS of the target to divide by, one a field, in its unit.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    size = space_mean(inside(target, mask) ** 2, mask)
    return _quotient(_mean_square(prediction, target, mask), size, floor)


def nrmse(
    prediction: Frames, target: Frames, mask: Mask | None = None, floor: Floor | None = None
) -> Numbers:
    """Normalized root mean square error ``sqrt(nmse)``: the relative L2 error.

    The RMS of the target divides, not its norm, so that the score does not depend on the number of
    points. Source: McCabe et al., Multiple Physics Pretraining (NeurIPS 2024).

    Args:
        prediction: What a model gave.
        target: What the solver gave.
        mask: True where the fields are defined.
        floor: Smallest RMS of the target to divide by, one a field, in its unit.

    Raises:
        InputError: Prediction and target differ in shape.

    Example:
        >>> nrmse(torch.zeros(1, 1, 1, 4), torch.full((1, 1, 1, 4), 3.0)).item()
        1.0
    """
    return nmse(prediction, target, mask, floor).sqrt()


def vrmse(
    prediction: Frames, target: Frames, mask: Mask | None = None, floor: Floor | None = None
) -> Numbers:
    """Variance-scaled root mean square error ``sqrt(<e^2> / max(var(target), floor^2))``.

    ``var`` is ``<(target - <target>)^2>``. Tends to the L2 error relative to the L2 distance of
    the target from its own mean: predicting that mean scores 1, and a large constant background
    does not flatter. Source: Ohana et al., The Well (NeurIPS 2024), with a floor where they add a
    small constant.

    Args:
        prediction: What a model gave.
        target: What the solver gave.
        mask: True where the fields are defined.
        floor: Smallest standard deviation of the target to divide by, one a field, in its unit.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    spread = space_variance(target, mask)
    return _quotient(_mean_square(prediction, target, mask), spread, floor).sqrt()


def _difference(prediction: Frames, target: Frames, mask: Mask | None) -> Frames:
    if prediction.shape != target.shape:
        raise InputError(
            f"a prediction of shape {tuple(prediction.shape)} cannot be scored against a target of "
            f"shape {tuple(target.shape)}; both are (sample, time, field, *space)"
        )
    return inside(prediction.double() - target.double(), mask)


def _mean_square(prediction: Frames, target: Frames, mask: Mask | None) -> Numbers:
    return space_mean(_difference(prediction, target, mask) ** 2, mask)


def _quotient(error: Numbers, size: Numbers, floor: Floor | None) -> Numbers:
    if floor is not None:
        size = torch.maximum(size, floor.to(size) ** 2)
    return torch.where(error == 0, 0.0, error / size)
