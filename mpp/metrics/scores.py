"""Errors of predicted frames, one number for every sample, frame and field.

Write ``e = prediction - target`` and ``<.>`` for the mean over the grid points inside the mask,
which tends to the integral over the domain divided by its volume; on an uneven grid every point
counts with the size of its cell (``weights``, from `mpp.metrics.grid`). Nothing else is averaged
here: a mean over samples, fields or lead times is the reader's choice. Every component of a vector
is a field of its own. All arithmetic is in float64.

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
from mpp.metrics.moments import (
    Frames,
    Mask,
    Numbers,
    Weights,
    deviation,
    inside,
    space_mean,
    space_variance,
)

Floor = Float[Tensor, " field"]
Score = Callable[..., Tensor]
"""Of prediction, target, mask, floor and weights; one number a sample, frame and field."""


def mae(
    prediction: Frames,
    target: Frames,
    mask: Mask | None = None,
    floor: Floor | None = None,
    weights: Weights | None = None,
) -> Numbers:
    """Mean absolute error ``<|e|>``, in the field's unit.

    Tends to the L1 norm of the error over the volume. ``floor`` has no meaning here.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    return space_mean(difference(prediction, target, mask).abs(), mask, weights)


def rmse(
    prediction: Frames,
    target: Frames,
    mask: Mask | None = None,
    floor: Floor | None = None,
    weights: Weights | None = None,
) -> Numbers:
    """Root mean square error ``sqrt(<e^2>)``, in the field's unit.

    Tends to the L2 norm of the error over the root of the volume. ``floor`` has no meaning here.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    return _mean_square(prediction, target, mask, weights).sqrt()


def nmse(
    prediction: Frames,
    target: Frames,
    mask: Mask | None = None,
    floor: Floor | None = None,
    weights: Weights | None = None,
) -> Numbers:
    """Normalized mean square error ``<e^2> / max(<target^2>, floor^2)``.

    Tends to the squared relative L2 error ``int e^2 / int target^2``; predicting zero scores 1.
    Source: McCabe et al., Multiple Physics Pretraining (NeurIPS 2024), the training loss.

    Args:
        prediction: What a model gave.
        target: What the solver gave.
        mask: True where the fields are defined.
        floor: Smallest RMS of the target to divide by, one a field, in its unit.
        weights: Volume of every cell of an uneven grid.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    size = space_mean(inside(target, mask) ** 2, mask, weights)
    return quotient(_mean_square(prediction, target, mask, weights), size, floor)


def nrmse(
    prediction: Frames,
    target: Frames,
    mask: Mask | None = None,
    floor: Floor | None = None,
    weights: Weights | None = None,
) -> Numbers:
    """Normalized root mean square error ``sqrt(nmse)``: the relative L2 error.

    The RMS of the target divides, not its norm, so that the score does not depend on the number of
    points. Source: McCabe et al., Multiple Physics Pretraining (NeurIPS 2024).

    Args:
        prediction: What a model gave.
        target: What the solver gave.
        mask: True where the fields are defined.
        floor: Smallest RMS of the target to divide by, one a field, in its unit.
        weights: Volume of every cell of an uneven grid.

    Raises:
        InputError: Prediction and target differ in shape.

    Examples:
        >>> nrmse(torch.zeros(1, 1, 1, 4), torch.full((1, 1, 1, 4), 3.0)).item()
        1.0
    """
    return nmse(prediction, target, mask, floor, weights).sqrt()


def vmse(
    prediction: Frames,
    target: Frames,
    mask: Mask | None = None,
    floor: Floor | None = None,
    weights: Weights | None = None,
) -> Numbers:
    """Variance-scaled mean square error ``<e^2> / max(var(target), floor^2)``.

    ``var`` is ``<(target - <target>)^2>``; predicting the mean of the target scores 1.
    Source: Ohana et al., The Well (NeurIPS 2024), with a floor where they add a small constant.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    spread = space_variance(target, mask, weights)
    return quotient(_mean_square(prediction, target, mask, weights), spread, floor)


def vrmse(
    prediction: Frames,
    target: Frames,
    mask: Mask | None = None,
    floor: Floor | None = None,
    weights: Weights | None = None,
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
        weights: Volume of every cell of an uneven grid.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    return vmse(prediction, target, mask, floor, weights).sqrt()


def max_error(
    prediction: Frames,
    target: Frames,
    mask: Mask | None = None,
    floor: Floor | None = None,
    weights: Weights | None = None,
) -> Numbers:
    """Largest absolute error ``max |e|`` over the points inside the mask, in the field's unit.

    Tends to the L-infinity norm of the error. A shock or front that is one cell off makes it as
    large as the jump. ``floor`` and ``weights`` have no meaning here.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    return difference(prediction, target, mask).abs().flatten(3).amax(-1)


