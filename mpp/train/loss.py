r"""Training losses: squared error in units of what really happened, field by field.

In units of the change (`change_loss`, the default):

.. math:: L = \Bigl\langle \frac{\langle (\hat x_{t+1} - x_{t+1})^2 \rangle}{\max(\overline{\langle
          (x_{i+1} - x_i)^2 \rangle}, f^2)} \Bigr\rangle

Inner brackets average over the points inside the mask, the bar over the steps of the window, the
outer brackets over samples, steps and fields: every field of every sample weighs the same, and
copying the last frame costs 1. The floor :math:`f` keeps a field that does not change from costing
more than one that does.

Rolled out (`rollout_loss`): the error of the :math:`k`-th step beyond the last frame given, in
units of the change since that frame, :math:`\langle (x_{t+k} - x_t)^2 \rangle` with the same floor.
Copying the last frame costs 1 at every lead time.

In units of the value (`nmse_loss`), as Multiple Physics Pretraining was published:

.. math:: L = \Bigl\langle \frac{\langle (\hat x_{t+1} - x_{t+1})^2 \rangle}
          {\langle x_{t+1}^2 \rangle + 10^{-7}} \Bigr\rangle

Predicting zero costs 1, and a field with a large mean hardly counts. The number added has the unit
of the field squared: a field whose values are below some :math:`10^{-4}` does not count either.
"""

from collections.abc import Callable
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from mpp.batch import mean_square

Loss = Callable[..., Any]
"""Takes predictions, frames, the fields' usual change and a mask, as `change_loss` does.

`Any`, here and in the aliases for optimizers and schedules, since jsonargparse takes a return type
as the class that a YAML file must name.
"""
FLOOR = 1e-2
"""A change counts as at least this share of the field's usual change over the training data."""
ADDED = 1e-7
"""What the published code adds to the mean square of a field before it divides by it."""


def change_loss(
    predicted: Float[Tensor, "sample time field *space"],
    frames: Float[Tensor, "sample time_and_one field *space"],
    usual_change: Float[Tensor, " field"],
    mask: Bool[Tensor, "sample *space"] | None = None,
) -> Float[Tensor, "sample time field"]:
    """The loss of each target, before the outer average.

    Args:
        predicted: The frames after each of the first frames.
        frames: The true frames, one more than predicted; a model that predicts only the last
            targets is compared with the last frames.
        usual_change: RMS change of each field from frame to frame over the training data.
        mask: True where the fields are defined; other points do not count.
    """
    # In units of the usual change, so that no square leaves the range of single precision.
    unit = usual_change.view(-1, *[1] * (frames.ndim - 3))
    frames = frames.float()
    changes = mean_square((frames[:, 1:] - frames[:, :-1]) / unit, mask).mean(1, keepdim=True)
    errors = mean_square((predicted.float() - frames[:, -predicted.shape[1] :]) / unit, mask)
    return errors / changes.clamp(min=FLOOR**2)


def rollout_loss(
    predicted: Float[Tensor, "sample time field *space"],
    targets: Float[Tensor, "sample time field *space"],
    start: Float[Tensor, "sample one field *space"],
    usual_change: Float[Tensor, " field"],
    mask: Bool[Tensor, "sample *space"] | None = None,
) -> Float[Tensor, "sample time field"]:
    """The loss of each frame of a rollout, before the outer average.

    Args:
        predicted: Frames of the rollout.
        targets: The true frames at the same times.
        start: The last true frame that the rollout started from.
        usual_change: As for `change_loss`.
        mask: As for `change_loss`.
    """
    unit = usual_change.view(-1, *[1] * (targets.ndim - 3))
    targets = targets.float()
    errors = mean_square((predicted.float() - targets) / unit, mask)
    moved = mean_square((targets - start.float()) / unit, mask)
    return errors / moved.clamp(min=FLOOR**2)


def nmse_loss(
    predicted: Float[Tensor, "sample time field *space"],
    frames: Float[Tensor, "sample time_and_one field *space"],
    usual_change: Float[Tensor, " field"],
    mask: Bool[Tensor, "sample *space"] | None = None,
) -> Float[Tensor, "sample time field"]:
    """The published loss of each target: mean square of the error over that of the target.

    Args:
        predicted: As for `change_loss`; the published model predicts the last frame alone.
        frames: As for `change_loss`.
        usual_change: Not used: this loss has no floor that a field's data sets.
        mask: True where the fields are defined; other points do not count.
    """
    targets = frames[:, -predicted.shape[1] :].float()
    errors = mean_square(predicted.float() - targets, mask)
    return errors / (mean_square(targets, mask) + ADDED)
