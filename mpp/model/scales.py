r"""Per-sample scales: what makes a field dimensionless inside a model, and physical again outside.

Inputs are divided by the RMS of the history, changes by the RMS of the changes in the history. Both
are running means over the frames seen so far, so that no frame is scaled by its own future:

.. math:: s_t^2 = \frac{1}{t + 1} \sum_{i \le t} \langle x_i^2 \rangle, \qquad
          c_t^2 = \frac{1}{t} \sum_{1 \le i \le t} \langle (x_i - x_{i-1})^2 \rangle

where the brackets average over the points inside the mask. After ``window`` frames both stay as
they are: a rollout that drifts cannot raise its own scale. The first frame has no change before it;
its :math:`c_0` is the field's usual ratio of change to value, from the training data. Neither scale
falls below a floor from the training data, since a field that is zero has no scale of its own.
"""

from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mpp.batch import FieldScales

FLOOR = 1e-3
"""A scale never falls below this share of the field's own scale over the training data."""


@dataclass(frozen=True)
class RunningScales:
    """Scales of every frame, and what is needed to go on with later frames.

    Args:
        value: Scale of the field in each frame.
        change: Scale of the change that follows each frame.
        squares: Sum over the frames so far of the mean square of values and changes, both in
            units of the usual scale.
        frames: Number of frames in ``squares``, at most ``window``.
        last: The last frame, from which the next change is taken.
    """

    value: Float[Tensor, "sample time field"]
    change: Float[Tensor, "sample time field"]
    squares: Float[Tensor, "sample kind field"]
    frames: int
    last: Float[Tensor, "sample field *space"]

    @classmethod
    def of(
        cls,
        values: Float[Tensor, "sample time field *space"],
        reference: FieldScales,
        window: int,
        mask: Bool[Tensor, "sample *space"] | None = None,
        before: Self | None = None,
    ) -> tuple[Self, Float[Tensor, "sample time field *space"]]:
        """Scales of further frames, and the change that led to each of them.

        Args:
            values: Frames in physical units, zero outside the mask.
            reference: Scales of the fields over the training data.
            window: Number of frames after which the scales stay as they are.
            mask: True where the fields are defined.
            before: Scales of the frames before; ``None`` at the start of a history, where the
                first change is zero.
        """
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        first = values[:, 0] if before is None else before.last
        changes = values - torch.cat([first[:, None], values[:, :-1]], 1)
        # In units of the usual scales, so that no square leaves the range of the precision.
        units = [
            unit.view(-1, *[1] * (values.ndim - 3)) for unit in (reference.value, reference.change)
        ]
        squares = torch.stack(
            [_mean_square(values / units[0], mask), _mean_square(changes / units[1], mask)], 2
        )
        seen = 0 if before is None else before.frames
        count = torch.arange(seen + 1, seen + 1 + values.shape[1], device=values.device)
        squares = squares * (count <= window)[:, None, None]
        if before is not None:
            squares = torch.cat([squares[:, :1] + before.squares[:, None], squares[:, 1:]], 1)
        sums = squares.cumsum(1)
        count = count.clamp(max=window)[:, None]
        # The floor comes before the root, which has no finite gradient at zero.
        value = sums[:, :, 0] / count
        change = torch.where(count > 1, sums[:, :, 1] / (count - 1).clamp(min=1), value)
        value, change = (square.clamp(min=FLOOR**2).sqrt() for square in (value, change))
        frames = min(seen + values.shape[1], window)
        value, change = value * reference.value, change * reference.change
        return cls(value, change, sums[:, -1], frames, values[:, -1]), changes


def _mean_square(
    values: Float[Tensor, "sample time field *space"], mask: Bool[Tensor, "sample *space"] | None
) -> Float[Tensor, "sample time field"]:
    squares = values.square().flatten(3)
    if mask is None:
        return squares.mean(-1)
    inside = mask.flatten(1)[:, None, None]
    return (squares * inside).sum(-1) / inside.sum(-1).clamp(min=1)
