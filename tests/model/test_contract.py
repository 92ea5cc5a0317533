"""The laws that every model obeys. A new model is one more entry in `MODELS`.

An entry says how to make a small model, which grids it takes, and which laws it promises beyond
those that hold for all. Models are made in float64, their parameters and buffers moved off their
start, where zeros and symmetries could hide a mistake.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mpp.batch import Axis, Batch
from mpp.errors import InputError
from mpp.fields import Field, known_field
from mpp.model.avit import PublishedAViT
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Surrogate
from mpp.schema import BOUNDARY_KINDS, parse_boundary
from mpp.train.loss import change_loss
from mpp.weights import load, save

FIELDS = ("velocity_x", "tracer", "pressure")
MAPS = ("depth", "porosity")
NAMES = (*FIELDS, *MAPS, "mask")
HISTORY = 4
SIDES = [kind for kind in BOUNDARY_KINDS if kind != "periodic"]


@dataclass(frozen=True)
class Entry:
    """A model under the contract.

    Args:
        kind: Its class.
        small: Arguments of a small model for data with so many space axes.
        grids: Points and boundaries of grids it takes; a single word is for both sides of an axis.
            The last grid of each number of axes has a wall.
        token: Points of a token along each axis.
        changes: For every argument of the constructor, a value that gives another model.
        without_step: Ends of the names of parameters that a first step must not move.
        reach: Points that local operators look beyond a token, before the attention and behind it.
        causal: Every frame is a target, and sees none after it; a rollout keeps what it computed.
        local: A token moves another only along an axis, through attention.
        ring: A roll by whole tokens along a periodic axis rolls the output.
        sides: The kind of each side is known.
        floors: A field that is quiet is scaled by the training data's scale (``set_scales``).
        maps: Static fields and masks are inputs.
        steps: The time between frames is an input.
        grows: It takes further names (``grow``).
    """

    kind: type[Surrogate]
    small: Callable[[int], dict[str, Any]]
    grids: Sequence[tuple[tuple[int, ...], str]]
    token: int
    changes: dict[str, Any]
    without_step: tuple[str, ...] = ()
    reach: tuple[int, int] = (0, 0)
    causal: bool = False
    local: bool = False
    ring: bool = False
    sides: bool = False
    floors: bool = False
    maps: bool = False
    steps: bool = False
    grows: bool = False

    @property
    def ranks(self) -> tuple[int, ...]:
        """Numbers of space axes that it takes."""
        return tuple(sorted({len(shape) for shape, _ in self.grids}))

    def make(self, rank: int = 2, moved: bool = True, **changes: Any) -> Surrogate:
        """A small model in evaluation mode; the same for the same arguments."""
        torch.manual_seed(0)
        model = self.kind(**{"names": NAMES, **self.small(rank), **changes}).double().eval()
        for parameter in model.parameters() if moved else ():
            parameter.data += 0.1 * torch.randn_like(parameter)
        for buffer in model.buffers() if moved else ():
            if buffer.is_floating_point():
                buffer += 0.3 * torch.rand_like(buffer)
        return model


# fmt: off
MODELS = {
    "default": Entry(
        AxialTransformer,
        lambda rank: {
            "history": HISTORY, "width": 16, "heads": 2, "depth": 2, "hidden": 8,
            "fine": 2, "coarse": 2, "ranks": (rank,),
        },
        [
            ((16,), "periodic"), ((12,), "periodic"), ((14,), "periodic"), ((13,), "wall open"),
            ((16, 12), "periodic, periodic"), ((14, 15), "periodic, open wall"),
            ((13, 18), "no-flux fixed, periodic"), ((4, 44), "periodic, fixed"),
            ((40, 3), "open, no-flux"), ((12, 20), "periodic, wall open"),
            ((8, 12, 8), "periodic, periodic, periodic"),
            ((8, 11, 5), "wall, periodic, open fixed"),
        ],
        token=4,
        changes={
            "names": FIELDS[:1], "history": 2, "width": 32, "heads": 4, "depth": 1, "hidden": 4,
            "fine": 4, "coarse": 1, "levels": 2, "local_in": 0, "local_out": 3, "ranks": (1, 2),
            "numbers": ("viscosity",),
        },
        # They read the numbers back, which no frame depends on.
        without_step=("head", "head_bias", "features.weight", "features.bias", "hidden.weight",
                      "hidden.bias"),
        # One operator before and two behind the attention, of one fine patch of two points each.
        reach=(2, 4),
        causal=True, local=True, ring=True, sides=True, floors=True, maps=True, steps=True,
        grows=True,
    ),
    "published": Entry(
        PublishedAViT,
        lambda rank: {"history": HISTORY, "width": 16, "heads": 2, "depth": 2, "drop": 0.0},
        [
            ((48, 32), "periodic, periodic"), ((16, 64), "fixed, periodic"),
            ((80, 16), "open, no-flux"), ((32, 48), "periodic, wall open"),
        ],
        token=16,
        changes={
            "names": FIELDS[:1], "slots": 9, "width": 32, "heads": 4, "depth": 1, "history": 2,
            "drop": 0.9,
        },
        # A key's bias shifts all scores of a query alike, and softmax takes that off again.
        without_step=("unused_bias", "key_norm.bias"),
    ),
}
# fmt: on


@dataclass(frozen=True)
class Case:
    """A model and a grid that it takes."""

    entry: Entry
    shape: tuple[int, ...]
    boundary: str

    def model(self, **changes: Any) -> Surrogate:
        return self.entry.make(len(self.shape), **changes)

    def batch(self, frames: int = HISTORY, maps: bool = False) -> Batch:
        return batch_of(self.shape, self.boundary, frames, maps)


def batch_of(
    shape: Sequence[int], boundary: str, frames: int, maps: bool = False, rough: float = 0.3
) -> Batch:
    """Two runs, different in all that a sample can differ in; noise on waves around an offset."""
    generator = torch.Generator().manual_seed(1)

    def noise(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator, dtype=torch.float64)

    kinds = boundary.split(", ")
    axes = tuple(
        Axis(name, np.arange(points) / points, "m", parse_boundary(kind))
        for name, points, kind in zip("xyz", shape, kinds, strict=False)
    )
    angles = [2 * math.pi * torch.arange(points) / points for points in shape]
    waves = torch.stack(torch.meshgrid(*angles, indexing="ij")).sin().sum(0)
    values = 1 + waves + rough * noise(2, frames, len(FIELDS), *shape)
    step = torch.tensor([[0.1], [0.4]], dtype=torch.float64)
    batch = Batch(
        values=values,
        fields=tuple(known_field(name) for name in FIELDS),
        axes=axes,
        time=3 + step * torch.arange(frames),
        time_units="s",
        system="trial",
        parameters={"viscosity": torch.tensor([0.1, 2.0], dtype=torch.float64)},
        parameter_fields=(Field("viscosity", role="parameter"),),
    )
    if not maps:
        return batch
    mask = torch.ones(2, *shape, dtype=torch.bool)
    mask[0, 1:3], mask[1, 2:4] = False, False
    static_fields = tuple(Field(name, role="static") for name in MAPS)
    static = noise(2, len(MAPS), *shape) + 2
    return replace(batch, mask=mask, static=static, static_fields=static_fields)


def promising(*promises: str) -> Any:
    """Parametrize over the models that make these promises."""
    chosen = {n: e for n, e in MODELS.items() if all(getattr(e, p) for p in promises)}
    return pytest.mark.parametrize("entry", chosen.values(), ids=chosen.keys())


def broken(reason: str) -> pytest.MarkDecorator:
    """A law that does not hold yet; the mark must go once it does."""
    return pytest.mark.xfail(strict=True, reason=reason)


def on_every_grid(*promises: str, ranks: Sequence[int] = (1, 2, 3)) -> Any:
    """Parametrize over the grids of the models that make these promises."""
    cases = {
        f"{name}-{'x'.join(map(str, shape))}-{boundary}": Case(entry, shape, boundary)
        for name, entry in MODELS.items()
        if all(getattr(entry, promise) for promise in promises)
        for shape, boundary in entry.grids
        if len(shape) in ranks
    }
    return pytest.mark.parametrize("case", cases.values(), ids=cases.keys())


def on_each_rank(*promises: str) -> Any:
    """Parametrize over the last grids of one, two and three axes of these models."""
    cases = {
        f"{name}-{rank}d": Case(entry, *[grid for grid in entry.grids if len(grid[0]) == rank][-1])
        for name, entry in MODELS.items()
        if all(getattr(entry, promise) for promise in promises)
        for rank in entry.ranks
    }
    return pytest.mark.parametrize("case", cases.values(), ids=cases.keys())


def plain(entry: Entry) -> Case:
    """A two-dimensional case."""
    return next(Case(entry, *grid) for grid in entry.grids if len(grid[0]) == 2)


def same(one: Tensor, other: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def differ(one: Tensor, other: Tensor) -> bool:
    return not torch.allclose(one, other, rtol=1e-3, atol=1e-3)


def scaled(batch: Batch, factor: float, name: str = "tracer") -> Batch:
    factors = torch.ones(len(FIELDS), dtype=batch.values.dtype)
    factors[batch.names.index(name)] = factor
    return replace(batch, values=batch.values * spread(factors, batch))


def spread(numbers: Tensor, batch: Batch) -> Tensor:
    """Numbers by field, or by anything that ends in fields, against the values of a batch."""
    return numbers.view(*numbers.shape, *[1] * len(batch.axes))


def single(batch: Batch) -> Batch:
    """The batch in single precision."""
    static = None if batch.static is None else batch.static.float()
    numbers = {name: number.float() for name, number in batch.parameters.items()}
    return replace(batch, values=batch.values.float(), static=static, parameters=numbers)


def with_quiet(batch: Batch, values: Tensor | float) -> Batch:
    """The batch with ``values`` in the place of its second field."""
    changed = batch.values.clone()
    changed[:, :, 1] = values
    return replace(batch, values=changed)


# What goes in and comes out


@on_every_grid()
@pytest.mark.parametrize("given", [1, 2, HISTORY])
def test_the_output_is_a_frame_for_each_target_in_the_inputs_shape_and_precision(case, given):
    batch = case.batch(given, maps=True)
    output = case.model()(batch)
    targets = given if case.entry.causal else 1
    assert output.shape == (2, targets, *batch.values.shape[2:])
    assert output.dtype == batch.values.dtype
    assert output.isfinite().all()
    assert differ(output[:, -1], batch.values[:, -1])


@on_each_rank()
def test_single_and_double_precision_agree(case):
    batch = case.batch(maps=True)
    low, high = case.model().float()(single(batch)), case.model()(batch)
    assert low.dtype == torch.float32
    same(low.double(), high, 2e-3)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(MODELS["default"], id="default"),
        pytest.param(MODELS["published"], id="published"),
    ],
)
def test_double_precision_is_double_all_the_way(entry):
    # Twice a change of 1e-7 has twice its effect; single precision on the way would round it off.
    batch, model = plain(entry).batch(), plain(entry).model()
    before, pattern = model(batch), batch.values.flip(0)
    once, twice = (
        model(replace(batch, values=batch.values + step * pattern)) - before
        for step in (1e-7, 2e-7)
    )
    assert (twice - 2 * once).abs().max() < 1e-3 * once.abs().max()


@on_each_rank()
@pytest.mark.parametrize("maps", [False, True])
def test_samples_do_not_see_each_other(case, maps):
    batch, model = case.batch(maps=maps), case.model()
    both = model(batch)
    for number in range(batch.samples):
        same(model(batch.sample(number)), both[number : number + 1])
    rollout = torch.stack(list(model.forecast(batch, 2)))
    for number in range(batch.samples):
        alone = torch.stack(list(model.forecast(batch.sample(number), 2)))
        same(alone, rollout[:, number : number + 1])


@on_each_rank()
def test_the_order_of_fields_and_maps_does_not_matter(case):
    batch, model, order = case.batch(maps=True), case.model(), [2, 0, 1]
    turned = replace(
        batch,
        values=batch.values[:, :, order],
        fields=tuple(batch.fields[channel] for channel in order),
        static=batch.static.flip(1),
        static_fields=batch.static_fields[::-1],
    )
    same(model(turned), model(batch)[:, :, order])


@promising()
def test_a_field_alone_is_predicted_too(entry):
    batch = plain(entry).batch()
    model, alone = plain(entry).model(), replace(batch, values=batch.values[:, :, 1:2])
    output = model(replace(alone, fields=batch.fields[1:2]))
    assert output.shape[2] == 1
    assert differ(output, model(replace(alone, fields=batch.fields[2:])))


@promising()
def test_the_hour_does_not_matter(entry):
    batch, model = plain(entry).batch(), plain(entry).model()
    same(model(replace(batch, time=batch.time + 100)), model(batch))


# Space: locality, rings and sides


def lines(moved: Tensor, batch: Batch, token: int) -> Tensor:
    """Points whose token shares all but one of its places with one that holds a moved point."""
    for dim, axis in enumerate(batch.axes):
        points = moved.shape[dim]
        index = torch.arange(token * math.ceil(points / token))
        index = index % points if axis.periodic else index.clamp(max=points - 1)
        moved = moved.index_select(dim, index).unflatten(dim, (-1, token)).any(dim + 1)
    reached = torch.zeros_like(moved)
    for dim in range(moved.ndim):
        reached |= moved.any(dim, keepdim=True)
    for dim, points in enumerate(batch.values.shape[3:]):
        reached = reached.repeat_interleave(token, dim).narrow(dim, 0, points)
    return reached


def nearby(moved: Tensor, batch: Batch, reach: int) -> Tensor:
    """Points at most ``reach`` from one that moved; only a periodic axis goes on at its start."""
    for dim, axis in enumerate(batch.axes):
        place = torch.arange(moved.shape[dim])
        away = (place[:, None] - place[None]).abs()
        if axis.periodic:
            away = torch.minimum(away, len(place) - away)
        close = (away <= reach).double()
        moved = (moved.double().movedim(dim, -1) @ close).movedim(-1, dim) > 0
    return moved


@on_every_grid("local", ranks=(2, 3))
@pytest.mark.parametrize("corner", [0, -1])
def test_a_token_moves_those_along_its_axes_and_nothing_passes_a_wall(case, corner):
    # Turning the points of a token around in all frames leaves every scale as it is. One block
    # attends once along each axis. Short axes are longer here, so that something is out of reach.
    token, (before, behind) = case.entry.token, case.entry.reach
    shape = [points + 6 * token * (points < 7 * token) for points in case.shape]
    batch = batch_of(shape, case.boundary, 2)
    model = case.model(depth=1)
    inside = torch.zeros(batch.values.shape[3:], dtype=torch.bool)
    block = tuple(
        slice(0, token) if corner == 0 else slice((n - 1) // token * token, n) for n in inside.shape
    )
    inside[block] = True
    values = batch.values.clone()
    values[..., *block] = values[..., *block].flip(tuple(range(-inside.ndim, 0)))
    change = (model(replace(batch, values=values)) - model(batch)).abs().amax((0, 1, 2))
    may_move = nearby(lines(nearby(inside, batch, before), batch, token), batch, behind)
    assert not may_move.all()
    assert change[~may_move].max() < 1e-5
    assert change[lines(inside, batch, token)].min() > 5e-5


@promising("ring")
@pytest.mark.parametrize("tokens", [1, 3, 4, 5, 8])
def test_a_roll_by_whole_tokens_along_a_periodic_axis_rolls_the_output(entry, tokens):
    for rank in entry.ranks:
        for number in range(rank):
            shape, kinds = [2 * entry.token] * rank, ["wall open"] * rank
            shape[number], kinds[number] = tokens * entry.token, "periodic"
            batch = batch_of(shape, ", ".join(kinds), 3, maps=True)
            model = entry.make(rank)
            for shift in {1, tokens // 2, tokens - 1}:
                same(model(rolled(batch, shift * entry.token, number)),
                     model(batch).roll(shift * entry.token, 3 + number))  # fmt: skip


def rolled(batch: Batch, shift: int, axis: int) -> Batch:
    return replace(
        batch,
        values=batch.values.roll(shift, 3 + axis),
        static=batch.static.roll(shift, 2 + axis),
        mask=batch.mask.roll(shift, 1 + axis),
    )


@promising("ring")
def test_a_rollout_of_a_rolled_field_is_a_rolled_rollout(entry):
    batch, model = (
        batch_of((5 * entry.token, 4 * entry.token), "periodic, periodic", 2),
        entry.make(),
    )
    shifts, dims = (2 * entry.token, -entry.token), (3, 4)
    turned = replace(batch, values=batch.values.roll(shifts, dims))
    for one, other in zip(model.forecast(turned, 5), model.forecast(batch, 5), strict=True):
        same(one, other.roll(shifts, (2, 3)), 1e-4)


@promising("ring", "sides")
@pytest.mark.parametrize("kind", SIDES)
def test_no_other_axis_is_a_ring(entry, kind):
    for number, rank in [(n, r) for r in entry.ranks for n in range(r)]:
        kinds = ["periodic"] * rank
        kinds[number] = kind
        batch = batch_of([3 * entry.token] * rank, ", ".join(kinds), 2, maps=True)
        model = entry.make(rank)
        turned = model(rolled(batch, entry.token, number))
        assert differ(turned, model(batch).roll(entry.token, 3 + number))


@promising("sides")
@pytest.mark.parametrize("side", [0, 1])
def test_each_side_of_each_axis_is_known_by_its_kind(entry, side):
    for number, rank in [(n, r) for r in entry.ranks for n in range(r)]:
        model, outputs = entry.make(rank), []
        for kind in SIDES:
            kinds = ["periodic"] * rank
            kinds[number] = f"wall {kind}" if side else f"{kind} wall"
            outputs.append(model(batch_of([2 * entry.token] * rank, ", ".join(kinds), 2)))
        for one, other in product(range(len(SIDES)), repeat=2):
            assert one == other or differ(outputs[one], outputs[other])


@promising("sides")
def test_the_low_side_is_told_from_the_high_one_where_a_token_has_both(entry):
    for number, rank in [(n, r) for r in entry.ranks for n in range(r)]:
        model, outputs = entry.make(rank), []
        for kind in ("wall open", "open wall"):
            shape, kinds = [2 * entry.token] * rank, ["periodic"] * rank
            shape[number], kinds[number] = entry.token, kind
            outputs.append(model(batch_of(shape, ", ".join(kinds), 2)))
        assert differ(*outputs)


@promising("sides")
def test_the_kind_of_a_side_is_a_matter_of_the_line_that_ends_there(entry):
    # One block: a mark at the first token of x reaches all of x, and all alike along y.
    batch = batch_of((3 * entry.token, 3 * entry.token), "wall, periodic", 2)
    batch = replace(batch, values=batch.values.mean(-1, keepdim=True).expand_as(batch.values))
    output = entry.make()(batch).unflatten(-1, (3, entry.token))
    same(output[..., 1:, :], output[..., :-1, :])


@promising()
def test_a_periodic_axis_is_told_from_a_wall(entry):
    shape = (4 * entry.token, 2 * entry.token)
    model = entry.make()
    ring, wall = (model(batch_of(shape, f"{kind}, wall", 2)) for kind in ("periodic", "wall"))
    assert differ(ring, wall)


# Time: causality, caches and histories


@on_every_grid("causal")
def test_no_frame_sees_a_later_one(case):
    batch, model = case.batch(2 * HISTORY, maps=True), case.model()
    before = model(batch)
    for first in (1, HISTORY, 2 * HISTORY - 1):
        values = batch.values.clone()
        values[:, first:] = 7 - 3 * values[:, first:]
        after = model(replace(batch, values=values))
        same(after[:, :first], before[:, :first], 1e-12)
        assert differ(after[:, first], before[:, first])


@on_every_grid("causal")
@pytest.mark.parametrize(
    "given",
    [
        1,
        2,
        HISTORY,
    ],
)
def test_a_cached_rollout_is_a_recomputed_one_in_the_window_and_as_it_slides(case, given):
    # Behind the window, a recomputed pass over all frames keeps to the window in each of them.
    history, model, steps = case.batch(given, maps=True), case.model(), 2 * HISTORY - given + 1
    cached, grown = list(model.forecast(history, steps)), history
    with torch.inference_mode():
        for frame in cached:
            same(frame, model(grown)[:, -1])
            grown = grown.extend(frame[:, None])


@on_each_rank()
@pytest.mark.parametrize("given", [1, HISTORY])
def test_a_forecast_goes_on_from_its_own_frames(case, given):
    history, model = case.batch(given, maps=True), case.model()
    before = history.values.clone()
    frames = list(model.forecast(history, HISTORY + 2))
    assert len(frames) == HISTORY + 2
    assert all(frame.shape == history.values[:, 0].shape for frame in frames)
    assert all(frame.isfinite().all() for frame in frames)
    same(frames[0], model(history)[:, -1])
    assert torch.equal(history.values, before)
    if not case.entry.causal:  # what a cached rollout is equal to, the law above says
        longer = history.extend(frames[0][:, None])
        window = longer.window(max(0, longer.frames - HISTORY), longer.frames)
        same(frames[1], model(window)[:, -1])


@promising()
def test_a_forecast_looks_back_on_the_history_and_no_further(entry):
    long, model = plain(entry).batch(2 * HISTORY), plain(entry).model()
    recent = long.window(HISTORY, 2 * HISTORY)
    for one, other in zip(model.forecast(long, 2), model.forecast(recent, 2), strict=True):
        assert torch.equal(one, other)


@promising()
def test_every_frame_of_the_history_counts(entry):
    batch, model = plain(entry).batch(), plain(entry).model()
    output = model(batch)[:, -1]
    for frame in range(HISTORY):
        values = batch.values.clone()
        values[:, frame] = values[:, frame].flip(-1)
        assert differ(model(replace(batch, values=values))[:, -1], output)


@promising("steps")
def test_the_time_between_frames_reaches_the_prediction(entry):
    batch, model = plain(entry).batch(), plain(entry).model()
    assert differ(model(replace(batch, time=2 * batch.time)), model(batch))


# Units, quiet fields, masks and maps


@on_each_rank()
@pytest.mark.parametrize("factor", [0.1, 1e4])
def test_scaling_a_field_scales_its_prediction(case, factor):
    # What keeps a quiet field's scale above zero may show in the last digits.
    batch, model = case.batch(maps=True), case.model()
    factors = torch.tensor([1, factor, 1], dtype=torch.float64)
    same(model(scaled(batch, factor)) / spread(factors, batch), model(batch))


@promising("floors")
@pytest.mark.parametrize(
    "factor",
    [
        1e-25,
        1e-8,
        1e8,
        1e25,
    ],
)
def test_a_field_in_other_units_is_predicted_in_them(entry, factor):
    # Number densities are 1e25 and more a cubic metre: their square is beyond single precision.
    batch, model = single(plain(entry).batch()), plain(entry).model().float()
    model.set_scales({"tracer": (1.0, 0.5)})
    before = model(batch)
    model.set_scales({"tracer": (factor, 0.5 * factor)})
    after = model(scaled(batch, factor))
    same(after / spread(torch.tensor([1, factor, 1]), batch), before, 1e-3)


@promising("floors")
def test_the_scale_of_the_training_data_reaches_the_prediction(entry):
    batch, model = plain(entry).batch(), plain(entry).model()
    before = model(batch)
    model.set_scales({"tracer": (1.0, 0.2)})
    assert differ(model(batch), before)


QUIET: dict[str, Callable[[Tensor], Tensor]] = {
    "zero": torch.zeros_like,
    "constant": lambda values: torch.full_like(values, 3.0),
    "large constant": lambda values: torch.full_like(values, 1e6),
    "dying": lambda values: values * 10.0 ** (-4 * torch.arange(values.shape[1]))[
        :, *[None] * (values.ndim - 2)
    ],
    "waking": lambda values: values * (torch.arange(values.shape[1]) == values.shape[1] - 1)[
        :, *[None] * (values.ndim - 2)
    ],
    "tiny": lambda values: 1e-30 * values,
    "huge": lambda values: 1e15 * values,
}  # fmt: skip


@on_each_rank()
@pytest.mark.parametrize("kind", QUIET)
def test_a_quiet_or_loud_field_stays_finite_in_prediction_and_gradient(case, kind):
    batch, model = single(case.batch()), case.model().float()
    stays_finite(model, with_quiet(batch, QUIET[kind](batch.values)[:, :, 1]))


@on_each_rank("floors")
@pytest.mark.parametrize("kind", QUIET)
def test_nothing_but_quiet_or_loud_fields_stays_finite_as_well(case, kind):
    batch, model = single(case.batch()), case.model().float()
    stays_finite(model, replace(batch, values=QUIET[kind](batch.values)))


def stays_finite(model: Surrogate, batch: Batch) -> None:
    model(batch).square().mean().log1p().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert all(frame.isfinite().all() for frame in model.forecast(batch, 3))


@promising("floors")
@pytest.mark.parametrize("kind", ["zero", "dying", "constant", "waking"])
def test_a_gradient_through_a_rollout_of_a_quiet_field_is_finite(entry, kind):
    batch, model = plain(entry).batch(2), plain(entry).model()
    batch = with_quiet(batch, QUIET[kind](batch.values)[:, :, 1])
    for _ in range(2):
        batch = batch.extend(model(batch)[:, -1:])
    values = batch.values.detach().requires_grad_()
    model(replace(batch, values=values)).square().sum().backward()
    assert values.grad.isfinite().all()
    batch.values.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@on_each_rank("floors")
@pytest.mark.parametrize("level", [0.0, 3.0])
def test_a_field_that_does_not_change_moves_by_the_floor_at_most(case, level):
    # The floor is a thousandth of the usual change of 1; the network's output is of order ten.
    batch, model = with_quiet(case.batch(), level), case.model()
    moved = (model(batch)[:, 1:, 1] - level).abs().max()
    assert 1e-5 < moved < 0.05
    model.set_scales({"tracer": (1.0, 1e-3)})
    assert (model(batch)[:, 1:, 1] - level).abs().max() < 0.05e-3


@on_each_rank("floors")
def test_the_noise_of_a_dead_field_does_not_matter(case):
    batch, model = case.batch(), case.model()
    dead, noisy = with_quiet(batch, 0.0), with_quiet(batch, 1e-9 * batch.values[:, :, 1])
    same(model(noisy), model(dead))


@on_each_rank("floors")
@pytest.mark.parametrize("dead_at_start", [True, False])
def test_the_relative_error_of_a_dead_field_stays_bounded(case, dead_at_start):
    # A field that has decayed to 1e-8 of its usual size when the rollout starts, or that does so
    # within the history, and decays on. Scores measure against a hundredth of the usual size at
    # least, and a little training does better for ten steps, whatever the unit of the field. After
    # a change as large as the field itself, the steps that still see it may err by no more.
    alive, frame = waves(case, HISTORY + 10), torch.arange(HISTORY + 10.0)
    level = 1e-8 * 0.5**frame if dead_at_start else torch.where(frame == 0, 1.0, 1e-8)
    batch = with_quiet(alive, level[:, *[None] * len(case.shape)] * alive.values[:, :1, 1])
    model = trained(case, batch.window(0, 2 * HISTORY + 1))
    for usual in (1e-6, 1.0, 1e6):
        model.set_scales({"tracer": (usual, usual)})
        data = scaled(batch, usual)
        steps = 10 if dead_at_start else HISTORY
        predicted = torch.stack(list(model.forecast(data.window(0, HISTORY), steps)), 1)
        error = (
            (predicted - data.values[:, HISTORY : HISTORY + steps])[:, :, 1]
            .flatten(2)
            .square()
            .mean(-1)
            .sqrt()
        )
        assert error.max() < (1e-2 if dead_at_start else 1.0) * usual


@on_each_rank()
@pytest.mark.parametrize("outside", [torch.nan, 1e30])
def test_points_outside_a_mask_matter_neither_to_prediction_nor_to_loss(case, outside):
    batch, model = case.batch(HISTORY + 1, maps=True), case.model()
    inside = batch.mask[:, None, None]
    hidden = replace(batch, values=torch.where(inside, batch.values, outside))
    results = []
    for data in (batch, hidden):
        model.zero_grad()
        predicted = model(data.window(0, HISTORY))
        usual = torch.ones(len(FIELDS), dtype=torch.float64)
        loss = change_loss(predicted, data.values, usual, data.mask)
        loss.mean().backward()
        grads = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        frames = torch.stack(list(model.forecast(data.window(0, 2), 3)), 1)
        within = [torch.where(inside, x.detach(), 0) for x in (predicted, frames)]
        results.append([*within, loss.detach(), torch.cat(grads)])
    for one, other in zip(*results, strict=True):
        assert other.isfinite().all()
        same(one, other, 1e-12)


@promising("maps")
def test_masks_and_static_fields_reach_the_prediction(entry):
    for rank in entry.ranks:
        batch, model = batch_of([12] * rank, ", ".join(["wall"] * rank), 2, True), entry.make(rank)
        inside = (batch.mask & batch.mask.flip(0))[:, None, None]
        # As many zeros under one mask as under the other: they differ as maps alone.
        batch = replace(batch, values=torch.where(inside, batch.values, 0))
        output = torch.where(inside, model(batch), 0)
        for other in (
            replace(batch, mask=batch.mask.flip(0)),
            replace(batch, static=batch.static.flip(0)),
            replace(batch, static=None, static_fields=()),
        ):
            assert differ(torch.where(inside, model(other), 0), output)


@promising("maps")
@pytest.mark.parametrize("factor", [1e-9, 1e3])
def test_the_unit_of_a_static_field_does_not_matter(entry, factor):
    batch, model = plain(entry).batch(maps=True), plain(entry).model()
    same(model(replace(batch, static=factor * batch.static)), model(batch))
    assert model(replace(batch, static=0 * batch.static)).isfinite().all()


# Training


def waves(case: Case, frames: int) -> Batch:
    """Smooth waves in single precision that move by a quarter of the last axis a frame."""
    batch = single(batch_of(case.shape, case.boundary, frames, rough=0.0))
    quarter = case.shape[-1] // 4
    moving = [batch.values[:, :1].roll(frame * quarter, -1) for frame in range(frames)]
    return replace(batch, values=torch.cat(moving, 1))


def cost(model: Surrogate, batch: Batch) -> Tensor:
    """The training loss; copying the last frame costs 1."""
    predicted = model(batch.window(0, batch.frames - 1))
    return change_loss(predicted, batch.values, torch.ones(len(FIELDS)), batch.mask).mean()


def trained(case: Case, batch: Batch) -> Surrogate:
    """A small model after 60 steps on one batch."""
    model = case.model(moved=False, depth=1).float().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(60):
        optimizer.zero_grad()
        cost(model, batch).backward()
        optimizer.step()
    return model.eval()


@on_each_rank()
def test_one_batch_is_learned_by_heart(case):
    batch = waves(case, 3)
    assert cost(trained(case, batch), batch) < 0.2


@on_each_rank()
def test_the_first_step_moves_every_parameter_that_trains_and_no_other(case):
    batch, model = case.batch(HISTORY + 1, maps=True), case.model(moved=False).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predicted = model(batch.window(0, HISTORY))
    usual = torch.ones(len(FIELDS), dtype=torch.float64)
    change_loss(predicted, batch.values, usual, batch.mask).mean().backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    trained = {name for name, _ in model.named_parameters()}
    for name, value in model.state_dict().items():
        # Of an infinite limit the difference is no number, and it does not move.
        step = torch.where(value == before[name], 0, value - before[name]).abs().max()
        moves = name in trained and not name.endswith(case.entry.without_step)
        assert step > 1e-15 if moves else step < 1e-16, name


# A norm with float32 weights on bfloat16 takes the slower way, on purpose.
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
@promising()
def test_bfloat16_keeps_statistics_and_values_in_float32(entry):
    # A value of 1000 is known to 4 in bfloat16, four times as much as the field varies.
    batch, model = single(plain(entry).batch()), plain(entry).model().float()
    high = replace(batch, values=1000 + batch.values)
    if entry.floors:
        model.set_scales(dict.fromkeys(FIELDS, (1000.0, 0.5)))
    exact = model(high)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(high)
        rough.square().mean().backward()
        frames = list(model.forecast(high, 3))
    assert rough.dtype == torch.float32
    assert all(frame.isfinite().all() and frame.dtype == torch.float32 for frame in frames)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert 1e-5 < (rough - exact).square().mean().sqrt() < 0.2 * batch.values.std()


@promising()
def test_a_training_step_compiles_as_one_graph(entry):
    batch, model = plain(entry).batch(3, maps=True), plain(entry).model(depth=1)
    usual = torch.ones(len(FIELDS), dtype=torch.float64)

    def gradient(predict: Callable[[Batch], Tensor]) -> Tensor:
        model.zero_grad()
        loss = change_loss(predict(batch.window(0, 2)), batch.values, usual, batch.mask).mean()
        loss.backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    same(gradient(compiled), gradient(model))


@promising("causal")
def test_a_rollout_step_compiles_as_one_graph(entry):
    batch, model = plain(entry).batch(3), plain(entry).model(depth=1)
    torch._dynamo.reset()
    with torch.inference_mode():
        _, state = model.advance(batch.window(0, 2), None)
        step = torch.compile(model.advance, fullgraph=True, backend="eager")
        same(step(batch.window(2, 3), state)[0][:, -1], model(batch)[:, -1])


# Vocabulary, arguments and checkpoints


@on_each_rank("grows")
def test_growing_leaves_old_outputs_to_the_bit(case):
    batch, model = case.batch(maps=True), case.model(names=NAMES)
    before, rollout = model(batch), list(model.forecast(batch, 2))
    model.grow(["height", "tracer", "energy"], donors={"height": "tracer"})
    assert model.names == (*NAMES, "height", "energy")
    assert torch.equal(model(batch), before)
    for one, other in zip(model.forecast(batch, 2), rollout, strict=True):
        assert torch.equal(one, other)
    named = [
        replace(batch, fields=(batch.fields[0], known_field(name), batch.fields[2]))
        for name in ("height", "energy")
    ]
    same(model(named[0]), before, 1e-12)  # as its donor
    assert differ(model(named[1]), before)


@promising("grows")
def test_what_has_grown_trains(entry):
    batch, model = plain(entry).batch(), plain(entry).model(names=NAMES[:1] + NAMES[2:])
    model.grow(["tracer"])
    rows = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(batch)[:, :, 1].square().mean().backward()
    optimizer.step()
    last = [
        (value - rows[name])[-1].abs().max() > 0
        for name, value in model.named_parameters()
        if value.shape[:1] == (len(NAMES),)
    ]
    assert len(last) >= 3
    assert all(last)


@promising()
def test_a_saved_model_comes_back_with_its_outputs(entry, tmp_path):
    batch, model = single(plain(entry).batch(maps=True)), plain(entry).model().float()
    if entry.floors:
        model.set_scales({"tracer": (0.5, 0.2)})
    if entry.grows:
        model.grow(["height"])
    again = load(save(model, tmp_path))
    assert type(again) is entry.kind
    assert again.arguments == model.arguments
    assert torch.equal(again(batch), model(batch))
    for one, other in zip(again.forecast(batch, 3), model.forecast(batch, 3), strict=True):
        assert torch.equal(one, other)


def arguments_of(entry: Entry) -> list[str]:
    return list(inspect.signature(entry.kind).parameters)


@promising()
def test_every_argument_is_kept_and_has_a_change_to_try(entry):
    assert set(entry.make().arguments) == set(arguments_of(entry)) == set(entry.changes)


@pytest.mark.parametrize(
    ("entry", "argument"),
    [
        pytest.param(entry, argument, id=f"{name}-{argument}")
        for name, entry in MODELS.items()
        for argument in arguments_of(entry)
    ],
)
def test_every_argument_changes_something_or_is_refused(entry, argument):
    batch, usual = plain(entry).batch(), entry.make(moved=False)
    other = entry.make(moved=False, **{argument: entry.changes[argument]})
    assert other.arguments[argument] != usual.arguments[argument]
    shapes = [{n: v.shape for n, v in m.state_dict().items()} for m in (usual, other)]
    if shapes[0] == shapes[1]:
        frames = []
        for model in (usual, other):
            for parameter in model.parameters():
                parameter.data += 0.1
            torch.manual_seed(1)
            frames.append(torch.stack([*model.forecast(batch, 1), model.train()(batch)[:, -1]]))
        assert differ(*frames)


@promising()
def test_a_field_that_is_not_known_is_refused(entry):
    batch = plain(entry).batch()
    with pytest.raises(InputError, match="energy"):
        plain(entry).model()(replace(batch, fields=(*batch.fields[:2], known_field("energy"))))
