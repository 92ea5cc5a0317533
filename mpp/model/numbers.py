r"""Numbers of the equation: each a direction scaled by its value, known or not, and read back.

.. math:: v_i = z_i d_i + b_i, \qquad z_i = \frac{T_i(p_i) - \mu_i}{\sigma_i}

with a learned direction :math:`d_i` and offset :math:`b_i` for each name (xVal, Golkar et al. 2023,
section 2). Their sum is added to the tokens of a frame, and in every block a token attends to them
beside its own past. A number that is not known has no vector, so that leaving it out and masking it
are the same. The transform :math:`T_i` is chosen from the training data and kept with the weights:

=============  =========================================  ======================================
transform      :math:`T(p)`                               chosen for numbers that
=============  =========================================  ======================================
`linear`       :math:`p`                                  stay within a factor of 3
`log`          :math:`\ln p`                              are positive and span more
`signed log`   :math:`\mathrm{sign}(p) \ln(1 + |p| / s)`  take both signs, or zero, and span more
=============  =========================================  ======================================

All of it is computed in float32, whatever the precision around it. The time between two frames is
one of the numbers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mpp.batch import Batch
from mpp.model.attention import Told
from mpp.model.stem import grown

TIME_STEP = "time_step"
"""Name of the time between two frames among the numbers."""
KINDS = ("linear", "log", "signed log")
FARTHEST = 4.0
"""Values further than this from the mean count as this far: nothing was learned out there."""
WIDE = 3.0
"""Numbers that span more than this factor are taken by their logarithm."""
COVERAGE = 0.9
"""Share of the true numbers that an interval is meant to hold."""
NORMAL_REACH = 1.6448536
"""Half the width of such an interval of a normal distribution with a standard deviation of 1."""
LEAST_VARIANCE = 1e-4
"""The variance of a reading is at least this, in units of the spread over the training data."""


@dataclass(frozen=True)
class Transform:
    """How the values of one number become order one.

    Args:
        kind: Place in `KINDS`.
        size: Below it a signed logarithm is linear; not used by the others.
        mean: Mean of the transformed values over the training data.
        spread: Their standard deviation.
        low: Smallest value in the training data.
        high: Largest value.
    """

    kind: int = 0
    size: float = 1.0
    mean: float = 0.0
    spread: float = 1.0
    low: float = -float("inf")
    high: float = float("inf")

    @classmethod
    def fit(cls, values: Float[np.ndarray, " number"]) -> Self:
        """The transform for the values of the training data, one entry a run; not NaN."""
        values = np.asarray(values, dtype=np.float64)
        sizes = np.abs(values[values != 0])
        wide = sizes.size > 0 and sizes.max() > WIDE * sizes.min()
        kind = 0 if not wide else 1 if values.min() > 0 else 2
        size = float(np.exp(np.log(sizes).mean())) if kind == 2 else 1.0
        moved = _transformed(torch.from_numpy(values), torch.tensor(kind), torch.tensor(size))
        mean, spread = float(moved.mean()), float(moved.std(correction=0))
        # A number that never varied keeps a unit of its own: its size, or a factor of e.
        least = 1e-3 * float(np.abs(values).max()) if kind == 0 else 1e-3
        if spread <= least:
            spread = (abs(mean) or 1.0) if kind == 0 else 1.0
        return cls(kind, size, mean, spread, float(values.min()), float(values.max()))


def _transformed(
    values: Float[Tensor, "*shape"], kind: Tensor, size: Tensor
) -> Float[Tensor, "*shape"]:
    """Each entry by its own transform. Nothing leaves float32 while the values are within it."""
    logs = values.abs().log()
    signed = values.sign() * torch.logaddexp(torch.zeros_like(logs), logs - size.log())
    positive = torch.where(values <= 0, -torch.inf, logs)
    return torch.where(kind == 0, values, torch.where(kind == 1, positive, signed))


class Numbers(nn.Module):
    """Numbers by name into vectors to attend to, and back out of the tokens of a frame.

    Args:
        names: Names of the numbers; the time step is among them, the first, if it is left out.
        width: Channels of a token.
    """

    def __init__(self, names: Sequence[str], width: int) -> None:
        super().__init__()
        self.names = (TIME_STEP, *(name for name in names if name != TIME_STEP))
        count = len(self.names)
        self.direction = nn.Parameter(self._start(count, width))
        self.offset = nn.Parameter(self._start(count, width))
        self.silence = nn.Parameter(self._start(width))
        self.features = nn.Linear(width, width)
        self.hidden = nn.Linear(width, width)
        self.head = nn.Parameter(self._start(count, 2, width))
        self.head_bias = nn.Parameter(torch.zeros(count, 2))
        start = Transform()
        self.kind = nn.Buffer(torch.full((count,), start.kind))
        self.size = nn.Buffer(torch.full((count,), start.size))
        self.mean = nn.Buffer(torch.full((count,), start.mean))
        self.spread = nn.Buffer(torch.full((count,), start.spread))
        self.low = nn.Buffer(torch.full((count,), start.low))
        self.high = nn.Buffer(torch.full((count,), start.high))

    @staticmethod
    def _start(*shape: int) -> Float[Tensor, "name width"]:
        return 0.02 * torch.randn(*shape)

    def grow(self, names: Sequence[str]) -> None:
        """Add further numbers; what is computed from the old ones stays the same."""
        new = [name for name in names if name not in self.names]
        rows: list[int | None] = [None] * len(new)
        for name in ("direction", "offset", "head"):
            setattr(self, name, nn.Parameter(grown(getattr(self, name), rows, self._start)))
        self.head_bias = nn.Parameter(grown(self.head_bias, rows, torch.zeros))
        for name, value in vars(Transform()).items():
            old = getattr(self, name)
            more = torch.full((len(new),), value).to(old)
            setattr(self, name, nn.Buffer(torch.cat([old, more])))
        self.names += tuple(new)

    @property
    def seen(self) -> tuple[str, ...]:
        """Names of the numbers that some training data had."""
        finite = self.low.isfinite().tolist()
        return tuple(name for name, known in zip(self.names, finite, strict=True) if known)

    def widen(self, transforms: Mapping[str, Transform]) -> None:
        """Let the range of each number include that of further training data."""
        for name, transform in transforms.items():
            row = self.names.index(name)
            self.low[row] = self.low[row].clamp(max=transform.low)
            self.high[row] = self.high[row].clamp(min=transform.high)

    def set_transforms(self, transforms: Mapping[str, Transform]) -> None:
        """Tell it what the numbers are like over the training data."""
        for name, transform in transforms.items():
            row = self.names.index(name)
            for key, value in vars(transform).items():
                getattr(self, key)[row] = value

    def standard(
        self, batch: Batch, step: Float[Tensor, " sample"] | None
    ) -> Float[Tensor, "sample time name"]:
        """The batch's numbers at order one, NaN where one is not known.

        Numbers that are not among the names are left out. The time is that of the batch if one of
        the numbers varies in time, otherwise it is one.

        Args:
            batch: Frames with their parameters.
            step: Time between frames; ``None`` where it is not known.
        """
        found = {name: value.float() for name, value in batch.parameters.items()}
        varies = any(value.ndim == 2 for value in found.values())
        frames = (batch.samples, batch.frames if varies else 1)
        unknown = batch.values.new_full(frames, torch.nan, dtype=torch.float32)
        if step is not None:
            found[TIME_STEP] = step.float()
        columns = [
            found.get(name, unknown).view(batch.samples, -1).expand(frames) for name in self.names
        ]
        moved = _transformed(torch.stack(columns, -1), self.kind, self.size)
        return ((moved - self.mean) / self.spread).clamp(-FARTHEST, FARTHEST)

    def forward(
        self, standard: Float[Tensor, "sample time name"], names: Collection[str] | None = None
    ) -> Told:
        """A vector for each number, those that are not known being shut, and one that says nothing.

        The last is always there, so that a token which is told nothing has it beside itself.

        Args:
            standard: What `standard` gave.
            names: Numbers to say something of, all when left out; no other is known.
        """
        known = ~standard.isnan()
        vectors = self.vectors(torch.where(known, standard, 0))
        if names is not None:
            rows = [row for row, name in enumerate(self.names) if name in names]
            known, vectors = known[..., rows], vectors[..., rows, :]
        silent = self.silence.expand(*vectors.shape[:2], 1, -1)
        there = known.new_ones(*known.shape[:-1], 1)
        return Told(torch.cat([vectors, silent], 2), torch.cat([known, there], 2))

    def vectors(
        self, standard: Float[Tensor, "sample time name"]
    ) -> Float[Tensor, "sample time name width"]:
        """The encoding of each number.

        A product and a sum, and not a matrix product, which autocast would take to lower precision.
        """
        return standard[..., None] * self.direction + self.offset

    def read(
        self, tokens: Float[Tensor, "sample time *patch width"]
    ) -> Float[Tensor, "sample time name two"]:
        """Mean and logarithm of the variance of each number at order one, from what each frame's
        tokens hold of it and the frames before.
        """
        pooled = nn.functional.gelu(self.features(tokens)).flatten(2, -2).mean(2)
        hidden = nn.functional.gelu(self.hidden(pooled)).float()
        read = (hidden[..., None, None, :] * self.head).sum(-1) + self.head_bias
        mean, spread = read.unbind(-1)
        return torch.stack([mean, nn.functional.softplus(spread).add(LEAST_VARIANCE).log()], -1)

    def physical(self, standard: Float[Tensor, "*shape name"]) -> Float[Tensor, "*shape name"]:
        """The inverse of `standard`: numbers in their own units."""
        moved = standard * self.spread + self.mean
        signed = moved.sign() * (self.size.log() + moved.abs().expm1().log()).exp()
        return torch.where(self.kind == 0, moved, torch.where(self.kind == 1, moved.exp(), signed))

    def outside(self, batch: Batch) -> tuple[str, ...]:
        """Names of the batch's numbers that leave the range of the training data."""
        found = []
        for name, value in batch.parameters.items():
            if name in self.names:
                row = self.names.index(name)
                if bool(((value < self.low[row]) | (value > self.high[row])).any()):
                    found.append(name)
        return tuple(found)


def reading_loss(
    reading: Float[Tensor, "sample time name two"],
    truth: Float[Tensor, "sample time name"],
) -> Float[Tensor, ""]:
    r"""Gaussian negative log-likelihood of the numbers that are not NaN in ``truth``.

    .. math:: \frac{1}{2} \Bigl\langle \ln \sigma^2 + \frac{(z - \mu)^2}{\sigma^2} \Bigr\rangle
    """
    mean, log_variance = reading.unbind(-1)
    truth = truth.expand_as(mean)
    asked = ~truth.isnan()
    error = torch.where(asked, truth - mean, 0).square()
    each = 0.5 * (log_variance + error * (-log_variance).exp())
    return torch.where(asked, each, 0).sum() / asked.sum().clamp(min=1)
