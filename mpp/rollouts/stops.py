r"""When a rollout has left what can be believed: a frame that is not finite, or far too large.

A field is too large in a frame where its RMS over space is above ``limit`` times

.. math:: \max\bigl(\mathrm{RMS}_\text{training}, \mathrm{RMS}_\text{history}\bigr),

the first as the model knows it of its training data (not every model does), the second of the
sample's own history, so that data in another unit than the model's is not taken for a drift.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mpp.batch import Batch, mean_square
from mpp.model.surrogate import Surrogate

LIMIT = 10.0
"""Times the largest RMS in training and history that a field may reach."""


@dataclass(frozen=True)
class Stop:
    """The first frame of a run that is not used.

    Args:
        row: Which run of the batch.
        step: Which step, counted from 1.
        problem: What is wrong with it, with the name of the field.
    """

    row: int
    step: int
    problem: str


class Watch:
    """Looks at each frame of a batch of runs.

    Args:
        model: The model that steps them; it may know the RMS of its fields in training.
        history: The frames that they start from.
        limit: Times the largest RMS in training and history; ``None`` asks for finite values only.
    """

    def __init__(self, model: Surrogate, history: Batch, limit: float | None) -> None:
        self.names, self.mask, self.limit = history.names, history.mask, limit
        known = model.field_scales
        self.trained = torch.tensor([known.get(n, (0.0, 0.0))[0] for n in self.names]).double()
        self.past = _rms(history.values, self.mask, 1)
        self.usual = self.past.maximum(self.trained)

    def stops(
        self, frame: Float[Tensor, "sample field *space"], step: int, rows: Sequence[int]
    ) -> list[Stop]:
        """What is wrong with a frame, for those of the runs ``rows`` in which something is."""
        values, mask = frame[:, None], self.mask
        if mask is not None:
            values = torch.where(mask[:, None, None], values, 0)
        finite = torch.isfinite(values).flatten(3).all(-1)[:, 0]
        size = _rms(values, mask, 1)
        times = torch.where(self.usual > 0, size / self.usual, 0)
        found = []
        for row in rows:
            if not finite[row].all():
                name = self.names[int((~finite[row]).nonzero()[0])]
                found.append(Stop(row, step, f"{name} is not finite"))
            elif self.limit is not None and (times[row] > self.limit).any():
                found.append(Stop(row, step, self._too_large(row, size[row], times[row])))
        return found

    def _too_large(self, row: int, size: Tensor, times: Tensor) -> str:
        worst = int(times.argmax())
        where = "in training" if self.trained[worst] >= self.past[row, worst] else "in the history"
        return (
            f"the RMS of {self.names[worst]} is {float(size[worst]):.3g}, "
            f"{float(times[worst]):.3g} times that {where} (the limit is {self.limit:g})"
        )


def _rms(
    values: Float[Tensor, "sample time field *space"], mask: Tensor | None, dim: int
) -> Float[Tensor, "sample field"]:
    """In double precision, whose squares do not overflow where float32 is finite."""
    return mean_square(values.double(), mask).mean(dim).sqrt()
