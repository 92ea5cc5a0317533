"""Numbers: order one and back, known or not, by name and not by place."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mpp.batch import Axis, Batch
from mpp.fields import Field
from mpp.model.numbers import (
    FARTHEST,
    LEAST_VARIANCE,
    TIME_STEP,
    Numbers,
    Transform,
    reading_loss,
)


def numbers_of(**values):
    """Numbers whose training data held these values."""
    made = Numbers(list(values), width=8)
    made.set_transforms({name: Transform.fit(np.array(v)) for name, v in values.items()})
    return made


@pytest.fixture
def batch():
    """Two samples of three frames, without parameters of their own."""
    axis = Axis("x", np.arange(4.0), "m", ("periodic", "periodic"))
    time = torch.arange(3.0).expand(2, 3)
    return Batch(torch.zeros(2, 3, 1, 4), (Field("tracer"),), (axis,), time)


@pytest.mark.parametrize(
    ("values", "kind", "mean", "spread"),
    [
        ([2.0, 4.0], 0, 3.0, 1.0),
        # Negative numbers within a factor of 3 stay as they are as well.
        ([-2.0, -4.0], 0, -3.0, 1.0),
        # ln of 1 and e^4.
        ([1.0, np.exp(4.0)], 1, 2.0, 2.0),
        # The typical size is e^2; sign(p) ln(1 + |p| / e^2) is -ln(1 + e^2) and ln(1 + e^-2).
        (
            [-np.exp(4.0), 1.0],
            2,
            (np.log1p(np.exp(-2.0)) - np.log1p(np.exp(2.0))) / 2,
            (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(2.0))) / 2,
        ),
        # One value: its size is the unit, or 1 for zero.
        ([5.0, 5.0], 0, 5.0, 5.0),
        ([0.0], 0, 0.0, 1.0),
    ],
)
def test_the_transform_follows_the_data(values, kind, mean, spread):
    made = Transform.fit(np.array(values))
    assert made.kind == kind
    assert (made.mean, made.spread) == pytest.approx((mean, spread))
    assert (made.low, made.high) == (min(values), max(values))


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1.0, 1e30])
@pytest.mark.parametrize("values", [[1.0, 2.0, 1.5], [0.001, 1.0, 2.0], [-3.0, 0.0, 0.1]])
def test_laws_every_size_that_float32_holds_becomes_order_one_and_comes_back(batch, size, values):
    made = numbers_of(p=np.array(values) * size)
    given = torch.tensor(values[:2]) * size
    standard = made.standard(replace(batch, parameters={"p": given}), None)[:, -1, 1]
    assert standard.dtype == torch.float32
    assert standard.abs().max() < FARTHEST
    back = made.physical(torch.stack([torch.zeros(2), standard], -1))[:, 1]
    torch.testing.assert_close(back, given, rtol=1e-4, atol=1e-6 * size)


def test_laws_a_masked_number_is_the_same_as_none(batch):
    made = numbers_of(p=[1.0, 2.0], q=[1.0, 2.0])
    without = replace(batch, parameters={"q": torch.tensor([1.0, 2.0])})
    masked = replace(batch, parameters={**without.parameters, "p": torch.full((2,), torch.nan)})
    alone, hidden = (made(made.standard(b, None)) for b in (without, masked))
    assert torch.equal(alone.vectors, hidden.vectors)
    assert torch.equal(alone.known, hidden.known)
    nothing = made(made.standard(batch, None)).known
    assert nothing.tolist() == [[[False, False, False, True]]] * 2  # only what says nothing


def test_laws_numbers_go_by_name_and_not_by_their_order(batch):
    made = numbers_of(p=[1.0, 2.0], q=[1.0, 5.0])
    given = {"p": torch.tensor([1.0, 1.2]), "q": torch.tensor([2.0, 3.0])}
    turned = dict(reversed(given.items()))
    one, other = (made.standard(replace(batch, parameters=p), None) for p in (given, turned))
    torch.testing.assert_close(one, other, equal_nan=True, rtol=0, atol=0)


def test_laws_lower_precision_around_them_changes_nothing(batch):
    made = numbers_of(p=[0.001, 2.0])
    given = replace(batch, parameters={"p": torch.tensor([0.01, 1.0])})
    with torch.autocast("cpu", torch.bfloat16):
        low = made(made.standard(given, torch.tensor([0.1, 0.2])))
    high = made(made.standard(given, torch.tensor([0.1, 0.2])))
    assert torch.equal(low.vectors, high.vectors)
    assert low.vectors.dtype == torch.float32


def test_laws_new_numbers_leave_old_ones_as_they_are(batch):
    made = numbers_of(p=[1.0, 2.0])
    tokens = torch.randn(2, batch.frames, 4, 8)
    given = replace(batch, parameters={"p": torch.tensor([1.0, 1.2])})
    before = made(made.standard(given, None)).vectors, made.read(tokens)
    made.grow(["q", "p"])
    assert made.names == (TIME_STEP, "p", "q")
    after = made(made.standard(given, None)).vectors, made.read(tokens)
    assert torch.equal(before[0], after[0][:, :, [0, 1, 3]])  # the new one is the third of four
    assert torch.equal(before[1], after[1][:, :, :2])


def test_a_number_may_vary_in_time_and_the_time_step_is_one(batch):
    made = numbers_of(**{TIME_STEP: [1.0, np.e**2], "p": [0.0, 2.0]})
    # Logarithms 0 and 2: mean 1, spread 1. The other stays within no factor: 0 and 2 about 1.
    series = torch.tensor([[0.0, 1.0, 2.0]]).expand(2, 3)
    standard = made.standard(replace(batch, parameters={"p": series}), torch.tensor([1.0, torch.e]))
    assert standard[:, :, 0].tolist() == [[-1.0] * 3, pytest.approx([0.0] * 3, abs=1e-6)]
    torch.testing.assert_close(standard[:, :, 1], series - 1)


def test_what_leaves_the_training_range_is_named(batch):
    made = numbers_of(p=[1.0, 2.0], q=[1.0, 2.0])
    given = {"p": torch.tensor([1.5, 2.1]), "q": torch.tensor([1.0, 2.0]), "new": torch.ones(2)}
    assert made.outside(replace(batch, parameters=given)) == ("p",)


def test_the_reading_loss_is_that_of_a_normal_distribution():
    # Variance e, error 2: (1 + 4 / e) / 2. The second number is not asked for.
    reading = torch.tensor([[[[1.0, 1.0], [7.0, 7.0]]]])
    truth = torch.tensor([[[3.0, torch.nan]]])
    assert reading_loss(reading, truth).item() == pytest.approx((1 + 4 / np.e) / 2)
    assert reading_loss(reading, torch.full_like(truth, torch.nan)).item() == 0


def test_a_variance_has_a_floor():
    made = numbers_of(p=[1.0, 2.0])
    with torch.no_grad():
        made.head_bias.fill_(-1e4)
    read = made.read(torch.randn(1, 1, 2, 8))[..., 1]
    torch.testing.assert_close(read.exp(), torch.full_like(read, LEAST_VARIANCE))
