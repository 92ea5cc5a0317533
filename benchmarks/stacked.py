"""What the peers that see a history as one stack of channels share: what goes in, what comes out.

A network for images is given what the default model is given, so that the comparison is one of
networks and not of scalings: each field of each frame in units of its RMS over the history, each
change between two frames in units of the RMS of these changes (`mpp.model.scales`), and the static
maps in units of their RMS. It answers with the change that follows, in units of the same RMS.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mpp.batch import Axis, Batch, FieldScales
from mpp.errors import InputError
from mpp.model.scales import RunningScales
from mpp.model.surrogate import Surrogate

Image = Float[Tensor, "sample channel x y"]


class StackedFrames(Surrogate):
    """A specialist of one system on a 2-D grid: a network from stacked frames to a change.

    Args:
        names: Fields that evolve; a batch has these and no others, in any order.
        maps: Static fields that the network sees.
        history: Frames that are stacked; where fewer are given, the first is repeated.
        sizes: The further arguments of the network that a subclass is.
    """

    def __init__(
        self,
        names: Sequence[str],
        maps: Sequence[str],
        history: int,
        sizes: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        super().__init__(history)
        self.names, self.maps, self.sizes = tuple(names), tuple(maps), sizes
        self.value_scale = nn.Buffer(torch.ones(len(self.names)))
        self.change_scale = nn.Buffer(torch.ones(len(self.names)))

    @property
    def arguments(self) -> dict[str, Any]:
        """What makes this model again."""
        kept = {"names": list(self.names), "maps": list(self.maps), "history": self.history}
        return {**kept, **self.sizes}

    @property
    def channels(self) -> int:
        """What the network sees of each point: every frame, every change, every static map."""
        return len(self.names) * (2 * self.history - 1) + len(self.maps)

    def network(self, image: Image, axes: Sequence[Axis]) -> Image:
        """The change of each field, in units of its RMS change; a subclass writes it."""
        raise NotImplementedError

    def set_scales(self, scales: Mapping[str, tuple[float, float]]) -> None:
        """Tell the model the RMS of value and change of its fields over the training data."""
        for row, name in enumerate(self.names):
            self.value_scale[row], self.change_scale[row] = scales[name]

    def forward(self, batch: Batch) -> Float[Tensor, "sample 1 field x y"]:
        """The frame that follows the batch.

        Raises:
            InputError: Other fields or maps than the model's, a mask, or not two space axes.
        """
        self._check(batch)
        rows = [batch.names.index(name) for name in self.names]
        values = batch.window(max(0, batch.frames - self.history), batch.frames).values[:, :, rows]
        usual = FieldScales(self.value_scale, self.change_scale)
        scales, changes = RunningScales.of(values, usual, self.history)
        value, change = (scale[:, -1:, :, None, None] for scale in (scales.value, scales.change))
        missing = self.history - values.shape[1]
        frames = _earlier(values / value, missing)
        steps = _earlier(changes / change, missing, zeros=True)[:, 1:]
        seen = [frames.flatten(1, 2), steps.flatten(1, 2), *self._static(batch)]
        answer = self.network(torch.cat(seen, 1), batch.axes)
        after = values[:, -1] + change[:, 0] * answer
        back = [self.names.index(name) for name in batch.names]
        return after[:, back][:, None]

    def _static(self, batch: Batch) -> list[Image]:
        if not self.maps:
            return []
        assert batch.static is not None
        known = [field.name for field in batch.static_fields]
        maps = batch.static[:, [known.index(name) for name in self.maps]]
        size = maps.square().mean((-2, -1), keepdim=True).sqrt()
        return [maps / torch.where(size > 0, size, 1)]

    def _check(self, batch: Batch) -> None:
        maps = [field.name for field in batch.static_fields]
        if len(batch.axes) != 2 or batch.mask is not None:
            raise InputError(
                f"{batch.system}: {type(self).__name__} takes two space axes and no mask, got "
                f"{len(batch.axes)} and {'none' if batch.mask is None else 'one'}; leave it out"
            )
        if sorted(batch.names) != sorted(self.names) or not set(self.maps) <= set(maps):
            raise InputError(
                f"{batch.system}: expected the fields {', '.join(self.names)} and the maps "
                f"{', '.join(self.maps) or 'none'}, got {', '.join(batch.names)} and "
                f"{', '.join(maps) or 'none'}; this model is of one system, train another"
            )


def _earlier(
    frames: Float[Tensor, "sample time field x y"], count: int, zeros: bool = False
) -> Float[Tensor, "sample longer field x y"]:
    """So many frames more at the start: the first one again, or zeros."""
    first = frames[:, :1].expand(-1, count, -1, -1, -1)
    return torch.cat([torch.zeros_like(first) if zeros else first, frames], 1)


def pad_sides(image: Image, axes: Sequence[Axis], width: int, rings: bool = True) -> Image:
    """Further points at both sides of both axes: around a ring its other end, else copies.

    Args:
        image: On the grid of ``axes``, or a coarser one.
        axes: The space axes.
        width: Points at each side.
        rings: Lengthen periodic axes as well.
    """
    for number, axis in enumerate(axes):
        if axis.periodic and not rings:
            continue
        sides = (0, 0, width, width) if number == 0 else (width, width, 0, 0)
        image = functional.pad(image, sides, "circular" if axis.periodic else "replicate")
    return image
