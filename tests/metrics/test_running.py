"""Law of the running mean: every sample counts once, however samples are split into batches."""

import pytest
import torch

from mpp.metrics import SampleMean, mae, nmse, nrmse, rmse, vrmse


def noise(*shape: int, seed: int = 0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("score", [mae, rmse, nmse, nrmse, vrmse])
@pytest.mark.parametrize("sizes", [(7,), (1, 6), (3, 3, 1)])
def test_uneven_batches_give_the_mean_over_samples(score, sizes):
    prediction, target = noise(7, 2, 3, 5, 4), noise(7, 2, 3, 5, 4, seed=1)
    metric = SampleMean(score, frames=2, fields=3)
    for part in zip(prediction.split(sizes), target.split(sizes), strict=True):
        metric.update(*part)
    expected = score(prediction, target).mean(0)
    torch.testing.assert_close(metric.compute(), expected, rtol=1e-12, atol=0)


def test_masks_and_floors_reach_the_score():
    prediction, target = noise(3, 1, 2, 8), noise(3, 1, 2, 8, seed=1)
    mask = noise(3, 8, seed=2) > -0.5
    floor = torch.tensor([5.0, 7.0])
    metric = SampleMean(nrmse, frames=1, fields=2)
    metric.update(prediction, target, mask, floor)
    assert torch.equal(metric.compute(), nrmse(prediction, target, mask, floor).mean(0))


def test_reset_forgets():
    metric = SampleMean(rmse, frames=1, fields=1)
    metric.update(noise(3, 1, 1, 8) * 100, noise(3, 1, 1, 8, seed=1))
    metric.reset()
    metric.update(torch.zeros(2, 1, 1, 8), torch.ones(2, 1, 1, 8))
    assert metric.compute().item() == 1
