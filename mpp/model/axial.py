"""The default model: axial attention over space, causal attention over time, changes as output.

Every frame of a history is encoded once and predicts the frame after it, so that a window gives as
many targets as it has frames, and a rollout costs one frame a step with the keys and values of the
past kept. Inputs are scaled by the RMS of the history and the output by the RMS of its changes
(`mpp.model.scales`); fields enter by name (`mpp.model.stem`); sides that are not periodic are
marked on the tokens beside them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from mpp.batch import Axis, Batch, FieldScales
from mpp.errors import InputError, require_at_least
from mpp.model.attention import AxialAttention, Cache, TimeAttention, Told
from mpp.model.norm import quiet_norm
from mpp.model.numbers import TIME_STEP, Numbers, Transform
from mpp.model.scales import FLOOR, RunningScales
from mpp.model.stem import BoundaryEmbedding, FieldEmbedding, FieldReadout, Patches, grown
from mpp.model.surrogate import Surrogate


@dataclass
class State:
    """What a rollout keeps of the frames it has seen.

    Args:
        scales: Scales of the fields, and the last frame.
        caches: Keys and values of each block.
        step: Time between frames; ``None`` where a single frame has not told it.
        reading: What the last frames say of the numbers, as `Numbers.read` gives it.
    """

    scales: RunningScales
    caches: list[Cache]
    step: Float[Tensor, " sample"] | None
    reading: Float[Tensor, "sample time name two"]


class Block(nn.Module):
    """Attention over time, then over space, then a two-layer network on each token.

    Args:
        width: Channels of a token.
        heads: Attention heads.
        window: Frames that the attention over time reaches back to.
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.time_norm = quiet_norm(width)
        self.time = TimeAttention(width, heads, window)
        self.space_norm = quiet_norm(width)
        self.space = AxialAttention(width, heads)
        self.mlp_norm = quiet_norm(width)
        self.mlp_in = nn.Linear(width, 4 * width)
        self.mlp_out = nn.Linear(4 * width, width)

    def forward(
        self,
        tokens: Float[Tensor, "sample time *patch width"],
        axes: Sequence[Axis],
        cache: Cache | None,
        told: Told,
    ) -> tuple[Float[Tensor, "sample time *patch width"], Cache]:
        past, kept = self.time(self.time_norm(tokens), cache, told)
        tokens = tokens + past
        tokens = tokens + self.space(self.space_norm(tokens), axes)
        hidden = functional.gelu(self.mlp_in(self.mlp_norm(tokens)))
        return tokens + self.mlp_out(hidden), kept


