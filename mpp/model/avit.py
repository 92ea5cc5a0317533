r"""The published AViT of Multiple Physics Pretraining, to the digit of its released code.

Source: McCabe et al., Multiple Physics Pretraining for Spatiotemporal Surrogate Models, NeurIPS
2024. A history is scaled by its mean and standard deviation over time and space, field by field;
fields enter through their rows of a shared linear layer, a patch of 16 x 16 points becomes a token
in steps of 4, 2 and 2; blocks of time and space attention follow (`mpp.model.avit_blocks`), and the
steps are undone. The last token of the history gives the next frame.

What the released code computes differs from what one would expect in these points, and released
weights were trained with them, so this model keeps them all. The default model has none of them.

- Along a periodic axis, the distance to a token beyond half of an odd number of tokens is one
  short, and of an even number the token opposite counts as ahead for one half of the ring and as
  behind for the other. A roll of the input is therefore never quite a roll of the output.
- Distances in tokens share one bias from 32 on, not from 128 on as its configuration says.
- In space, a channel is divided by its standard deviation without taking its mean off first: one
  that is constant over a frame becomes about :math:`10^8` times larger.
- The biases of these norms are never added. They are kept, untrained, as ``unused_bias``.
- The factor :math:`\sqrt{\mathrm{slots} / \mathrm{fields}}` of the embedding, and the half that
  averages the two axes, are taken off again by the norm behind them and change nothing.
- A constant field is divided by :math:`10^{-7}`: rounding of its mean is what the model then sees.
- Stochastic depth is 0.2 at the last block whatever the configuration says, and in the attention
  over time one draw leaves a frame out for all samples of a batch.
- All frames attend to each other, so that earlier outputs know later frames; only the last is used.
- Of boundaries it knows periodic or not, along a whole axis. Static fields, parameters and the time
  step do not reach it; points outside a mask count as zeros.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mpp.batch import Batch
from mpp.errors import InputError
from mpp.model.avit_blocks import Block, UncentredNorm
from mpp.model.slots import Slots, find_slots, slot_table
from mpp.model.surrogate import Surrogate

PATCH = 16
Size = Literal["Ti", "S", "B", "L"]
SIZES: dict[Size, tuple[int, int, int]] = {
    "Ti": (192, 3, 12),
    "S": (384, 6, 12),
    "B": (768, 12, 12),
    "L": (1024, 16, 24),
}
"""Width, heads and depth of the published sizes."""


class FieldStem(nn.Module):
    """Fields into tokens.

    Args:
        slots: Rows for fields.
        width: Channels of a token.
    """

    def __init__(self, slots: int, width: int) -> None:
        super().__init__()
        inner = width // 4
        self.fields = nn.Linear(slots, inner)
        self.steps = nn.Sequential(
            nn.Conv2d(inner, inner, 4, 4, bias=False),
            UncentredNorm(inner),
            nn.GELU(),
            nn.Conv2d(inner, inner, 2, 2, bias=False),
            UncentredNorm(inner),
            nn.GELU(),
            nn.Conv2d(inner, width, 2, 2, bias=False),
            UncentredNorm(width),
        )

    def forward(
        self, values: Float[Tensor, "frame field fine_x fine_y"], slots: Sequence[int]
    ) -> Float[Tensor, "frame width x y"]:
        scale = (self.fields.in_features / len(slots)) ** 0.5
        points = rearrange(values, "n f x y -> n x y f")
        hidden = functional.linear(points, self.fields.weight[:, list(slots)], self.fields.bias)
        return self.steps(rearrange(scale * hidden, "n x y c -> n c x y"))


class FieldHead(nn.Module):
    """Tokens into fields, the steps of `FieldStem` backwards.

    Args:
        slots: Rows for fields.
        width: Channels of a token.
    """

    def __init__(self, slots: int, width: int) -> None:
        super().__init__()
        inner = width // 4
        self.steps = nn.Sequential(
            nn.ConvTranspose2d(width, inner, 2, 2, bias=False),
            UncentredNorm(inner),
            nn.GELU(),
            nn.ConvTranspose2d(inner, inner, 2, 2, bias=False),
            UncentredNorm(inner),
            nn.GELU(),
        )
        self.fields = nn.ConvTranspose2d(inner, slots, 4, 4)

    def forward(
        self, tokens: Float[Tensor, "frame width x y"], slots: Sequence[int]
    ) -> Float[Tensor, "frame field fine_x fine_y"]:
        chosen = list(slots)
        assert self.fields.bias is not None
        return functional.conv_transpose2d(
            self.steps(tokens), self.fields.weight[:, chosen], self.fields.bias[chosen], stride=4
        )


class PublishedAViT(Surrogate):
    """Steps fields on a 2-D grid forward from up to 16 frames, as the released model does.

    Args:
        names: Field names with a slot each that all systems share, or a table of slots by system
            and field (`mpp.model.slots`).
        slots: Rows for fields; as many as ``names`` uses when left out.
        width: Channels of a token; a multiple of 4.
        heads: Attention heads; they divide ``width``.
        depth: Number of blocks.
        history: Past frames of a forecast.
        drop: Rate of stochastic depth at the last block; it grows evenly from zero at the first.

    Raises:
        InputError: The table names a slot that there is none of.

    Examples:
        >>> PublishedAViT.of_size("Ti", ["height"], slots=12).width
        192
    """

    def __init__(
        self,
        names: Slots | Sequence[str],
        slots: int | None = None,
        width: int = 192,
        heads: int = 3,
        depth: int = 12,
        history: int = 16,
        drop: float = 0.2,
    ) -> None:
        super().__init__(history)
        self.table = slot_table(names)
        used = _used(self.table)
        self.slots = max(used, default=-1) + 1 if slots is None else slots
        self._check_slots()
        self.width, self.heads, self.depth, self.drop = width, heads, depth, drop
        self.stem = FieldStem(self.slots, width)
        rates = [drop * number / max(1, depth - 1) for number in range(depth)]
        self.blocks = nn.ModuleList(Block(width, heads, rate) for rate in rates)
        self.head = FieldHead(self.slots, width)

    @classmethod
    def of_size(cls, size: Size, names: Slots | Sequence[str], slots: int | None = None) -> Self:
        """One of the four published sizes: 7.3, 29.0, 115.6 and 407.1 M weights with 12 slots."""
        width, heads, depth = SIZES[size]
        return cls(names, slots, width, heads, depth)

    def separate(self, systems: Mapping[str, Sequence[str]]) -> None:
        """Give every field of every system a slot of its own, in this order, as was published.

        Args:
            systems: Names of the fields by system.

        Raises:
            InputError: More fields than slots.
        """
        count = itertools.count()
        self.table = {
            system: {name: next(count) for name in names} for system, names in systems.items()
        }
        self._check_slots()

    @property
    def size(self) -> Size | None:
        """Which of the published sizes this is, if any."""
        shape = (self.width, self.heads, self.depth)
        return next((size for size, known in SIZES.items() if known == shape), None)

    @property
    def names(self) -> tuple[str, ...]:
        """Every field name that has a slot."""
        return tuple(dict.fromkeys(name for rows in self.table.values() for name in rows))

    @property
    def patch(self) -> tuple[int, ...]:
        return (PATCH,)

    def normalization(self, names: Sequence[str]) -> str:
        return "each sample by its mean and standard deviation over the history"

    @property
    def arguments(self) -> dict[str, Any]:
        return {
            "names": self.table,
            "slots": self.slots,
            "width": self.width,
            "heads": self.heads,
            "depth": self.depth,
            "history": self.history,
            "drop": self.drop,
        }

    def forward(self, batch: Batch) -> Float[Tensor, "sample 1 field x y"]:
        """The frame that follows the batch.

        Raises:
            InputError: Not two space axes, a size that is no multiple of 16 points, a single
                patch, or fields without slots.
        """
        return self._predict(batch, decoded=1)

    def every_frame(self, batch: Batch) -> Float[Tensor, "sample time field x y"]:
        """The output at every frame, as the released code decodes it before it takes the last.

        The earlier ones were never trained and see the future: they are no predictions.
        """
        return self._predict(batch, decoded=batch.frames)

    def _predict(self, batch: Batch, decoded: int) -> Float[Tensor, "sample decoded field x y"]:
        self._check_grid(batch)
        fields = find_slots(batch, self.table)
        periodic = (batch.axes[0].periodic, batch.axes[1].periodic)
        values = rearrange(batch.values, "b t f x y -> t b f x y")
        if batch.mask is not None:
            values = torch.where(batch.mask[:, None], values, 0)
        with torch.no_grad():
            std, mean = torch.std_mean(values, (0, -2, -1), keepdim=True)
            std = std + 1e-7
        scaled = (values - mean) / std
        tokens = self.stem(scaled.flatten(0, 1), fields).unflatten(0, values.shape[:2])
        for block in self.blocks:
            tokens = block(tokens, periodic)
        last = tokens[-decoded:]
        frames = self.head(last.flatten(0, 1), fields).unflatten(0, last.shape[:2])
        return rearrange(frames * std + mean, "t b f x y -> b t f x y")

    def _check_slots(self) -> None:
        used = _used(self.table)
        if not used or min(used) < 0 or max(used) >= self.slots:
            raise InputError(
                f"expected slots from 0 to {self.slots - 1} for at least one field, got "
                f"{sorted(used)}; correct the table or give more slots"
            )

    def _check_grid(self, batch: Batch) -> None:
        shape = batch.values.shape[3:]
        points = " x ".join(str(size) for size in shape)
        if len(shape) != 2 or any(size % PATCH for size in shape) or shape.numel() <= PATCH**2:
            raise InputError(
                f"{batch.system}: expected two space axes with multiples of {PATCH} points and "
                f"more than one patch, got {points}; interpolate the data (ds.interp) or use the "
                "default model, which takes any shape"
            )


def _used(table: Slots) -> list[int]:
    return [slot for rows in table.values() for slot in rows.values()]
