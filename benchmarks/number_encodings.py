"""Encodings of a number that the model's own is compared with (as in Golkar et al. 2023).

Each takes the place of a model's `Numbers`: what is known goes in by another road, everything else
(masking, transforms, reading) stays.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mpp.model.numbers import FARTHEST, Numbers

BINS = 32
DIGITS = 3
EXPONENTS = 9
"""Powers of ten from minus this to this have a token."""


class Bins(Numbers):
    """One learned vector for each of `BINS` equal bins of the transformed value."""

    def __init__(self, names: Sequence[str], width: int) -> None:
        super().__init__(names, width)
        self.table = nn.Parameter(self._start(len(self.names) * BINS, width))

    def vectors(
        self, standard: Float[Tensor, "sample time name"]
    ) -> Float[Tensor, "sample time name width"]:
        """The vector of the bin, and the name's."""
        place = (standard / FARTHEST + 1) / 2 * BINS
        rows = place.long().clamp(0, BINS - 1) + BINS * torch.arange(len(self.names))
        return self.table[rows] + self.offset


class Digits(Numbers):
    """Sign, three digits and the power of ten of the value itself, a learned vector for each."""

    def __init__(self, names: Sequence[str], width: int) -> None:
        super().__init__(names, width)
        self.words = 2 + 10 * DIGITS + 2 * EXPONENTS + 1
        self.table = nn.Parameter(self._start(len(self.names) * self.words, width))

    def vectors(
        self, standard: Float[Tensor, "sample time name"]
    ) -> Float[Tensor, "sample time name width"]:
        """The vectors of what is spelled, and the name's."""
        words = digits(self.physical(standard))
        rows = words + self.words * torch.arange(len(self.names))[:, None]
        return self.table[rows].sum(-2) + self.offset


def digits(values: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape word"]:
    """Places in the vocabulary of the sign, the digits and the power of ten of each value."""
    size = values.abs().double()
    power = torch.where(size > 0, size.log10().floor(), 0).clamp(-EXPONENTS, EXPONENTS)
    whole = (size / 10 ** (power - DIGITS + 1)).round()
    carried = whole >= 10**DIGITS  # 9.996 is 10.0
    power = (power + carried).clamp(max=EXPONENTS).long()
    whole = torch.where(carried, whole / 10, whole).long().clamp(max=10**DIGITS - 1)
    words = [(values < 0).long()]
    for place in range(DIGITS):
        digit = whole // 10 ** (DIGITS - 1 - place) % 10
        words.append(2 + 10 * place + digit)
    words.append(2 + 10 * DIGITS + power + EXPONENTS)
    return torch.stack(words, -1)


class Raw(Numbers):
    """The value itself, in its own unit, through a two-layer network that knows the name."""

    def __init__(self, names: Sequence[str], width: int) -> None:
        super().__init__(names, width)
        self.rise = nn.Linear(1 + len(self.names), width)
        self.fall = nn.Linear(width, width)

    def vectors(
        self, standard: Float[Tensor, "sample time name"]
    ) -> Float[Tensor, "sample time name width"]:
        """The network's answer, and the name's vector."""
        values = self.physical(standard)
        which = torch.eye(len(self.names)).expand(*values.shape, -1)
        hidden = nn.functional.gelu(self.rise(torch.cat([values[..., None], which], -1)))
        return self.fall(hidden) + self.offset


ENCODINGS: dict[str, type[Numbers]] = {
    "direction": Numbers,
    "bins": Bins,
    "digits": Digits,
    "raw": Raw,
}
"""The model's own first."""