class AxialTransformer(Surrogate):
    """Steps named fields forward on 1-D, 2-D and 3-D grids of any size.

    Args:
        names: Field names (static ones included) that the model has rows for.
        history: Frames that a prediction looks back to; fewer are always allowed.
        width: Channels of a token.
        heads: Attention heads; they divide ``width``.
        depth: Number of blocks.
        hidden: Channels of a fine patch, at both ends of the model.
        fine: Points of a fine patch along each axis.
        coarse: Fine patches of a token along each axis; a token covers ``fine * coarse`` points.
        levels: Sizes of a token that there are weights for, each twice the one before; a grid takes
            the smallest that leaves at most 16 tokens along its longest axis.
        local_in: Operators of near neighbours before the fine patches are joined to tokens.
        local_out: The same after the tokens are split again.
        ranks: Numbers of space axes that the model has ends for.
        numbers: Names of the numbers of the equation that the model has rows for; the time between
            frames is always one.

    Attributes:
        checkpointing: Keep only what goes into each block and compute the rest anew for the
            gradient: less memory, more time, the same numbers.

    Raises:
        InputError: A size below one, heads that do not divide the width, or no sensible ranks.
    """

    def __init__(
        self,
        names: Sequence[str],
        history: int = 8,
        width: int = 128,
        heads: int = 4,
        depth: int = 3,
        hidden: int = 64,
        fine: int = 4,
        coarse: int = 2,
        levels: int = 1,
        local_in: int = 1,
        local_out: int = 2,
        ranks: Sequence[int] = (2,),
        numbers: Sequence[str] = (),
    ) -> None:
        super().__init__(history)
        require_at_least(
            1, history=history, width=width, heads=heads, depth=depth, hidden=hidden,
            fine=fine, coarse=coarse, levels=levels,
        )  # fmt: skip
        require_at_least(0, local_in=local_in, local_out=local_out)
        if width % heads:
            raise InputError(f"{heads} heads do not divide a width of {width}; choose others")
        if not ranks or not set(ranks) <= {1, 2, 3}:
            raise InputError(f"ranks are {list(ranks)}; give some of 1, 2 and 3")
        self.names = tuple(names)
        self.checkpointing = False
        self.shape = {
            "history": history,
            "width": width,
            "heads": heads,
            "depth": depth,
            "hidden": hidden,
            "fine": fine,
            "coarse": coarse,
            "levels": levels,
            "local_in": local_in,
            "local_out": local_out,
            "ranks": list(ranks),
        }
        self.patches = Patches(hidden, fine, tuple(coarse * 2**level for level in range(levels)))
        count = len(self.names)
        self.embed = nn.ModuleDict(
            {str(r): FieldEmbedding(count, r, width, self.patches, local_in) for r in ranks}
        )
        self.readout = nn.ModuleDict(
            {str(r): FieldReadout(count, r, width, self.patches, local_out) for r in ranks}
        )
        self.boundary = BoundaryEmbedding(width)
        self.numbers = Numbers(numbers, width)
        self.no_change = nn.Parameter(torch.zeros(width))
        self.speed = nn.Parameter(torch.zeros(len(self.names), width))
        self.blocks = nn.ModuleList(Block(width, heads, history) for _ in range(depth))
        self.norm = quiet_norm(width)
        self.value_scale = nn.Buffer(torch.ones(count))
        self.change_scale = nn.Buffer(torch.ones(count))

    @property
    def training_frames(self) -> int:
        """Twice the history: half of the targets are then predicted from a window that has slid."""
        return 2 * self.history

    def numbers_outside(self, batch: Batch) -> tuple[str, ...]:
        return self.numbers.outside(batch)

    @property
    def field_scales(self) -> dict[str, tuple[float, float]]:
        pairs = zip(self.value_scale.tolist(), self.change_scale.tolist(), strict=True)
        return dict(zip(self.names, pairs, strict=True))

    def normalization(self, names: Sequence[str]) -> str:
        known = {name: pair for name, pair in self.field_scales.items() if name in names}
        floors = ", ".join(f"{name} {pair[0]:.6g} ({pair[1]:.6g})" for name, pair in known.items())
        return (
            f"each sample by the RMS of its last {self.history} frames, changes by the RMS of "
            f"theirs, at least {FLOOR:g} of the RMS of value (change) in training: {floors}"
        )

    @property
    def number_ranges(self) -> dict[str, tuple[float, float]]:
        numbers = self.numbers
        ends = zip(numbers.low.tolist(), numbers.high.tolist(), strict=True)
        every = zip(numbers.names, ends, strict=True)
        return {name: pair for name, pair in every if name in numbers.seen}

    @property
    def arguments(self) -> dict[str, Any]:
        numbers = [name for name in self.numbers.names if name != TIME_STEP]
        return {"names": list(self.names), **self.shape, "numbers": numbers}

    def set_scales(self, scales: Mapping[str, tuple[float, float]]) -> None:
        """Tell the model the RMS of value and change of its fields over the training data."""
        for name, (value, change) in scales.items():
            row = self.names.index(name)
            self.value_scale[row], self.change_scale[row] = value, change

    def learn_numbers(self, transforms: Mapping[str, Transform]) -> None:
        """Add the numbers that are new, and tell the model what they are like in its data.

        The old ones keep their transforms, so that nothing that was learned of them moves; the
        range in which they were seen grows.
        """
        new = [name for name in transforms if name not in self.numbers.seen]
        self.numbers.grow(new)
        self.numbers.set_transforms({name: transforms[name] for name in new})
        self.numbers.widen(transforms)

    def grow(self, names: Sequence[str], donors: Mapping[str, str] | None = None) -> None:
        """Add rows for further field names; what the model says of the old ones stays the same.

        Build the optimizer afterwards: the enlarged parameters are new ones.

        Args:
            names: Names to add; those the model has are left alone.
            donors: For a new name, the old one whose rows it starts from; random rows otherwise.
        """
        new = [name for name in names if name not in self.names]
        rows = [
            self.names.index((donors or {})[name]) if name in (donors or {}) else None
            for name in new
        ]
        for end in (*self.embed.values(), *self.readout.values()):
            end.grow(rows)  # type: ignore[operator]  # each is one of our two ends
        self.speed = nn.Parameter(grown(self.speed, rows, torch.zeros))
        for name in ("value_scale", "change_scale"):
            scale = getattr(self, name)
            setattr(self, name, nn.Buffer(grown(scale, rows, torch.ones)))
        self.names += tuple(new)

    def forward(self, batch: Batch) -> Float[Tensor, "sample time field *space"]:
        """The frame after each frame of the batch, from that frame and those before it."""
        return self.predict(batch)[0]

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile both ways to call the model, as `torch.nn.Module.compile` does with one."""
        super().compile(*args, **options)
        self.predict = torch.compile(self.predict, *args, **options)

    def predict(
        self, batch: Batch
    ) -> tuple[Float[Tensor, "sample time field *space"], Float[Tensor, "sample time name two"]]:
        """The frame after each frame, and what each frame and those before it say of the numbers.

        The second is as `Numbers.read` gives it.
        """
        frames, state = self.advance(batch, None)
        return frames, state.reading

    def advance(
        self, batch: Batch, state: State | None
    ) -> tuple[Float[Tensor, "sample time field *space"], State]:
        """Predict after each frame of the batch; they follow those that ``state`` has seen."""
        rank, grid = self._rank(batch), (1,) * len(batch.axes)
        fields = self._rows(batch.names, batch)
        values = batch.values
        if batch.mask is not None:
            values = torch.where(batch.mask[:, None, None], values, 0)
        usual = FieldScales(self.value_scale[fields], self.change_scale[fields])
        before = state.scales if state else None
        scales, changes = RunningScales.of(values, usual, self.history, batch.mask, before)
        to_value = scales.value.view(*scales.value.shape, *grid)
        to_change = scales.change.view(*scales.change.shape, *grid)
        views = torch.stack([values / to_value, changes / to_change], 2)
        maps, map_rows = self._maps(batch)
        if maps is not None:
            views = torch.cat([views, maps.expand(-1, batch.frames, *maps.shape[2:])], 3)
        tokens, fine = self.embed[rank](views, torch.cat([fields, map_rows]), batch.axes)
        tokens = tokens + self._summary(scales, usual, fields, state is None).unflatten(
            1, (-1, *grid)
        )
        tokens = self.boundary(tokens, batch.axes)
        step = state.step if state else batch.step
        given = {*batch.parameters, *((TIME_STEP,) if step is not None else ())}
        told = self.numbers(self.numbers.standard(batch, step), given)
        tokens = tokens + told.total().to(tokens.dtype).unflatten(1, (-1, *grid))
        caches = []
        for number, block in enumerate(self.blocks):
            past = state.caches[number] if state else None
            if self.checkpointing and torch.is_grad_enabled():
                tokens, cache = checkpoint(
                    block, tokens, batch.axes, past, told, use_reentrant=False
                )
            else:
                tokens, cache = block(tokens, batch.axes, past, told)
            caches.append(cache)
        tokens = self.norm(tokens)
        reading = self.numbers.read(tokens)
        change = self.readout[rank](tokens, fine, fields, values.shape[3:], batch.axes)
        return values + to_change * change.to(to_change.dtype), State(scales, caches, step, reading)

    def free_run(self, batch: Batch, given: int) -> Float[Tensor, "sample time field *space"]:
        """The frame after each frame of the batch, as `forward`, but fed with its own predictions.

        Only the first ``given`` frames are looked at; gradients go back through all steps.
        """
        frames, state = self.advance(batch.window(0, given), None)
        predicted = [frames]
        for place in range(given, batch.frames):
            own = replace(batch.window(place, place + 1), values=predicted[-1][:, -1:])
            frames, state = self.advance(own, state)
            predicted.append(frames)
        return torch.cat(predicted, 1)

    def _summary(
        self, scales: RunningScales, usual: FieldScales, fields: Tensor, starts: bool
    ) -> Float[Tensor, "sample time width"]:
        """How fast each field changes against its usual rate, and whether a change is known."""
        speed = scales.change / scales.value / (usual.change / usual.value)
        summary = speed.log().clamp(-5, 5) @ self.speed[fields]
        if starts:
            first = torch.arange(summary.shape[1], device=summary.device) == 0
            summary = summary + first[:, None] * self.no_change
        return summary

    def _maps(self, batch: Batch) -> tuple[Tensor | None, Tensor]:
        """Static fields in units of their RMS and the outside of the mask, with their rows."""
        maps, names = [], [field.name for field in batch.static_fields]
        if batch.static is not None:
            size = batch.static.flatten(2).square().mean(-1).sqrt()
            size = torch.where(size > 0, size, 1)
            maps.append(batch.static / size.view(*size.shape, *[1] * len(batch.axes)))
        if batch.mask is not None:
            maps.append((~batch.mask)[:, None].to(batch.values.dtype))
            names.append("mask")
        rows = self._rows(names, batch)
        if not maps:
            return None, rows
        values = torch.cat(maps, 1)
        return torch.stack([values, torch.zeros_like(values)], 1)[:, None], rows

    def _rank(self, batch: Batch) -> str:
        rank = str(len(batch.axes))
        if rank not in self.embed:
            raise InputError(
                f"the model has ends for {', '.join(self.embed)} space axes, the data has {rank}; "
                "train one with ranks that include it"
            )
        return rank

    def _rows(self, names: Sequence[str], batch: Batch) -> Tensor:
        missing = [name for name in names if name not in self.names]
        if missing:
            raise InputError(
                f"{batch.system}: the model has no field {', '.join(missing)} (it knows "
                f"{', '.join(self.names)}); finetune it on this data, or rename the variables"
            )
        rows = [self.names.index(name) for name in names]
        return torch.tensor(rows, device=batch.values.device, dtype=torch.long)

    @property
    def patch(self) -> tuple[int, ...]:
        return tuple(self.patches.fine * coarse for coarse in self.patches.coarse)

    @torch.inference_mode()
    def forecast(self, batch: Batch, steps: int) -> Iterator[Float[Tensor, "sample field *space"]]:
        """Yield ``steps`` frames that continue the last ``history`` frames of the batch.

        Each costs the encoding of one frame.
        """
        state, batch = None, batch.window(max(0, batch.frames - self.history), batch.frames)
        for _ in range(steps):
            frames, state = self.advance(batch, state)
            yield frames[:, -1]
            batch = batch.extend(frames[:, -1:]).window(batch.frames, batch.frames + 1)
