"""The parts of the published AViT, kept to its released numbers (see `mpp.model.avit`).

Tokens lie on a grid, ``time sample width x y``. Every part takes each frame of each sample by
itself, except the attention over time.
"""

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

BUCKETS = 32
"""Rows of a bias by distance; one half is for tokens behind, the other for tokens ahead."""
FAR = 32
"""All distances from here on share the last bucket."""
GAIN = 1e-6
"""What the output of each part is multiplied by at the start of training."""


def signed_distance(
    points: int, periodic: bool, device: torch.device | None = None
) -> Int[Tensor, "query key"]:
    """How many tokens ahead of the query the key lies, as the released model counts it.

    Along a periodic axis, distances beyond ``points // 2`` are taken modulo ``points // 2``. That
    is the way around the ring for an even number of tokens, and one token short for an odd one; a
    token that is opposite is ahead or behind as if there were no ring.
    """
    place = torch.arange(points, device=device)
    distance = place[None, :] - place[:, None]
    half = points // 2
    if not periodic or half == 0:
        return distance
    around = torch.remainder(distance, torch.where(distance < 0, half, -half))
    return torch.where(distance.abs() > half, around, distance)


def distance_bucket(distance: Int[Tensor, "query key"]) -> Int[Tensor, "query key"]:
    """The row that serves each distance: one for each near one, ever wider groups when far.

    Source: Raffel et al., Exploring the Limits of Transfer Learning with a Unified Text-to-Text
    Transformer, JMLR 2020, section 2.1.
    """
    side, near = BUCKETS // 2, BUCKETS // 4
    size = distance.abs()
    wide = torch.log(size.clamp(min=near) / near) / math.log(FAR / near) * (side - near)
    bucket = torch.where(size < near, size, near + wide.long().clamp(max=side - near - 1))
    return bucket + side * (distance > 0)


class DistanceBias(nn.Module):
    """What each head adds to its scores, by signed distance in tokens.

    Args:
        heads: Attention heads.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.randn(BUCKETS, heads))

    def forward(self, points: int, periodic: bool = False) -> Float[Tensor, "head query key"]:
        bucket = distance_bucket(signed_distance(points, periodic, self.rows.device))
        return rearrange(self.rows[bucket], "query key head -> head query key")


class UncentredNorm(nn.Module):
    """Divide each channel of a frame by its standard deviation over space; the mean stays.

    Args:
        width: Number of channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.unused_bias = nn.Parameter(torch.zeros(width), requires_grad=False)

    def forward(self, x: Float[Tensor, "frame width x y"]) -> Float[Tensor, "frame width x y"]:
        return x / (x.std((-2, -1), keepdim=True) + 1e-8) * self.weight[:, None, None]


