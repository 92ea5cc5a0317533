r"""The training loss: squared error in units of the change that really happened.

.. math:: L = \Bigl\langle \frac{\langle (\hat x_{t+1} - x_{t+1})^2 \rangle}{\max(\overline{\langle
          (x_{i+1} - x_i)^2 \rangle}, f^2)} \Bigr\rangle

Inner brackets average over the points inside the mask, the bar over the steps of the window, the
outer brackets over samples, steps and fields: every field of every sample weighs the same, and
copying the last frame costs 1. The floor :math:`f` keeps a field that does not change from costing
more than one that does.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

FLOOR = 1e-2
"""A change counts as at least this share of the field's usual change over the training data."""


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
    frames = frames.float()
    changes = _mean_square(frames[:, 1:] - frames[:, :-1], mask).mean(1, keepdim=True)
    floor = (FLOOR * usual_change).square()
    errors = _mean_square(predicted.float() - frames[:, -predicted.shape[1] :], mask)
    return errors / changes.maximum(floor)


def _mean_square(
    values: Float[Tensor, "sample time field *space"], mask: Bool[Tensor, "sample *space"] | None
) -> Float[Tensor, "sample time field"]:
    if mask is None:
        return values.square().flatten(3).mean(-1)
    inside = mask[:, None, None]
    squares = torch.where(inside, values, 0).square().flatten(3).sum(-1)
    return squares / inside.flatten(3).sum(-1).clamp(min=1)
