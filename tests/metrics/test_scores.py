"""Laws of the scores: best at equality, closed forms, masks, units, and no silent broadcasting."""

import math

import pytest
import torch

from mpp.errors import InputError
from mpp.metrics import mae, nmse, nrmse, rmse, vrmse

ALL = [mae, rmse, nmse, nrmse, vrmse]
RELATIVE = [nmse, nrmse, vrmse]


def sine(phase: float, amplitude: float = 2.0, offset: float = 0.0, points: int = 64):
    """One period of a sine as (1, 1, 1, points)."""
    x = torch.arange(points, dtype=torch.float64) / points
    return (offset + amplitude * torch.sin(2 * math.pi * x - phase)).reshape(1, 1, 1, points)


def noise(*shape: int, seed: int = 0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("score", ALL)
@pytest.mark.parametrize("space", [(9,), (4, 5), (2, 3, 4)])
def test_equality_is_best_and_nothing_is_collapsed(score, space):
    target = noise(2, 3, 4, *space)
    other = target + noise(2, 3, 4, *space, seed=1)
    assert torch.equal(score(target, target), torch.zeros(2, 3, 4, dtype=torch.float64))
    assert score(other, target).shape == (2, 3, 4)
    assert (score(other, target) > 0).all()


@pytest.mark.parametrize("score", RELATIVE)
def test_zero_against_a_sine_scores_one(score):
    # mean(target) = 0, so mean(target^2) = var(target) = A^2/2 = mean(e^2).
    target = sine(0.3)
    assert score(torch.zeros_like(target), target).item() == pytest.approx(1, rel=1e-13)


@pytest.mark.parametrize("shift", [0.1, 1.0, math.pi])
def test_a_shifted_sine_has_its_closed_form(shift):
    # e = A [sin(k x) - sin(k x - d)] = 2 A cos(k x - d/2) sin(d/2): mean(e^2) = 2 A^2 sin(d/2)^2.
    # With an offset B: mean(target^2) = B^2 + A^2/2 and var(target) = A^2/2.
    amplitude, offset = 2.0, 3.0
    size = abs(math.sin(shift / 2))
    still = sine(0.0, amplitude, offset)
    moved = sine(shift, amplitude, offset)
    power = offset**2 + amplitude**2 / 2
    expected = {
        rmse: math.sqrt(2) * amplitude * size,
        nmse: 2 * amplitude**2 * size**2 / power,
        nrmse: math.sqrt(2 / power) * amplitude * size,
        vrmse: 2 * size,
    }
    for score, value in expected.items():
        assert score(still, moved).item() == pytest.approx(value, rel=1e-12)


def test_the_mean_absolute_error_tends_to_its_integral():
    # mean |2 A cos(.) sin(d/2)| tends to 2 A |sin(d/2)| 2/pi; the midpoint error falls as n^-2.
    expected = 2 * 2.0 * math.sin(0.5) * 2 / math.pi
    errors = [
        abs(mae(sine(0.0, points=n), sine(1.0, points=n)).item() - expected) for n in (64, 256)
    ]
    assert errors[0] < 1e-2
    assert errors[1] < errors[0] / 4


@pytest.mark.parametrize("score", ALL)
def test_refining_the_grid_does_not_change_the_score_of_a_sine(score):
    # The RMS of the target divides, not its norm, which would grow with the number of points.
    coarse = score(sine(0.0, points=240), sine(0.5, points=240))
    fine = score(sine(0.0, points=960), sine(0.5, points=960))
    torch.testing.assert_close(coarse, fine, rtol=1e-4, atol=0)


@pytest.mark.parametrize("score", RELATIVE)
def test_a_change_of_unit_leaves_relative_scores_unchanged(score):
    target, prediction = noise(2, 3, 2, 16), noise(2, 3, 2, 16, seed=1)
    floor = torch.tensor([0.9, 2.0], dtype=torch.float64)
    unit = torch.tensor([1e-6, 3e7], dtype=torch.float64)
    scaled = score(prediction * unit[:, None], target * unit[:, None], None, floor * unit)
    torch.testing.assert_close(scaled, score(prediction, target, None, floor), rtol=1e-12, atol=0)


def test_an_offset_leaves_vrmse_unchanged():
    target, prediction = noise(2, 1, 2, 32), noise(2, 1, 2, 32, seed=1)
    torch.testing.assert_close(
        vrmse(prediction + 100, target + 100), vrmse(prediction, target), rtol=1e-11, atol=0
    )


@pytest.mark.parametrize("score", ALL)
def test_points_outside_the_mask_never_matter(score):
    target, prediction = noise(2, 3, 2, 6, 5), noise(2, 3, 2, 6, 5, seed=1)
    mask = noise(2, 6, 5, seed=2) > 0
    clean = score(prediction, target, mask)
    outside = ~mask[:, None, None].expand_as(target)
    for value in (math.nan, math.inf, 1e30):
        assert torch.equal(
            score(
                prediction.masked_fill(outside, value), target.masked_fill(outside, -value), mask
            ),
            clean,
        )
    # The masked score is that of the points inside alone.
    alone = score(prediction[:1, ..., mask[0]], target[:1, ..., mask[0]])
    torch.testing.assert_close(clean[:1], alone, rtol=1e-12, atol=0)


@pytest.mark.parametrize("score", ALL)
def test_any_split_into_batches_gives_the_same_scores(score):
    target, prediction = noise(6, 2, 3, 17, 11), noise(6, 2, 3, 17, 11, seed=1)
    whole = score(prediction, target)
    for size in (1, 2, 4):
        parts = zip(prediction.split(size), target.split(size), strict=True)
        torch.testing.assert_close(
            torch.cat([score(*part) for part in parts]), whole, rtol=1e-13, atol=0
        )


def test_a_field_that_dies_out_is_divided_by_the_floor():
    # e = 1e-6 everywhere and the floor is 1e-3, so sqrt(<e^2>) / floor = 1e-3.
    dead = torch.zeros(1, 1, 1, 8)
    floor = torch.tensor([1e-3], dtype=torch.float64)
    for score in (nrmse, vrmse):
        assert score(dead + 1e-6, dead, None, floor).item() == pytest.approx(1e-3, rel=1e-6)


@pytest.mark.parametrize("score", RELATIVE)
def test_without_a_floor_nothing_is_predicted_exactly_or_infinitely_wrong(score):
    dead = torch.zeros(1, 1, 1, 8)
    assert score(dead, dead).item() == 0
    assert score(dead + 1e-6, dead).item() == math.inf


def test_the_rounding_of_a_constant_is_no_variance():
    # The mean of 0.1 in float64 is off by an ulp; dividing by that would give a finite number.
    constant = torch.full((1, 1, 1, 1001), 0.1, dtype=torch.float64)
    assert vrmse(constant + 1e-3, constant).item() == math.inf


@pytest.mark.parametrize("score", ALL)
def test_a_diverged_prediction_is_not_hidden(score):
    target = noise(1, 1, 1, 8)
    assert score(target * math.nan, target).isnan().all()


@pytest.mark.parametrize("score", ALL)
def test_float32_is_scored_in_float64(score):
    target, prediction = noise(1, 1, 1, 8).float(), noise(1, 1, 1, 8, seed=1).float()
    assert torch.equal(score(prediction, target), score(prediction.double(), target.double()))


@pytest.mark.parametrize("score", ALL)
def test_shapes_that_would_broadcast_are_refused(score):
    with pytest.raises(InputError, match=r"shape \(2, 1, 1, 8\) .* shape \(2, 3, 1, 8\)"):
        score(noise(2, 1, 1, 8), noise(2, 3, 1, 8))


def test_nmse_has_finite_gradients_beside_a_mask():
    target = noise(1, 1, 1, 8)
    mask = torch.arange(8)[None] < 5
    target[..., 5:] = math.nan
    prediction = torch.zeros_like(target).requires_grad_()
    nmse(prediction, target, mask).sum().backward()
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()
    assert (prediction.grad[..., 5:] == 0).all()
