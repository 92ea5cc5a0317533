r"""Per-sample scales: what makes a field dimensionless inside a model, and physical again outside.

Inputs are divided by the RMS of the field over the last ``window`` frames, changes by the RMS of
the changes between these frames. A frame's scale looks back only, so that no target is scaled by
its own future:

.. math:: s_t^2 = \Bigl\langle x_i^2 \Bigr\rangle_{t - w < i \le t}, \qquad
          c_t^2 = \Bigl\langle (x_i - x_{i-1})^2 \Bigr\rangle_{t - w + 1 < i \le t}

where the brackets average over these frames (as many as there are) and the points inside the mask.
A rollout goes on in the same way, so that a field that calms down is stepped ever more gently; but
behind the first ``window`` frames a scale never rises above what it was there, so that a drift
cannot feed itself. The first frame has no change before it; its :math:`c_0` is the field's usual
ratio of change to value, from the training data. Neither scale falls below a floor from the
training data, since a field that is zero has no scale of its own.
"""

from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mpp.batch import FieldScales, mean_square

FLOOR = 1e-3
"""A scale never falls below this share of the field's own scale over the training data."""


@dataclass(frozen=True)
class RunningScales:
    """Scales of every frame, and what is needed to go on with later frames.

    Args:
        value: Scale of the field in each frame.
        change: Scale of the change that follows each frame.
        squares: Mean square of value and change of the last frames, at most ``window - 1`` of
            them, both in units of the usual scale.
        limit: Scales of value and change at frame ``window``; infinite before it is there.
        frames: Number of frames so far.
        last: The last frame, from which the next change is taken.
    """

    value: Float[Tensor, "sample time field"]
    change: Float[Tensor, "sample time field"]
    squares: Float[Tensor, "sample past kind field"]
    limit: Float[Tensor, "sample kind field"]
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
            window: Number of frames that a scale looks back to, its own included.
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
            [mean_square(values / units[0], mask), mean_square(changes / units[1], mask)], 2
        )
        seen = 0 if before is None else before.frames
        if before is not None:
            squares = torch.cat([before.squares, squares], 1)
        count = torch.arange(seen + 1, seen + 1 + values.shape[1], device=values.device)[:, None]
        value = _sum_of_last(squares[:, :, 0], window, values.shape[1]) / count.clamp(max=window)
        change = _sum_of_last(squares[:, :, 1], max(1, window - 1), values.shape[1])
        change = change / (count - 1).clamp(min=1, max=max(1, window - 1))
        # The floor comes before the root, which has no finite gradient at zero.
        change = torch.where(count > 1, change, value)
        scales = torch.stack([value, change], 2).clamp(min=FLOOR**2).sqrt()
        full = window - 1 - seen
        if before is not None and full < 0:
            limit = before.limit
        elif full < values.shape[1]:
            limit = scales[:, full]
        else:
            limit = torch.full_like(scales[:, 0], torch.inf)
        scales = scales.minimum(limit[:, None].where(count[..., None] > window, torch.inf))
        value, change = scales[:, :, 0] * reference.value, scales[:, :, 1] * reference.change
        kept = squares[:, max(0, squares.shape[1] - window + 1) :]
        return cls(value, change, kept, limit, seen + values.shape[1], values[:, -1]), changes


def _sum_of_last(
    squares: Float[Tensor, "sample frame field"], window: int, frames: int
) -> Float[Tensor, "sample time field"]:
    """For each of the last ``frames``, the sum over the ``window`` frames that end with it."""
    missing = max(0, window - 1 + frames - squares.shape[1])
    padded = torch.cat([squares.new_zeros(squares.shape[0], missing, squares.shape[2]), squares], 1)
    return padded[:, padded.shape[1] - frames - window + 1 :].unfold(1, window, 1).sum(-1)
