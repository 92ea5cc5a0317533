"""Times and memory follow from the work and the hardware; doubling does what arithmetic says."""

import pytest

from mpp import schema
from mpp.errors import InputError
from mpp.model.axial import AxialTransformer
from mpp.plan.count import Call, Work
from mpp.plan.machine import CARDS, Machine, card, here
from mpp.plan.plan import Plan, Training, growth, plan, work_of
from mpp.plan.shape import Shape

SMALL = {"history": 3, "width": 16, "heads": 2, "depth": 1, "hidden": 8}
ROOF = Machine("a roof", 1e9, 4e9, ((1.0, 1e8), (1e9, 1e8)), 1e-3, 1e9)


def small(names):
    return AxialTransformer(names, **SMALL)


def work(calls):
    return Work(calls, {}, 0, {})


@pytest.mark.parametrize(
    ("call", "seconds"),
    [
        (Call(flops=2_000_000_000, nbytes=1000, half=False), 2.001),  # as many operations as 2 s
        (Call(flops=2_000_000_000, nbytes=1000, half=True), 0.501),
        (Call(flops=1000, nbytes=300_000_000, half=False), 3.001),  # bytes for 3 s
        (Call(flops=0, nbytes=0, half=False), 0.001),
    ],
)
def test_a_kernel_takes_as_long_as_the_slower_of_computing_and_moving(call, seconds):
    assert ROOF.seconds(work({call: 1})) == pytest.approx(seconds)
    assert ROOF.seconds(work({call: 3})) == pytest.approx(3 * seconds)


def test_a_plan_for_stated_hardware_has_the_share_that_was_stated():
    training = Training(small, (Shape.like((16, 16), 2, 20),), rolled=0, steps=10)
    usual, half = plan(training, "h100"), plan(training, "h100", reached=0.2)
    assert not usual.measured
    assert usual.reached == 0.4
    assert half.seconds == pytest.approx(2 * usual.seconds)
    assert usual.seconds == pytest.approx(10 * usual.seconds_a_step)
    assert usual.fits
    assert sum(usual.parameters.values()) == sum(
        parameter.numel() for parameter in small(["field_1", "field_2"]).parameters()
    )


def test_this_machine_is_measured_with_real_steps():
    found = plan(Training(small, (Shape.like((16, 16), 1, 20),), rolled=0))
    assert found.measured
    assert 0 < found.reached < 5
    assert found.seconds_a_step > 0
    assert here().flops > here().overhead


def test_doubling_does_what_arithmetic_says():
    found = {row.what: row for row in growth(Training(small, (Shape.like((16, 16), 1, 20),)))}
    assert found["windows in a batch"].flops == pytest.approx(2, rel=0.01)
    assert found["windows in a batch"].parameters == 1
    assert found["points along each axis"].flops == pytest.approx(4, rel=0.1)
    assert found["history"].flops == pytest.approx(2, rel=0.2)
    assert 2 < found["width"].parameters < 4
    assert 1 < found["blocks"].parameters < 2


def test_accumulated_batches_and_several_systems_are_averaged():
    one, large = Shape.like((16, 16), 1, 20), Shape.like((32, 32), 1, 20)

    def flops(shapes, accumulate=1):
        training = Training(small, shapes, rolled=0, accumulate=accumulate)
        found = plan(training, "a100").flops
        return sum(found.values()) - found["optimizer"]

    alone = flops((one,))
    assert flops((one,), 3) == pytest.approx(3 * alone)
    assert flops((one, large)) == pytest.approx((alone + flops((large,))) / 2)


def test_what_does_not_fit_says_so():
    made = {"model": "A", "parameters": {}, "flops": {}, "reached": 1.0, "measured": False}
    rest = {"hardware": "x", "seconds_a_step": 1.0, "steps": 1}
    assert not Plan(**made, **rest, memory={"all": 2.0}, available=1.0).fits
    assert Plan(**made, **rest, memory={"all": 2.0}, available=float("nan")).fits


def test_a_dataset_s_shape_is_told_without_reading_its_fields():
    ds = schema.example((8, 6), samples=3, frames=7)
    found = Shape.of(ds)
    assert found.grid == (8, 6)
    assert (found.frames, found.runs) == (7, 3)
    assert found.names == ("tracer", "velocity_x")
    assert [field.name for field in found.parameters] == ["diffusivity"]
    assert found.batch(2, 4).values.shape == (2, 4, 2, 8, 6)


def test_hardware_and_grids_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="no hardware 'tpu'; expected here or one of a100"):
        card("tpu")
    with pytest.raises(InputError, match="a grid of 4 axes"):
        Shape.like((8, 8, 8, 8), 1, 10)
    with pytest.raises(InputError, match="batch_size is 0"):
        Training(small, (Shape.like((8,), 1, 10),), batch_size=0)
    assert all(1e9 < machine.flops < machine.half for machine in CARDS.values())


def test_checkpointing_keeps_little_of_a_block_and_computes_it_twice():
    shape = Shape.like((32, 32), 1, 20)

    def works(checkpointing):
        found = []
        for depth in (3, 5):
            deep = lambda names, depth=depth: AxialTransformer(names, **{**SMALL, "depth": depth})  # noqa: E731
            training = Training(deep, (shape,), rolled=0, checkpointing=checkpointing)
            found.append(work_of(training, shape))
        return found

    usual, thrifty = works(False), works(True)
    assert thrifty[1].peak - thrifty[0].peak < 0.2 * (usual[1].peak - usual[0].peak)
    assert 1 < thrifty[1].total / usual[1].total < 4 / 3
