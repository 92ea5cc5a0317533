"""Attention along one axis at a time: over the past of a token, and over the tokens of its row.

Both use relative positions only. Along a periodic axis the distance between two tokens is counted
around the ring, so that rolling the input rolls the output; nothing there tells a token where it
is.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from mpp.batch import Axis
from mpp.model.patches import AXES

DISTANCES = 16
"""Distances up to half of this have a bias of their own, longer ones share it logarithmically."""
FARTHEST = 128


@dataclass
class Cache:
    """Keys and values of past frames of one time attention, at most ``window`` of them."""

    key: Float[Tensor, "row head time width"]
    value: Float[Tensor, "row head time width"]


@dataclass
class Told:
    """Vectors that every token of a frame may attend to, and which of them are there.

    What is told to all frames alike has a time of one.
    """

    vectors: Float[Tensor, "sample time number width"]
    known: Bool[Tensor, "sample time number"]

    def total(self) -> Float[Tensor, "sample time width"]:
        """The sum of those that are there."""
        return torch.where(self.known[..., None], self.vectors, 0).sum(-2)


class TimeAttention(nn.Module):
    """Each token attends to itself in the present and in the past ``window - 1`` frames.

    Args:
        width: Channels of a token.
        heads: Attention heads; they divide ``width``.
        window: Number of frames a token sees, its own included.
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.query_norm = nn.LayerNorm(width // heads, bias=False)
        self.key_norm = nn.LayerNorm(width // heads, bias=False)
        self.lag_bias = nn.Parameter(torch.zeros(heads, window))
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self,
        tokens: Float[Tensor, "sample time *patch width"],
        cache: Cache | None = None,
        told: Told | None = None,
    ) -> tuple[Float[Tensor, "sample time *patch width"], Cache]:
        """Attend over time, and to what each frame was told.

        Args:
            tokens: The frames.
            cache: Keys and values of the frames before them.
            told: Further vectors for the tokens of each frame to attend to, none of other frames.
        """
        shape = tokens.shape
        query, key, value = self._heads(tokens.flatten(2, -2))
        if cache is not None:
            key = torch.cat([cache.key, key], 2)
            value = torch.cat([cache.value, value], 2)
        keep = max(0, key.shape[2] - self.window + 1)
        kept = Cache(key[:, :, keep:], value[:, :, keep:])
        bias = self._bias(query.shape[2], key.shape[2]).to(query.dtype)
        if told is not None:
            key, value, bias = self._join(told, key, value, bias)
        mixed = functional.scaled_dot_product_attention(query, key, value, bias)
        mixed = rearrange(mixed, "(b n) h t c -> b t n (h c)", b=shape[0])
        return self.out(mixed).reshape(shape), kept

    def _heads(self, tokens: Float[Tensor, "sample time token width"]) -> list[Tensor]:
        """Queries, keys and values, each a row for every token and sample."""
        pattern = "b t n (three h c) -> three (b n) h t c"
        joint = rearrange(self.qkv(tokens), pattern, three=3, h=self.heads)
        return [self.query_norm(joint[0]), self.key_norm(joint[1]), joint[2]]

    def _join(
        self, told: Told, key: Tensor, value: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, values and bias with those of what was told behind them, the same for all rows."""
        _, further, content = self._heads(told.vectors.flatten(1, 2)[:, :, None])
        rows, (heads, frames, _) = len(key) // len(further), bias.shape
        said = told.known.shape[1]
        now = torch.eye(frames, said, dtype=torch.bool, device=bias.device) | (said == 1)
        seen = rearrange(now[None, :, :, None] & told.known[:, None], "b t s k -> b 1 t (s k)")
        shut = torch.where(seen, 0.0, -torch.inf).to(bias.dtype).expand(-1, heads, -1, -1)
        wide = torch.cat([bias.expand(len(shut), *bias.shape), shut], -1)
        return (
            torch.cat([key, further.repeat_interleave(rows, 0)], 2),
            torch.cat([value, content.repeat_interleave(rows, 0)], 2),
            wide.repeat_interleave(rows, 0),
        )

    def _bias(self, queries: int, keys: int) -> Float[Tensor, "head query key"]:
        device = self.lag_bias.device
        now = torch.arange(keys - queries, keys, device=device)
        lag = now[:, None] - torch.arange(keys, device=device)
        bias = self.lag_bias[:, lag.clamp(0, self.window - 1)]
        return bias.masked_fill((lag < 0) | (lag >= self.window), -torch.inf)


class AxialAttention(nn.Module):
    """Each token attends to its row along every space axis; the axes share all matrices.

    What tells the axes apart is a bias by distance and a gain by channel for each of them.

    Args:
        width: Channels of a token.
        heads: Attention heads; they divide ``width``.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.query_norm = nn.LayerNorm(width // heads, bias=False)
        self.key_norm = nn.LayerNorm(width // heads, bias=False)
        self.distance_bias = nn.Parameter(_local_bias(heads).repeat(len(AXES), 1, 1))
        self.gain = nn.Parameter(torch.ones(len(AXES), width))
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self, tokens: Float[Tensor, "sample time *patch width"], axes: Sequence[Axis]
    ) -> Float[Tensor, "sample time *patch width"]:
        """Attend along each axis and add up the results."""
        joint = rearrange(
            self.qkv(tokens), "... (three h c) -> three ... h c", three=3, h=self.heads
        )
        joint = (self.query_norm(joint[0]), self.key_norm(joint[1]), joint[2])
        mixed = [self._along(number, axis, joint) for number, axis in enumerate(axes)]
        return self.out(functools.reduce(torch.add, mixed))

    def _along(
        self, number: int, axis: Axis, joint: Sequence[Tensor]
    ) -> Float[Tensor, "sample time *patch width"]:
        """Attend along one axis, all others and the time being one long batch."""
        rows = [part.movedim(2 + number, -2) for part in joint]
        query, key, value = (part.flatten(0, -4) for part in rows)
        bias = self._bias(number, query.shape[-2], axis.periodic).to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, bias)
        mixed = mixed.view(rows[0].shape).movedim(-2, 2 + number).flatten(-2)
        return self.gain[number] * mixed

    def _bias(self, axis: int, points: int, periodic: bool) -> Float[Tensor, "head query key"]:
        return self.distance_bias[axis][:, distance_bucket(points, periodic, self.gain.device)]


def distance_bucket(
    points: int, periodic: bool, device: torch.device | None = None
) -> Int[Tensor, "query key"]:
    """Which bias serves each pair of tokens: by signed distance, in ever wider steps when far.

    On a ring of ``points`` tokens the distance is the shorter way around.
    """
    place = torch.arange(points, device=device)
    distance = place[None, :] - place[:, None]
    if periodic:
        distance = (distance + (points - 1) // 2) % points - (points - 1) // 2
    near = DISTANCES // 2
    size = distance.abs()
    far = torch.log(size.clamp(min=1) / near) / math.log(FARTHEST / near) * near
    bucket = torch.where(size <= near, size, near + far.ceil().clamp(min=1, max=near).long())
    return bucket * distance.sign() + DISTANCES


def _local_bias(heads: int) -> Float[Tensor, "head bucket"]:
    """A start at which head after head looks at one near neighbour, left and right in turn."""
    bucket = torch.arange(2 * DISTANCES + 1) - DISTANCES
    offset = torch.tensor([(-1) ** head * (1 + head // 2) for head in range(heads)])
    return -0.5 * (bucket[None] - offset[:, None]).abs().float().clamp(max=DISTANCES)
