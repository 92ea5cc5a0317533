"""A U-Net of ConvNeXt blocks, the convolutional peer.

Sources: Ronneberger et al., U-Net (MICCAI 2015); Liu et al., A ConvNet for the 2020s (CVPR 2022),
section 2. As in The Well's U-Net, the blocks of each resolution are ConvNeXt's: a 7x7 convolution
of each channel by itself, a norm, and a two-layer network four times as wide. There is no layer
scale: its start at 1e-6 is made for deeper networks and longer trainings. Every convolution pads as
the axis is (`stacked.pad_sides`).
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from stacked import Image, StackedFrames, pad_sides
from torch import nn
from torch.nn import functional

from mpp.batch import Axis
from mpp.errors import InputError

KERNEL = 7


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each point."""

    def forward(self, input: Image) -> Image:
        """The same image, each point normalized."""
        points = super().forward(rearrange(input, "n c x y -> n x y c"))
        return rearrange(points, "n x y c -> n c x y")


class ConvNeXtBlock(nn.Module):
    """Adds to every point what its neighbourhood makes of it.

    Args:
        width: Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(width, width, KERNEL, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, image: Image, axes: Sequence[Axis]) -> Image:
        """The image with what the block adds."""
        near = self.near(pad_sides(image, axes, KERNEL // 2))
        points = self.norm(rearrange(near, "n c x y -> n x y c"))
        points = self.narrow(functional.gelu(self.widen(points)))
        return image + rearrange(points, "n x y c -> n c x y")


class UNet(StackedFrames):
    """Down to a coarse grid and up again, with what was on each grid kept for the way up.

    Args:
        names: Fields that evolve.
        maps: Static fields.
        history: Frames that are stacked.
        width: Channels at full resolution; twice as many on each coarser grid.
        levels: Number of grids, each of half as many points along each axis.
        blocks: Blocks on each grid, on the way down and again on the way up.
    """

    def __init__(
        self,
        names: Sequence[str],
        maps: Sequence[str] = (),
        history: int = 8,
        width: int = 32,
        levels: int = 4,
        blocks: int = 2,
    ) -> None:
        sizes = {"width": width, "levels": levels, "blocks": blocks}
        super().__init__(names, maps, history, sizes)
        widths = [width * 2**level for level in range(levels)]

        def stage(channels: int) -> nn.ModuleList:
            return nn.ModuleList(ConvNeXtBlock(channels) for _ in range(blocks))

        self.first = nn.Conv2d(self.channels, width, 3)
        self.down = nn.ModuleList(stage(channels) for channels in widths)
        self.coarser = nn.ModuleList(
            nn.Sequential(ChannelNorm(fine), nn.Conv2d(fine, 2 * fine, 2, 2))
            for fine in widths[:-1]
        )
        self.finer = nn.ModuleList(nn.ConvTranspose2d(2 * fine, fine, 2, 2) for fine in widths[:-1])
        self.join = nn.ModuleList(nn.Conv2d(2 * fine, fine, 1) for fine in widths[:-1])
        self.up = nn.ModuleList(stage(channels) for channels in widths[:-1])
        self.last = nn.Sequential(ChannelNorm(width), nn.Conv2d(width, len(self.names), 1))

    def network(self, image: Image, axes: Sequence[Axis]) -> Image:
        """The change of each field.

        Raises:
            InputError: A grid that cannot be halved so many times.
        """
        multiple = 2 ** len(self.coarser)
        if any(points % multiple for points in image.shape[-2:]):
            raise InputError(
                f"expected multiples of {multiple} points along both axes, got "
                f"{' x '.join(str(points) for points in image.shape[-2:])}; take fewer levels"
            )
        image, kept = self.first(pad_sides(image, axes, 1)), []
        for level, blocks in enumerate(self.down):
            for block in blocks:  # type: ignore[attr-defined]  # a ModuleList in a ModuleList
                image = block(image, axes)
            if level < len(self.coarser):
                kept.append(image)
                image = self.coarser[level](image)
        for level in reversed(range(len(self.up))):
            fine = torch.cat([self.finer[level](image), kept[level]], 1)
            image = self.join[level](fine)
            for block in self.up[level]:  # type: ignore[attr-defined]
                image = block(image, axes)
        return self.last(image)
