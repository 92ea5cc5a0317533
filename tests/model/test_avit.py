"""Laws of the published AViT, and the quirks that it keeps on purpose."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from mpp.batch import Axis, Batch
from mpp.errors import InputError
from mpp.fields import known_field
from mpp.model.avit import SIZES, PublishedAViT, Size
from mpp.model.avit_blocks import (
    DistanceBias,
    StochasticDepth,
    UncentredNorm,
    distance_bucket,
    signed_distance,
)

NAMES = ("velocity_x", "velocity_y", "density")


def batch_of(
    shape: Sequence[int] = (48, 32),
    periodic: Sequence[bool] = (True, False),
    names: Sequence[str] = NAMES,
    samples: int = 2,
    frames: int = 3,
    dtype: torch.dtype = torch.float64,
) -> Batch:
    generator = torch.Generator().manual_seed(0)
    size = (samples, frames, len(names), *shape)
    axes = tuple(
        Axis(name, np.arange(points), "1", ("periodic",) * 2 if ring else ("wall", "open"))
        for name, points, ring in zip("xyz", shape, periodic, strict=False)
    )
    return Batch(
        values=torch.randn(size, generator=generator, dtype=dtype),
        fields=tuple(known_field(name) for name in names),
        axes=axes,
        time=torch.arange(frames, dtype=torch.float64).expand(samples, -1),
        system="trial",
    )


@pytest.fixture
def model() -> PublishedAViT:
    """A small model in float64 whose parts all count from the start."""
    torch.manual_seed(0)
    small = PublishedAViT(NAMES, slots=5, width=16, heads=2, depth=2).double().eval()
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            if name.endswith("gain"):
                parameter.fill_(0.7)
    return small


@pytest.mark.parametrize(
    ("size", "count"),
    [("Ti", 7_285_884), ("S", 28_979_436), ("B", 115_608_012), ("L", 407_055_628)],
)
def test_the_published_sizes_have_the_published_numbers_of_parameters(size: Size, count: int):
    with torch.device("meta"):
        model = PublishedAViT.of_size(size, ["height"], slots=12)
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert (model.width, model.heads, model.depth) == SIZES[size]
    assert model.history == 16


def test_laws_scaling_and_shifting_a_field_scales_and_shifts_its_prediction(model):
    # The 1e-7 added to the standard deviation (about 1 here) breaks the law by about 1e-7.
    batch = batch_of()
    factor = torch.tensor([1.0, 40.0, 0.02]).view(3, 1, 1)
    other = model(replace(batch, values=factor * batch.values - 3))
    torch.testing.assert_close(other, factor * model(batch) - 3, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("tokens", "even"), [(2, True), (4, True), (6, True), (5, False)])
def test_laws_rolling_a_ring_rolls_the_output_once_the_opposite_token_has_no_side(
    model, tokens, even
):
    batch = batch_of((16 * tokens, 32), (True, False), samples=1, frames=2)
    rolled = replace(batch, values=batch.values.roll(16, 3))
    assert not torch.allclose(model(rolled), model(batch).roll(16, 3))
    opposite = torch.tensor([tokens // 2, -(tokens // 2)])
    with torch.no_grad():
        for block in model.blocks:
            block.space.attention.distance_bias.rows[distance_bucket(opposite)] = 0.3
    assert torch.allclose(model(rolled), model(batch).roll(16, 3), rtol=1e-9, atol=1e-9) is even


def test_the_last_of_every_frame_is_the_prediction(model):
    batch = batch_of()
    frames = model.every_frame(batch)
    assert frames.shape == batch.values.shape
    torch.testing.assert_close(frames[:, -1:], model(batch))


def test_the_order_of_boundaries_is_the_order_of_axes(model):
    batch = batch_of((64, 64), (True, False))
    values = batch.values.transpose(3, 4)
    turned = replace(batch_of((64, 64), (False, True)), values=values)
    with torch.no_grad():  # make the ends of the model blind to direction: only attention is tested
        for step in (*model.stem.steps, *model.head.steps, model.head.fields):
            if hasattr(step, "kernel_size"):
                step.weight.copy_((step.weight + step.weight.transpose(2, 3)) / 2)
    torch.testing.assert_close(model(turned), model(batch).transpose(3, 4))
    assert not torch.allclose(model(replace(turned, axes=batch.axes)), model(turned))


def test_history_is_scaled_without_a_gradient_through_its_scale():
    torch.manual_seed(0)
    model = PublishedAViT(NAMES, width=16, heads=2, depth=0).double()
    torch.nn.init.zeros_(model.head.fields.weight)
    batch = batch_of()
    values = batch.values.requires_grad_()
    # With zero weights at the end the output is the bias, times the scale, plus the mean.
    output = model(replace(batch, values=values))
    assert torch.autograd.grad(output.sum(), values)[0].abs().max() == 0


def test_stochastic_depth_leaves_rows_out_in_training_only():
    torch.manual_seed(0)
    drop, ones = StochasticDepth(0.25), torch.ones(4000, 2, 3)
    dropped = drop(ones)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert torch.equal(dropped, dropped[:, :1, :1].expand_as(dropped))
    # Mean of 4000 draws of variance 1/0.75 - 1 = 1/3: standard error 0.0091.
    assert abs(dropped.mean() - 1) < 4 * 0.0091
    assert torch.equal(drop.eval()(ones), ones)
    assert torch.equal(StochasticDepth(0.0)(ones), ones)


def test_the_rate_of_stochastic_depth_grows_evenly_over_the_blocks():
    model = PublishedAViT(NAMES, width=16, heads=2, depth=3, drop=0.4)
    assert [block.time.drop.rate for block in model.blocks] == [0.0, 0.2, 0.4]
    assert [block.space.drop.rate for block in model.blocks] == [0.0, 0.2, 0.4]
    assert [block.mlp.drop.rate for block in model.blocks] == [0.0, 0.2, 0.4]


def test_the_whole_model_is_random_in_training_only(model):
    model.blocks[0].space.drop.rate = 0.5
    batch = batch_of()
    assert torch.equal(model(batch), model(batch))
    model.train()
    assert not torch.equal(model(batch), model(batch))


def test_distances_around_a_ring_are_those_of_the_released_model():
    # Six tokens, seen from token 0: 1 and 2 ahead, the opposite one, then 2 and 1 behind.
    assert signed_distance(6, periodic=True)[0].tolist() == [0, 1, 2, 3, -2, -1]
    # From token 5 the opposite one, token 2, is 3 behind instead.
    assert signed_distance(6, periodic=True)[5].tolist() == [1, 2, -3, -2, -1, 0]
    # Five: token 3 is two behind and token 4 one; the released model says one and none.
    assert signed_distance(5, periodic=True)[0].tolist() == [0, 1, 2, -1, 0]
    assert signed_distance(5, periodic=True)[4].tolist() == [0, 1, -2, -1, 0]
    assert signed_distance(3, periodic=False)[1].tolist() == [-1, 0, 1]
    assert signed_distance(1, periodic=True).tolist() == [[0]]


def test_buckets_are_single_up_to_eight_then_wider_and_end_at_32():
    # From 8 on, bucket 8 + floor(8 log(d / 8) / log 4): 16 is half the way to 32.
    distance = torch.tensor([0, 1, 7, 8, 9, 10, 16, 31, 32, 1000])
    assert distance_bucket(-distance).tolist() == [0, 1, 7, 8, 8, 9, 12, 15, 15, 15]
    ahead = [0, *(16 + bucket for bucket in [1, 7, 8, 8, 9, 12, 15, 15, 15])]
    assert distance_bucket(distance).tolist() == ahead


def test_a_bias_depends_on_head_and_distance_alone():
    bias = DistanceBias(heads=3)(7)
    assert bias.shape == (3, 7, 7)
    assert torch.equal(bias[:, 1:, 1:], bias[:, :-1, :-1])


def test_the_uncentred_norm_divides_by_the_deviation_and_keeps_the_mean():
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64) + 10
    scaled = UncentredNorm(4).double()(x)
    torch.testing.assert_close(scaled, x / x.std((-2, -1), keepdim=True))


@pytest.mark.parametrize("shape", [(40, 32), (32, 33), (16, 16), (64,), (16, 16, 16)])
def test_shapes_that_the_model_cannot_take_are_refused(model, shape):
    periodic = (False,) * len(shape)
    with pytest.raises(InputError, match="multiples of 16 points and more than one patch"):
        model(batch_of(shape, periodic))


def test_unknown_fields_are_refused(model):
    with pytest.raises(InputError, match="no set of fields with velocity_x, height"):
        model(batch_of(names=("velocity_x", "height")))


@pytest.mark.parametrize(("names", "slots"), [(NAMES, 2), ({}, 4), ({"flow": {"height": -1}}, 4)])
def test_tables_that_do_not_fit_are_refused(names, slots):
    with pytest.raises(InputError, match="expected slots from 0 to"):
        PublishedAViT(names, slots=slots, width=16, heads=2, depth=1)


def test_systems_with_equal_fields_can_have_their_own_slots():
    torch.manual_seed(0)
    table = {"one": {"height": 0}, "other": {"height": 1}}
    model = PublishedAViT(table, width=16, heads=2, depth=1).double().eval()
    batch = batch_of(names=("height",))
    one, other = (model(replace(batch, system=system)) for system in table)
    assert model.slots == 2
    assert model.names == ("height",)
    assert not torch.allclose(one, other)
