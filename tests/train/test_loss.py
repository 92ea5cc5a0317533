"""Laws of the losses: copying costs one, only points inside the mask count, and it stays finite."""

import pytest
import torch

from mpp.train.loss import ADDED, FLOOR, change_loss, nmse_loss, rollout_loss

SHAPE = (2, 5, 3, 6, 4)
USUAL = torch.full((3,), 0.5)


@pytest.fixture
def frames():
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


def test_copying_the_last_frame_costs_exactly_one(frames):
    # The mean over the steps of (x_t - x_{t+1})^2 is what the errors are divided by.
    loss = change_loss(frames[:, :-1], frames, USUAL)
    torch.testing.assert_close(loss.mean(1), torch.ones(2, 3))


def test_the_truth_costs_nothing(frames):
    assert torch.equal(change_loss(frames[:, 1:], frames, USUAL), torch.zeros(2, 4, 3))


def test_an_error_of_twice_the_change_costs_four(frames):
    wrong = frames[:, 1:] + 2 * (frames[:, :-1] - frames[:, 1:])
    torch.testing.assert_close(change_loss(wrong, frames, USUAL).mean(), torch.tensor(4.0))


def test_copying_the_last_frame_given_costs_one_at_every_lead_time(frames):
    start, targets = frames[:, 1:2], frames[:, 2:]
    loss = rollout_loss(start.expand(-1, 3, -1, -1, -1), targets, start, USUAL)
    torch.testing.assert_close(loss, torch.ones(2, 3, 3))
    assert torch.equal(rollout_loss(targets, targets, start, USUAL), torch.zeros(2, 3, 3))


def test_a_rollout_of_a_field_that_stands_still_is_measured_by_the_floor(frames):
    start = frames[:, :1]
    still = start.expand(-1, 3, -1, -1, -1)
    # An error of one floor costs one: FLOOR times the usual change of 0.5.
    loss = rollout_loss(still + FLOOR * 0.5, still, start, USUAL)
    torch.testing.assert_close(loss, torch.ones(2, 3, 3), rtol=1e-3, atol=0)


def test_the_unit_of_a_field_does_not_matter(frames):
    scale = torch.tensor([1.0, 1e4, 1e-4])[:, None, None]
    predicted = frames[:, :-1] * 1.1
    plain = change_loss(predicted, frames, USUAL)
    scaled = change_loss(predicted * scale, frames * scale, USUAL * scale.flatten())
    torch.testing.assert_close(scaled, plain)


def test_the_last_targets_are_what_a_shorter_prediction_is_compared_with(frames):
    predicted = frames[:, :-1] * 0.9
    whole = change_loss(predicted, frames, USUAL)
    assert torch.equal(change_loss(predicted[:, -1:], frames, USUAL), whole[:, -1:])


@pytest.mark.parametrize("outside", [0.0, 1e6, float("nan")])
def test_points_outside_the_mask_never_matter(frames, outside):
    mask = torch.ones(2, 6, 4, dtype=torch.bool)
    mask[0, 2:, 1:] = False
    inside = mask[:, None, None]
    predicted = frames[:, :-1] * 0.9
    plain = change_loss(predicted, frames, USUAL, mask)
    dirty = torch.where(inside, predicted, outside), torch.where(inside, frames, outside)
    assert torch.equal(change_loss(*dirty, USUAL, mask), plain)
    # The second sample has no point outside: the same as without a mask.
    torch.testing.assert_close(plain[1], change_loss(predicted, frames, USUAL)[1])


def test_points_outside_the_mask_get_no_gradient(frames):
    mask = torch.zeros(2, 6, 4, dtype=torch.bool)
    mask[:, :3] = True
    predicted = frames[:, :-1].clone().requires_grad_()
    noisy = torch.where(mask[:, None, None], frames, float("nan"))
    change_loss(predicted, noisy, USUAL, mask).mean().backward()
    assert predicted.grad is not None
    assert predicted.grad[..., 3:, :].count_nonzero() == 0
    assert torch.isfinite(predicted.grad).all()
    assert predicted.grad[..., :3, :].count_nonzero() > 0


def test_a_field_that_stands_still_is_measured_by_its_usual_change():
    frames = torch.ones(1, 3, 1, 4)
    usual = torch.tensor([0.5])
    # An error of 0.005 at every point; the floor is FLOOR * 0.5 = 0.005.
    assert FLOOR == 1e-2
    loss = change_loss(frames[:, 1:] + 0.005, frames, usual)
    torch.testing.assert_close(loss, torch.ones(1, 2, 1), rtol=1e-3, atol=0)


def test_no_point_inside_the_mask_is_finite(frames):
    mask = torch.zeros(2, 6, 4, dtype=torch.bool)
    assert torch.isfinite(change_loss(frames[:, 1:], frames, USUAL, mask)).all()


def test_half_precision_predictions_are_compared_in_single():
    frames = torch.full((1, 2, 1, 4), 1000.0)
    frames[:, 1] += 1
    assert change_loss(frames[:, :1].bfloat16(), frames, torch.ones(1)).dtype == torch.float32


def test_the_published_loss_of_a_sine_is_that_of_its_squares():
    # Targets 3 + 2 sin have the mean square 9 + 2; errors 0.5 sin have the mean square 0.125.
    wave = torch.sin(2 * torch.pi * torch.arange(64) / 64).view(1, 1, 1, 64)
    frames = torch.cat([torch.zeros_like(wave), 3 + 2 * wave], 1)
    loss = nmse_loss(3 + 2.5 * wave, frames, torch.ones(1))
    torch.testing.assert_close(loss, torch.full((1, 1, 1), 0.125 / 11))


def test_the_published_loss_of_nothing_is_one_and_of_the_truth_zero(frames):
    frames = frames + 2
    zero = nmse_loss(torch.zeros_like(frames[:, 1:]), frames, USUAL)
    torch.testing.assert_close(zero, torch.ones(2, 4, 3), rtol=1e-6, atol=0)
    assert torch.equal(nmse_loss(frames[:, 1:], frames, USUAL), torch.zeros(2, 4, 3))


def test_the_published_loss_is_of_the_last_frames_and_knows_no_usual_change(frames):
    predicted = frames[:, :-1] * 0.9
    whole = nmse_loss(predicted, frames, USUAL)
    assert torch.equal(nmse_loss(predicted[:, -1:], frames, 7 * USUAL), whole[:, -1:])


def test_the_published_loss_of_a_zero_field_is_finite():
    # Errors of 0.001 over a target of zeros: 1e-6 / 1e-7.
    assert ADDED == 1e-7
    loss = nmse_loss(torch.full((1, 1, 1, 4), 1e-3), torch.zeros(1, 2, 1, 4), torch.ones(1))
    torch.testing.assert_close(loss, torch.full((1, 1, 1), 10.0))


@pytest.mark.parametrize("outside", [1e6, float("nan")])
def test_the_published_loss_sees_nothing_outside_the_mask(frames, outside):
    mask = torch.ones(2, 6, 4, dtype=torch.bool)
    mask[0, 2:, 1:] = False
    inside = mask[:, None, None]
    predicted = frames[:, :-1] * 0.9
    dirty = torch.where(inside, predicted, outside), torch.where(inside, frames, outside)
    assert torch.equal(nmse_loss(*dirty, USUAL, mask), nmse_loss(predicted, frames, USUAL, mask))