def pearson(
    prediction: Frames,
    target: Frames,
    mask: Mask | None = None,
    floor: Floor | None = None,
    weights: Weights | None = None,
) -> Numbers:
    """Pearson correlation ``<p' t'> / sqrt(<p'^2> <t'^2>)`` of the deviations from the means.

    From -1 to 1, best 1; blind to an offset and to a positive factor. Where the target or the
    prediction is constant there is nothing to correlate: 1 if the deviations are equal, else 0.
    ``floor`` has no meaning here. Source: Pearson, Proc. R. Soc. 58 (1895).

    Raises:
        InputError: Prediction and target differ in shape.
    """
    require_alike(prediction, target)
    made, spread = deviation(prediction, mask, weights)
    true, true_spread = deviation(target, mask, weights)
    return _cosine(made, true, (spread, true_spread), mask, weights)


def anomaly_correlation(
    prediction: Frames,
    target: Frames,
    climatology: Float[Tensor, "#sample #time field *space"],
    mask: Mask | None = None,
    weights: Weights | None = None,
) -> Numbers:
    """Correlation of the deviations from a climatology ``c``, from -1 to 1, best 1.

    ``<(p - c)(t - c)> / sqrt(<(p - c)^2> <(t - c)^2>)``, the mean of the deviations not subtracted.
    A forecast of the pattern that is always there earns nothing. Where either deviation vanishes
    it is 1 if they are equal, else 0. Source: Rasp et al., WeatherBench 2 (JAMES 2024).

    Args:
        prediction: What a model gave.
        target: What the solver gave.
        climatology: Mean state of every point, in the fields' units.
        mask: True where the fields are defined.
        weights: Volume of every cell of an uneven grid.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    require_alike(prediction, target)
    mean = climatology.double()
    made, true = (inside(values.double() - mean, mask) for values in (prediction, target))
    sizes = [space_mean(values**2, mask, weights) for values in (made, true)]
    return _cosine(made, true, (sizes[0], sizes[1]), mask, weights)


def _cosine(
    made: Frames,
    true: Frames,
    sizes: tuple[Numbers, Numbers],
    mask: Mask | None,
    weights: Weights | None,
) -> Numbers:
    """Cosine of the angle between two fields of the given mean squares."""
    product = space_mean(made * true, mask, weights)
    norm = sizes[0].sqrt() * sizes[1].sqrt()
    bounded = (product / norm).clamp(-1, 1)
    if not (norm == 0).any():
        return bounded
    equal = (made == true).flatten(3).all(-1).to(product)
    return torch.where(norm == 0, equal, bounded)


def difference(prediction: Frames, target: Frames, mask: Mask | None) -> Frames:
    """The error in float64, zero outside the mask.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    require_alike(prediction, target)
    return inside(prediction.double() - target.double(), mask)


def require_alike(prediction: Frames, target: Frames) -> None:
    """Refuse shapes that would broadcast.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    if prediction.shape != target.shape:
        raise InputError(
            f"a prediction of shape {tuple(prediction.shape)} cannot be scored against a target of "
            f"shape {tuple(target.shape)}; both are (sample, time, field, *space)"
        )


def _mean_square(
    prediction: Frames, target: Frames, mask: Mask | None, weights: Weights | None
) -> Numbers:
    return space_mean(difference(prediction, target, mask) ** 2, mask, weights)


def quotient(error: Tensor, size: Tensor, floor: Tensor | None) -> Tensor:
    """An error over a size that is kept above the square of a floor; no error scores 0."""
    if floor is not None:
        size = torch.maximum(size, floor.to(size) ** 2)
    return torch.where(error == 0, 0.0, error / size)
