"""Law of the running mean: every sample counts once, however samples are split into batches."""

import numpy as np
import pytest
import torch

from mpp.batch import Axis
from mpp.metrics import SampleMean, mae, max_error, nmse, nrmse, pearson, rmse, vmse, vrmse
from mpp.metrics.conserved import drift
from mpp.metrics.distribution import wasserstein
from mpp.metrics.imprint import patch_imprint
from mpp.metrics.sides import side_rmse
from mpp.metrics.spectrum import band_nrmse, band_ratio

AXES = [
    Axis("x", np.arange(24.0), "m", ("periodic", "periodic")),
    Axis("y", np.arange(9.0), "m", ("wall", "open")),
]


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


SCORES = {
    "max_error": (max_error, {}, ()),
    "pearson": (pearson, {}, ()),
    "vmse": (vmse, {}, ()),
    "drift": (drift, {}, ()),
    "wasserstein": (wasserstein, {}, ()),
    "band_nrmse": (band_nrmse, {"axes": AXES}, (3,)),
    "band_ratio": (band_ratio, {"axes": AXES}, (3,)),
    "side_rmse": (side_rmse, {"axes": AXES}, (2,)),
    "patch_imprint": (patch_imprint, {"axes": AXES, "patch": 4}, ()),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("sizes", [(1, 6), (3, 3, 1)])
def test_every_score_that_is_a_mean_over_samples_can_arrive_in_parts(name, sizes):
    score, options, more = SCORES[name]
    prediction, target = noise(7, 2, 3, 24, 9), noise(7, 2, 3, 24, 9, seed=1)
    metric = SampleMean(score, 2, 3, more)
    for part in zip(prediction.split(sizes), target.split(sizes), strict=True):
        metric.update(*part, **options)
    expected = score(prediction, target, **options).mean(0)
    torch.testing.assert_close(metric.compute(), expected, rtol=1e-12, atol=0)


def test_processes_that_saw_unequal_shares_agree_on_the_mean():
    prediction, target = noise(7, 2, 3, 8), noise(7, 2, 3, 8, seed=1)
    ranks = [SampleMean(vrmse, frames=2, fields=3) for _ in range(3)]
    shares = zip(ranks, prediction.split((4, 1, 2)), target.split((4, 1, 2)), strict=True)
    for rank, made, true in shares:
        rank.update(made, true)
    for other in ranks[1:]:
        ranks[0].merge_state(other)
    torch.testing.assert_close(
        ranks[0].compute(), vrmse(prediction, target).mean(0), rtol=1e-13, atol=0
    )