class StochasticDepth(nn.Module):
    """In training, leave out rows (the first dim) at random and enlarge the others to match.

    Source: Huang et al., Deep Networks with Stochastic Depth, ECCV 2016, section 3.

    Args:
        rate: Probability with which a row is left out.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, "row *rest"]) -> Float[Tensor, "row *rest"]:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        kept = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(keep)
        return x * (kept / keep)


class Heads(nn.Module):
    """Queries, keys and values of every token, and the bias of their scores by distance.

    Args:
        width: Channels of a token.
        heads: Attention heads; they divide ``width``.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Conv2d(width, 3 * width, 1)
        self.query_norm = nn.LayerNorm(width // heads)
        self.key_norm = nn.LayerNorm(width // heads)
        self.distance_bias = DistanceBias(heads)
        self.merge = nn.Conv2d(width, width, 1)
        self.gain = nn.Parameter(torch.full((width,), GAIN))

    def split(
        self, x: Float[Tensor, "frame width x y"]
    ) -> tuple[Float[Tensor, "frame head x y channel"], ...]:
        """Query, key and value."""
        joint = rearrange(
            self.project(x), "n (head three c) x y -> three n head x y c", three=3, head=self.heads
        )
        return self.query_norm(joint[0]), self.key_norm(joint[1]), joint[2]

    def scaled(self, x: Float[Tensor, "frame width x y"]) -> Float[Tensor, "frame width x y"]:
        """Mix the heads; channel by channel, the gain decides how much of it enters."""
        return self.merge(x) * self.gain[:, None, None]


class TimeAttention(nn.Module):
    """Each token attends to the tokens at its place in all frames, past and future.

    Args:
        width: Channels of a token.
        heads: Attention heads.
        drop: Rate of stochastic depth; one draw a frame serves all samples.
    """

    def __init__(self, width: int, heads: int, drop: float) -> None:
        super().__init__()
        self.norm_in = nn.InstanceNorm2d(width, affine=True)
        self.attention = Heads(width, heads)
        self.norm_out = nn.InstanceNorm2d(width, affine=True)
        self.drop = StochasticDepth(drop)

    def forward(
        self, tokens: Float[Tensor, "time sample width x y"]
    ) -> Float[Tensor, "time sample width x y"]:
        time, _, _, rows, columns = tokens.shape
        query, key, value = (
            rearrange(part, "(t b) head x y c -> (b x y) head t c", t=time)
            for part in self.attention.split(self.norm_in(tokens.flatten(0, 1)))
        )
        bias = self.attention.distance_bias(time).to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, bias)
        mixed = rearrange(mixed, "(b x y) head t c -> (t b) (head c) x y", x=rows, y=columns)
        mixed = self.attention.scaled(self.norm_out(mixed))
        return tokens + self.drop(mixed.unflatten(0, tokens.shape[:2]))


class SpaceAttention(nn.Module):
    """Each token attends to its line along x and along y, with the same weights, and averages.

    Args:
        width: Channels of a token.
        heads: Attention heads.
        drop: Rate of stochastic depth, drawn for each frame of each sample.
    """

    def __init__(self, width: int, heads: int, drop: float) -> None:
        super().__init__()
        self.norm_in = UncentredNorm(width)
        self.attention = Heads(width, heads)
        self.norm_out = UncentredNorm(width)
        self.drop = StochasticDepth(drop)

    def forward(
        self, x: Float[Tensor, "frame width x y"], periodic: tuple[bool, bool]
    ) -> Float[Tensor, "frame width x y"]:
        parts = self.attention.split(self.norm_in(x))
        lines = [rearrange(part, "n head x y c -> (n y) head x c") for part in parts]
        along_x = self._attend(lines, periodic[0])
        lines = [rearrange(part, "n head x y c -> (n x) head y c") for part in parts]
        along_y = self._attend(lines, periodic[1])
        mixed = (
            rearrange(along_x, "(n y) head x c -> n (head c) x y", y=x.shape[-1])
            + rearrange(along_y, "(n x) head y c -> n (head c) x y", x=x.shape[-2])
        ) / 2
        return x + self.drop(self.attention.scaled(self.norm_out(mixed)))

    def _attend(
        self, lines: Sequence[Float[Tensor, "line head point channel"]], periodic: bool
    ) -> Float[Tensor, "line head point channel"]:
        query, key, value = lines
        bias = self.attention.distance_bias(query.shape[-2], periodic).to(query.dtype)
        return functional.scaled_dot_product_attention(query, key, value, bias)


class TokenNetwork(nn.Module):
    """Two linear layers on each token, the inner one four times as wide.

    Args:
        width: Channels of a token.
        drop: Rate of stochastic depth, drawn for each frame of each sample.
    """

    def __init__(self, width: int, drop: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.norm = UncentredNorm(width)
        self.gain = nn.Parameter(torch.full((width,), GAIN))
        self.drop = StochasticDepth(drop)

    def forward(self, x: Float[Tensor, "frame width x y"]) -> Float[Tensor, "frame width x y"]:
        hidden = functional.gelu(self.widen(rearrange(x, "n c x y -> n x y c")))
        out = self.norm(rearrange(self.narrow(hidden), "n x y c -> n c x y"))
        return x + self.drop(self.gain[:, None, None] * out)


class Block(nn.Module):
    """Attention over time, attention over space, and a network on each token.

    Args:
        width: Channels of a token.
        heads: Attention heads.
        drop: Rate of stochastic depth.
    """

    def __init__(self, width: int, heads: int, drop: float) -> None:
        super().__init__()
        self.time = TimeAttention(width, heads, drop)
        self.space = SpaceAttention(width, heads, drop)
        self.mlp = TokenNetwork(width, drop)

    def forward(
        self, tokens: Float[Tensor, "time sample width x y"], periodic: tuple[bool, bool]
    ) -> Float[Tensor, "time sample width x y"]:
        frames = self.time(tokens).flatten(0, 1)
        return self.mlp(self.space(frames, periodic)).unflatten(0, tokens.shape[:2])
