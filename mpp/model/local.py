r"""Operators of near neighbours on the fine patches, where a differential operator is local.

.. math:: h \leftarrow h + W\, \mathrm{gelu}(k * \mathrm{norm}(h))

with a kernel :math:`k` of three fine patches along every axis. Around a periodic axis the first and
the last patch are neighbours; beyond any other side stands a copy of the patch at it, so that
nothing passes.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mpp.batch import Axis
from mpp.model.norm import quiet_norm

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class LocalBlock(nn.Module):
    """Adds to every fine patch what its nearest neighbours make of it.

    Args:
        rank: Number of space axes.
        hidden: Channels of a fine patch.
    """

    def __init__(self, rank: int, hidden: int) -> None:
        super().__init__()
        inner = max(1, hidden // 2)
        self.norm = quiet_norm(hidden)
        self.near = CONVOLUTIONS[rank](hidden, inner, kernel_size=3)
        self.out = nn.Linear(inner, hidden)

    def forward(
        self,
        fine: Float[Tensor, "sample time *fine hidden"],
        axes: Sequence[Axis],
        points: Sequence[int],
    ) -> Float[Tensor, "sample time *fine hidden"]:
        """The fine patches with what their neighbours add.

        Args:
            fine: Fine patches, those of the padding included.
            axes: The space axes.
            points: Fine patches along each axis that are not padding.
        """
        frames = halo(self.norm(fine).flatten(0, 1), axes, points)
        # A view in the memory order that a convolution calls channels-last: nothing is copied.
        near = self.near(frames.movedim(-1, 1)).movedim(1, -1)
        return fine + self.out(functional.gelu(near)).unflatten(0, fine.shape[:2])


def halo(
    frames: Float[Tensor, "frame *fine hidden"], axes: Sequence[Axis], points: Sequence[int]
) -> Float[Tensor, "frame *longer hidden"]:
    """One more patch at both ends of every axis: the neighbour around a ring, or a copy."""
    for dim, (axis, real) in enumerate(zip(axes, points, strict=True), 1):
        last = frames.shape[dim] - 1
        # Padding goes on around the ring, so what follows it does as well.
        low, high = (real - 1, (last + 1) % real) if axis.periodic else (0, last)
        ends = [frames.narrow(dim, place, 1) for place in (low, high)]
        frames = torch.cat([ends[0], frames, ends[1]], dim)
    return frames
