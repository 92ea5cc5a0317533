"""Counted work is what the arithmetic of a layer says, and a step's is that of real tensors."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mpp.fields import Field
from mpp.model.avit import PublishedAViT
from mpp.model.axial import AxialTransformer
from mpp.plan.count import count, part_of
from mpp.plan.plan import Training, _count, _loss, _rolled_loss, work_of
from mpp.plan.shape import Shape

SMALL = {"history": 3, "width": 16, "heads": 2, "depth": 1, "hidden": 8}


def small(names):
    return AxialTransformer(names, **SMALL)


def linear_loss(inputs):
    return lambda model: model(inputs).square().mean()


def test_a_linear_layer_costs_its_products_forward_and_twice_that_backward():
    rows, width, out = 50, 30, 20

    def make(backward):
        return nn.Linear(width, out), linear_loss(torch.ones(rows, width, requires_grad=backward))

    product = 2 * rows * width * out
    assert count(lambda: make(False), backward=False).total == product
    assert count(lambda: make(True)).total == 3 * product


def layers(depth, rows=500, width=64):
    """So many layers, and a loss of their output for some rows."""

    def make():
        model = nn.Sequential(*(nn.Linear(width, width) for _ in range(depth)))
        return model, linear_loss(torch.ones(rows, width))

    return make


def test_without_a_gradient_two_activations_live_at_once_however_many_layers():
    activation = 4 * 500 * 64
    for depth in (2, 5):
        assert count(layers(depth), backward=False).peak == pytest.approx(2 * activation, rel=1e-3)


def test_with_a_gradient_every_layer_keeps_its_input():
    # What a layer adds lives when the loss is reached, before its weights have a gradient.
    found = [count(layers(depth)).peak for depth in (3, 4, 6)]
    assert found[1] - found[0] == 4 * 500 * 64
    assert found[2] - found[1] == 2 * (found[1] - found[0])


def test_gradients_of_weights_live_to_the_end():
    # With few rows, weights are all that counts: a gradient each, and one that is just computed.
    few = {"rows": 1, "width": 256}
    found = [count(layers(depth, **few)).peak for depth in (3, 4)]
    assert found[1] - found[0] == pytest.approx(4 * 256 * 256, rel=0.02)


def test_half_precision_keeps_half_of_what_a_layer_keeps():
    whole, half = (
        [count(layers(depth, rows=5000), precision) for depth in (3, 4)]
        for precision in ("32-true", "bf16-mixed")
    )
    assert half[0].total == whole[0].total
    weights = 2 * 64 * 65  # those in half precision, which are kept too
    assert half[1].peak - half[0].peak == (whole[1].peak - whole[0].peak) / 2 + weights
    assert all(call.half for call in half[0].calls if call.flops)


@pytest.mark.parametrize("grid", [(32,), (16, 24), (8, 8, 16)])
def test_operations_of_a_step_are_those_that_pytorch_counts_on_real_tensors(grid):
    def make(names):
        return AxialTransformer(names, ranks=(len(grid),), **SMALL)

    shape = Shape.like(grid, 2, 20)
    training = Training(make, (shape,), rolled=0)
    batch = shape.batch(training.batch_size, 7)
    with FlopCounterMode(display=False) as counted:
        _loss(make(shape.names), batch, 3).backward()
    assert work_of(training, shape).total == counted.get_total_flops()


def test_the_published_model_is_counted_too():
    def make(names):
        model = PublishedAViT(names, slots=2, width=16, heads=2, depth=1, history=3)
        model.separate({"a grid": names})
        return model

    shape = Shape.like((32, 32), 2, 20)
    training = Training(make, (shape,), rolled=0)
    with FlopCounterMode(display=False) as counted:
        _loss(make(shape.names).eval(), shape.batch(2, 4), 2).backward()
    assert work_of(training, shape).total == counted.get_total_flops()


def test_a_rollout_extended_from_two_steps_is_the_rollout_counted_whole():
    shape = Shape.like((16, 16), 2, 20)
    training = Training(small, (shape,), rolled=1)
    whole = _count(training, shape, _rolled_loss)
    found = work_of(training, shape)
    assert found.total == whole.total
    assert found.nbytes == whole.nbytes
    assert sum(found.calls.values()) == sum(whole.calls.values())
    assert found.peak == pytest.approx(whole.peak, rel=0.01)


def test_parts_are_named_without_their_places():
    assert part_of({"_Step", "_Step.model", "_Step.model.blocks.1.time.qkv"}) == "blocks.time"
    assert part_of({"_Step.model.embed.2.join"}) == "embed.join"
    assert part_of({"_Step.model.numbers"}) == "numbers"
    shape = Shape.like((16, 16), 2, 20)
    work = work_of(Training(small, (shape,), rolled=0), shape)
    assert {"blocks.time", "blocks.space", "blocks.mlp_in"} <= work.flops.keys()
    model = small(shape.names)
    assert sum(work.parameters.values()) == sum(p.numel() for p in model.parameters())


def test_masks_maps_and_numbers_are_counted():
    plain = Shape.like((16, 16), 1, 20)
    rich = replace(
        plain,
        static_fields=(Field("density", role="static"),),
        parameters=(Field("viscosity", role="parameter"),),
        masked=True,
    )
    assert rich.names == ("field_1", "density", "mask")
    batch = rich.batch(2, 3)
    assert batch.mask is not None
    assert batch.static is not None
    works = [work_of(Training(small, (shape,), rolled=0), shape) for shape in (plain, rich)]
    assert works[0].total < works[1].total
