"""Laws of the published definitions: closed forms where they differ, sets that split anyhow."""

import math

import pytest
import torch

from mpp.errors import InputError
from mpp.metrics import mae, nrmse, pdebench, rmse, vrmse, well


def noise(*shape: int, seed: int = 0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SHAPES = [(30,), (26, 32), (26, 28, 27)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("module", [pdebench, well])
def test_every_score_is_there_and_zero_for_equal_fields(shape, module):
    target, prediction = noise(2, 3, 2, *shape), noise(2, 3, 2, *shape, seed=1)
    found = module.of_samples(prediction, target)
    assert set(found) == set(module.NAMES)
    assert all(value.shape == (2, 3, 2) for value in found.values())
    for name, value in module.of_samples(target, target).items():
        if name != "pearson":
            assert (value == 0).all(), name
    with pytest.raises(InputError, match="cannot be scored"):
        module.of_samples(prediction, target[:1])


# --- PDEBench ---


@pytest.mark.parametrize("sizes", [(5,), (1, 4), (2, 2, 1)])
def test_any_split_of_a_set_gives_the_same_numbers(sizes):
    target, prediction = noise(5, 2, 2, 26, 32), noise(5, 2, 2, 26, 32, seed=1)
    whole = pdebench.of_set(prediction, target)
    metric = pdebench.PDEBench()
    for part in zip(prediction.split(sizes), target.split(sizes), strict=True):
        metric.update(*part)
    for name, value in metric.compute().items():
        torch.testing.assert_close(value, whole[name], rtol=1e-12, atol=0)


def test_what_is_taken_over_samples_differs_by_score():
    target, prediction = noise(5, 2, 2, 40), noise(5, 2, 2, 40, seed=1)
    whole, each = pdebench.of_set(prediction, target), pdebench.of_samples(prediction, target)
    for name in ("rmse", "nrmse", "brmse"):
        torch.testing.assert_close(whole[name], each[name].mean(0))
    torch.testing.assert_close(whole["crmse"], (each["crmse"] ** 2).mean(0).sqrt())
    assert torch.equal(whole["max_error"], each["max_error"].amax(0))
    # One sample by itself is a set.
    alone = pdebench.of_set(prediction[:1], target[:1])
    for name in pdebench.NAMES:
        torch.testing.assert_close(alone[name], each[name][0])


def test_where_they_agree_they_are_ours():
    target, prediction = noise(2, 1, 2, 9, 8), noise(2, 1, 2, 9, 8, seed=1)
    found = pdebench.of_samples(prediction, target)
    torch.testing.assert_close(found["rmse"], rmse(prediction, target))
    torch.testing.assert_close(found["nrmse"], nrmse(prediction, target))
    dead = pdebench.of_samples(prediction, 0 * target)
    assert torch.isinf(dead["nrmse"]).all()


def test_the_outermost_points_count_once_for_each_side():
    # 4 by 3 points, an error of 1 at a corner alone: it is on two sides, of 2*4 + 2*3 points.
    error = torch.zeros(1, 1, 1, 4, 3)
    error[..., 0, 0] = 1
    found = pdebench.of_samples(error, 0 * error)["brmse"].item()
    assert found == pytest.approx(math.sqrt(2 / 14))
    line = torch.tensor([3.0, 0, 0, 4])[None, None, None]
    assert pdebench.of_samples(line, 0 * line)["brmse"].item() == pytest.approx(math.sqrt(12.5))


@pytest.mark.parametrize(
    ("waves", "band", "bins"), [(2, "low", 4), (7, "mid", 8), (20, "high", 21)]
)
def test_a_wave_stands_in_its_band_of_the_fourier_error(waves, band, bins):
    # The coefficient of A cos(2 pi m x) over N is A / 2, then comes the mean over the band's bins.
    # 64 points have the bins 0 to 32, so the high band holds 21.
    place = 2 * math.pi * waves * torch.arange(64, dtype=torch.float64) / 64
    error = 3 * torch.cos(place)[None, None, None]
    found = pdebench.of_samples(error, 0 * error)
    for name in ("low", "mid", "high"):
        expected = 1.5 / bins if name == band else 0
        assert found[f"frmse_{name}"].item() == pytest.approx(expected, abs=1e-12)


def test_only_one_quadrant_of_the_modes_is_seen():
    # cos(2 pi (x + y)) has its modes at (1, 1) and (-1, -1), of which the first is seen;
    # cos(2 pi (x - y)) has (1, -1) and (-1, 1): neither is. Our bands see both.
    place = 2 * math.pi * torch.arange(32, dtype=torch.float64) / 32
    seen = torch.cos(place[:, None] + place)[None, None, None]
    unseen = torch.cos(place[:, None] - place)[None, None, None]
    # |(1, 1)| is rounded down to bin 1; its coefficient is 1/2, over 4 bins.
    assert pdebench.of_samples(seen, 0 * seen)["frmse_low"].item() == pytest.approx(1 / 8)
    assert pdebench.of_samples(unseen, 0 * seen)["frmse_low"].item() == pytest.approx(0, abs=1e-12)


# --- The Well ---


def test_a_field_correlates_with_itself_by_less_than_one():
    # The covariance is over N, the deviations over N - 1: on 16 points 15/16 = 0.9375.
    target = 1e3 * noise(1, 1, 1, 4, 4)
    assert well.of_samples(target, target)["pearson"].item() == pytest.approx(15 / 16)


def test_the_variance_is_over_one_point_less():
    target, prediction = 1e3 * noise(2, 1, 2, 30), 1e3 * noise(2, 1, 2, 30, seed=1)
    found = well.of_samples(prediction, target)
    torch.testing.assert_close(found["vrmse"], vrmse(prediction, target) * math.sqrt(29 / 30))
    torch.testing.assert_close(found["vmse"], found["vrmse"] ** 2)
    torch.testing.assert_close(found["nrmse"], nrmse(prediction, target))
    torch.testing.assert_close(found["mae"], mae(prediction, target))


def test_a_small_constant_keeps_quiet_fields_finite():
    # <e^2> = 1e-6 over 0 + 1e-7.
    error = torch.full((1, 1, 1, 8), 1e-3)
    found = well.of_samples(error, 0 * error)
    assert found["nmse"].item() == pytest.approx(10)
    assert found["vrmse"].item() == pytest.approx(math.sqrt(10))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_bands_sum_to_the_mean_square(shape):
    target, prediction = noise(2, 1, 2, *shape), noise(2, 1, 2, *shape, seed=1)
    found = well.of_samples(prediction, target)
    bands = sum(found[f"spectral_mse_{band}"] for band in ("low", "mid", "high"))
    torch.testing.assert_close(bands, found["mse"], rtol=1e-12, atol=0)


def test_the_bands_lie_where_they_are_said_to():
    # 64 points on a line: edges at 1 * 32^(1/3) = 3.17 and 32^(2/3) = 10.08 waves.
    place = 2 * math.pi * torch.arange(64, dtype=torch.float64) / 64
    for waves, band in ((3, "low"), (4, "mid"), (10, "mid"), (11, "high"), (32, "high")):
        error = torch.cos(waves * place)[None, None, None]
        found = well.of_samples(error, error + 0)
        assert found[f"spectral_mse_{band}"].item() == 0
        found = well.of_samples(2 * error, error)
        # The error has the energy of the target, whose own constant is 1e-7.
        assert found[f"spectral_nmse_{band}"].item() == pytest.approx(1, rel=1e-6)
        assert found[f"spectral_mse_{band}"].item() == pytest.approx(found["mse"].item())
