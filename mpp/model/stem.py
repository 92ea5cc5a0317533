"""The ends of the model: fields by name into tokens, and tokens back into a change of every field.

Each field name owns rows in both ends. A dataset uses the rows of its fields, in any order and
number; a new field gets new rows and leaves the old ones as they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from mpp.batch import Axis
from mpp.model.local import LocalBlock
from mpp.model.norm import quiet_norm
from mpp.model.patches import crop, pad, patch, unpatch
from mpp.schema import BOUNDARY_KINDS

VIEWS = 2
"""A field enters twice: its value and the change that led to it."""
MOST = 16
"""A patch is chosen so that no axis has more tokens than this, if the model has one so large."""


def grown(
    rows: Float[Tensor, "vocabulary *rest"],
    donors: Sequence[int | None],
    start: Callable[..., Tensor],
) -> Float[Tensor, "longer *rest"]:
    """The rows with further ones behind: a copy of row ``donor``, or ``start(1, *rest)``."""
    shape = rows.shape[1:]
    new = [start(1, *shape).to(rows) if d is None else rows.detach()[d : d + 1] for d in donors]
    return torch.cat([rows.detach(), *new])


@dataclass(frozen=True)
class Patches:
    """How an end of the model divides the grid.

    Args:
        hidden: Channels of a fine patch.
        fine: Points of a fine patch along each axis.
        coarse: Fine patches of a token along each axis, one number for each size of patch that
            there are weights for, in rising order.
    """

    hidden: int
    fine: int
    coarse: tuple[int, ...]

    def level(self, shape: Sequence[int]) -> int:
        """Which size of patch serves a grid: the smallest that leaves at most `MOST` along it."""
        tokens = [max(shape) / (self.fine * coarse) for coarse in self.coarse]
        few = [level for level, count in enumerate(tokens) if count <= MOST]
        return few[0] if few else len(tokens) - 1

    def fine_points(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Whole fine patches along each axis of a grid."""
        return tuple(max(1, points // self.fine) for points in shape)


class FieldEmbedding(nn.Module):
    """Values and changes of named fields into tokens.

    Args:
        vocabulary: Number of field names.
        rank: Number of space axes.
        width: Channels of a token.
        patches: How the grid is divided.
        local: Number of operators on the fine patches before they are joined.
    """

    def __init__(
        self, vocabulary: int, rank: int, width: int, patches: Patches, local: int
    ) -> None:
        super().__init__()
        self.patches, hidden = patches, patches.hidden
        self.rows = nn.Parameter(self._start(vocabulary, VIEWS * patches.fine**rank, hidden))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.local = nn.ModuleList(LocalBlock(rank, hidden) for _ in range(local))
        self.join = nn.ModuleList(
            nn.Linear(hidden * coarse**rank, width) for coarse in patches.coarse
        )

    @staticmethod
    def _start(*shape: int) -> Float[Tensor, "vocabulary input hidden"]:
        return torch.randn(*shape) / shape[-2] ** 0.5

    def grow(self, donors: Sequence[int | None]) -> None:
        """Add a row for each entry: a copy of that old row, or a random one for ``None``."""
        self.rows = nn.Parameter(grown(self.rows, donors, self._start))

    def forward(
        self,
        views: Float[Tensor, "sample time view channel *space"],
        fields: Int[Tensor, " channel"],
        axes: Sequence[Axis],
    ) -> tuple[
        Float[Tensor, "sample time *patch width"], Float[Tensor, "sample time *fine hidden"]
    ]:
        """The tokens, and the fine patches they were joined from, which the other end needs."""
        shape = views.shape[4:]
        level, points = self.patches.level(shape), self.patches.fine_points(shape)
        coarse = self.patches.coarse[level]
        channels = rearrange(views, "b t v c ... -> b t (c v) ...")
        padded = pad(channels, axes, self.patches.fine * coarse)
        rows = rearrange(self.rows[fields], "c p h -> (c p) h")
        fine = patch(padded, self.patches.fine) @ rows + self.bias
        for block in self.local:
            fine = block(fine, axes, points)
        joined = patch(functional.gelu(fine).movedim(-1, 2), coarse)
        return self.join[level](joined), fine


class FieldReadout(nn.Module):
    """Tokens, with the fine patches of the same frames, into one number a field and point.

    Args: as for `FieldEmbedding`, ``local`` operators after the tokens are split.
    """

    def __init__(
        self, vocabulary: int, rank: int, width: int, patches: Patches, local: int
    ) -> None:
        super().__init__()
        self.patches, hidden = patches, patches.hidden
        self.split = nn.ModuleList(
            nn.Linear(width, hidden * coarse**rank) for coarse in patches.coarse
        )
        self.skip = nn.Linear(hidden, hidden)
        self.local = nn.ModuleList(LocalBlock(rank, hidden) for _ in range(local))
        # Bounds what can be read, whatever comes in: a rollout that has gone astray grows by steps
        # of a limited size and not exponentially.
        self.norm = quiet_norm(hidden)
        self.rows = nn.Parameter(self._start(vocabulary, patches.fine**rank, hidden))
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    @staticmethod
    def _start(*shape: int) -> Float[Tensor, "vocabulary point hidden"]:
        return torch.randn(*shape) / shape[-1] ** 0.5

    def grow(self, donors: Sequence[int | None]) -> None:
        """Add a row for each entry: a copy of that old row, or a random one for ``None``."""
        self.rows = nn.Parameter(grown(self.rows, donors, self._start))
        self.bias = nn.Parameter(grown(self.bias, donors, torch.zeros))

    def forward(
        self,
        tokens: Float[Tensor, "sample time *patch width"],
        fine: Float[Tensor, "sample time *fine hidden"],
        fields: Int[Tensor, " channel"],
        shape: Sequence[int],
        axes: Sequence[Axis],
    ) -> Float[Tensor, "sample time channel *space"]:
        """Read every field; the result has the ``shape`` that the embedding was given."""
        level, points = self.patches.level(shape), self.patches.fine_points(shape)
        split = unpatch(self.split[level](tokens), self.patches.coarse[level]).movedim(2, -1)
        hidden = split + self.skip(fine)
        for block in self.local:
            hidden = block(hidden, axes, points)
        rows = rearrange(self.rows[fields], "c p h -> h (c p)")
        values = unpatch(functional.gelu(self.norm(hidden)) @ rows, self.patches.fine)
        bias = self.bias[fields].view(-1, *([1] * len(shape)))
        return crop(values + bias, shape)


class BoundaryEmbedding(nn.Module):
    """Tells the tokens at the end of a non-periodic axis which kind of side is there.

    Nothing is added along a periodic axis.

    Args:
        width: Channels of a token.
        axes: Number of space axes there can be.
    """

    def __init__(self, width: int, axes: int = 3) -> None:
        super().__init__()
        self.sides = nn.Parameter(0.02 * torch.randn(axes, len(BOUNDARY_KINDS), 2, width))

    def forward(
        self, tokens: Float[Tensor, "sample time *patch width"], axes: Sequence[Axis]
    ) -> Float[Tensor, "sample time *patch width"]:
        for number, axis in enumerate(axes):
            if axis.periodic:
                continue
            dim = 2 + number
            marks = tokens.new_zeros(tokens.shape[dim], tokens.shape[-1])
            low, high = (
                self.sides[number, BOUNDARY_KINDS.index(kind), side]
                for side, kind in enumerate(axis.boundary)
            )
            marks = torch.cat([low[None] + marks[:1], marks[1:]])
            marks = torch.cat([marks[:-1], marks[-1:] + high[None]])
            tokens = tokens + marks.view(
                *[-1 if d == dim else 1 for d in range(tokens.ndim - 1)], tokens.shape[-1]
            )
        return tokens
