"""Laws of the spectra: Parseval on every kind of axis, waves in their bins, bands that sum up."""

import math

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from mpp.batch import Axis
from mpp.errors import InputError
from mpp.metrics import nrmse
from mpp.metrics.spectrum import (
    band_edges,
    band_energies,
    band_nrmse,
    band_ratio,
    cosine_transform,
    energies,
    fundamental,
    nyquist,
    power_spectrum,
    spectrum_ratio,
)


def axis(points=16, step=0.25, kind="periodic", name="x", units="m"):
    return Axis(name, 3.0 + step * np.arange(points), units, (kind, kind))


def noise(*shape: int, seed: int = 0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


GRIDS = [
    [axis(16)],
    [axis(15, kind="wall")],
    [axis(12), axis(9, kind="wall", name="y")],
    [axis(8, kind="open"), axis(10, step=0.5, kind="wall", name="y")],
    [axis(7), axis(6, step=1.0, name="y"), axis(5, kind="wall", name="z")],
]


def fields(axes, seed=0):
    return noise(2, 3, 2, *(len(one.points) for one in axes), seed=seed) + 0.7


@pytest.mark.parametrize("axes", GRIDS)
def test_bins_bands_and_modes_sum_to_the_mean_square(axes):
    values = fields(axes)
    square = (values**2).flatten(3).mean(-1)
    for parts in (
        power_spectrum(values, axes).power,
        band_energies(values, axes),
        energies(values, axes).flatten(3),
    ):
        torch.testing.assert_close(parts.sum(-1), square, rtol=1e-13, atol=0)


@pytest.mark.parametrize("axes", GRIDS)
def test_behind_a_mask_the_sum_is_the_mean_square_inside(axes):
    values = fields(axes)
    mask = noise(2, *values.shape[3:], seed=5) > -0.5
    spoiled = torch.where(mask[:, None, None], values, math.nan)
    square = torch.stack([values[s][..., mask[s]].square().mean(-1) for s in range(2)])
    power = power_spectrum(spoiled, axes, mask).power
    torch.testing.assert_close(power.sum(-1), square, rtol=1e-13, atol=0)


@pytest.mark.parametrize("axes", GRIDS)
def test_the_first_bin_is_the_mean_alone(axes):
    values = fields(axes)
    mean = values.flatten(3).mean(-1)
    power = power_spectrum(values, axes).power
    torch.testing.assert_close(power[..., 0], mean**2, rtol=1e-12, atol=0)


@pytest.mark.parametrize("waves", [1, 3, 8])
@pytest.mark.parametrize("along", [0, 1])
def test_a_wave_stands_in_its_bin_with_its_closed_form(waves, along):
    # A sin(2 pi m x / L) has the mean square A^2 / 2; at the Nyquist wavenumber, of a cosine, A^2.
    axes = [axis(16), axis(16, name="y")]
    place = 2 * math.pi * waves * torch.arange(16, dtype=torch.float64) / 16
    wave = 3 * torch.cos(place)
    values = (wave[:, None] if along == 0 else wave[None]).expand(16, 16)[None, None, None]
    spectrum = power_spectrum(values, axes)
    expected = torch.zeros_like(spectrum.power)
    expected[..., waves] = 9.0 if waves == 8 else 4.5
    torch.testing.assert_close(spectrum.power, expected, rtol=1e-13, atol=1e-13)
    assert float(spectrum.wavenumber[waves]) == pytest.approx(2 * math.pi * waves / 4.0)
    assert spectrum.nyquist == pytest.approx(math.pi / 0.25)


@pytest.mark.parametrize("half_waves", [1, 2, 5])
def test_between_walls_a_cosine_of_whole_half_waves_is_one_mode(half_waves):
    # cos(pi m (n + 1/2) / N) is flat at both walls; k = pi m / L.
    walled = axis(20, kind="wall")
    place = math.pi * half_waves * (torch.arange(20, dtype=torch.float64) + 0.5) / 20
    values = torch.cos(place)[None, None, None]
    energy = energies(values, [walled])[0, 0, 0]
    expected = torch.zeros(20, dtype=torch.float64)
    expected[half_waves] = 0.5
    torch.testing.assert_close(energy, expected, rtol=1e-13, atol=1e-14)
    spectrum = power_spectrum(values, [walled])
    # A half wave is nearer to one wave than to none: bin 0 is the mean alone.
    assert int(spectrum.power.argmax()) == (half_waves + 1) // 2


def test_a_ramp_between_walls_has_no_jump():
    # Continued as its mirror image a ramp has a kink, whose energy falls as k^-4; continued
    # periodically it has a jump, k^-2. Over ten times the wavenumber: 1e-4 against 1e-2.
    ramp = torch.linspace(-1, 1, 256, dtype=torch.float64)[None, None, None]
    walled = energies(ramp, [axis(256, kind="wall")])[0, 0, 0]
    assert walled[101] / walled[11] == pytest.approx((11 / 101) ** 4, rel=0.2)
    around = energies(ramp, [axis(256)])[0, 0, 0]
    assert around[100] / around[10] > 1e-2


@pytest.mark.parametrize("points", [1, 2, 7, 16])
def test_the_cosine_transform_is_scipys(points):
    values = noise(3, points, 4)
    expected = dctn(values.numpy(), type=2, norm="ortho", axes=[1])
    np.testing.assert_allclose(cosine_transform(values, 1), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shift", [1, 5])
def test_moving_a_field_around_a_periodic_axis_changes_nothing(shift):
    axes = [axis(12), axis(9, kind="wall", name="y")]
    values = fields(axes)
    moved = values.roll(shift, dims=3)
    before, after = (power_spectrum(each, axes).power for each in (values, moved))
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-14)


def test_the_mirror_image_between_walls_has_the_same_spectrum():
    axes = [axis(12, kind="wall")]
    values = fields(axes)
    torch.testing.assert_close(
        power_spectrum(values.flip(3), axes).power, power_spectrum(values, axes).power,
        rtol=1e-12, atol=1e-14,
    )  # fmt: skip


def test_refining_the_grid_keeps_the_energy_where_it_is():
    def spectrum(points):
        one = axis(points, step=4.0 / points)
        place = 2 * math.pi * torch.arange(points, dtype=torch.float64) / points
        waves = torch.sin(place) + 0.3 * torch.cos(3 * place)
        return power_spectrum(waves[None, None, None], [one])

    coarse, fine = spectrum(16), spectrum(64)
    bins = coarse.power.shape[-1]
    torch.testing.assert_close(coarse.power, fine.power[..., :bins], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(coarse.wavenumber, fine.wavenumber[:bins], rtol=1e-12, atol=0)


def test_the_bands_lie_where_they_are_said_to():
    # 128 points: from 1 to 64 waves along the axis, cut at 4 and 16 of them.
    low, high = band_edges([axis(128, step=1 / 128), axis(128, step=1 / 128, name="y")])
    assert (low / (2 * math.pi), high / (2 * math.pi)) == pytest.approx((4, 16))
    one = [axis(128, step=1 / 128)]
    place = 2 * math.pi * torch.arange(128, dtype=torch.float64) / 128
    for waves, band in ((0, 0), (3, 0), (4, 1), (15, 1), (16, 2), (64, 2)):
        energy = band_energies(torch.cos(waves * place)[None, None, None], one)[0, 0, 0]
        assert int(energy.argmax()) == band
        assert float(energy.sum()) == pytest.approx(float(energy[band]))


@pytest.mark.parametrize("axes", GRIDS)
def test_squared_band_errors_sum_to_the_squared_error(axes):
    target, prediction = fields(axes), fields(axes, seed=1)
    mask = noise(2, *target.shape[3:], seed=5) > -0.5
    floor = torch.tensor([0.1, 50.0], dtype=torch.float64)
    for inside in (None, mask):
        parts = band_nrmse(prediction, target, axes, inside, floor)
        torch.testing.assert_close(
            (parts**2).sum(-1), nrmse(prediction, target, inside, floor) ** 2, rtol=1e-12, atol=0
        )


@pytest.mark.parametrize("axes", GRIDS)
def test_equality_is_best(axes):
    values = fields(axes)
    assert (band_nrmse(values, values, axes) == 0).all()
    assert (band_ratio(values, values, axes) == 1).all()
    assert (spectrum_ratio(values, values, axes) == 1).all()
    assert (band_ratio(0 * values, 0 * values, axes) == 1).all()


@pytest.mark.parametrize("axes", GRIDS)
def test_a_factor_enters_the_ratio_squared_and_an_offset_not_at_all(axes):
    values = fields(axes)
    torch.testing.assert_close(
        band_ratio(3 * values + 10, values, axes), torch.full((2, 3, 2, 3), 9.0).double(),
        rtol=1e-10, atol=0,
    )  # fmt: skip


def test_a_smoothed_field_lacks_the_small_scales():
    one = [axis(64)]
    target = noise(1, 1, 1, 64)
    smooth = (target.roll(1, -1) + 2 * target + target.roll(-1, -1)) / 4
    low, mid, high = band_ratio(smooth, target, one)[0, 0, 0].tolist()
    assert high < mid < low < 1
    assert high < 0.4


@pytest.mark.parametrize("axes", GRIDS)
def test_a_sample_does_not_see_its_neighbours(axes):
    target, prediction = fields(axes), fields(axes, seed=1)
    for function in (band_nrmse, band_ratio, spectrum_ratio):
        whole = function(prediction, target, axes)
        parts = [function(prediction[s : s + 1], target[s : s + 1], axes) for s in range(2)]
        torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-12, atol=1e-14)


def test_axes_of_different_lengths_share_the_bins_of_the_longer_one():
    axes = [axis(16, step=0.25), axis(8, step=0.25, name="y")]
    assert fundamental(axes) == pytest.approx(2 * math.pi / 4)
    # One wave along y, which is half as long, is as short as two along x.
    wave = torch.cos(2 * math.pi * torch.arange(8, dtype=torch.float64) / 8).expand(16, 8)
    assert int(power_spectrum(wave[None, None, None], axes).power.argmax()) == 2
    assert nyquist([axis(16), axis(8, step=1.0, name="y")]) == pytest.approx(math.pi)


def test_what_has_no_spectrum_is_refused():
    values = noise(1, 1, 1, 4)
    with pytest.raises(InputError, match="even steps"):
        power_spectrum(values, [Axis("x", np.array([0, 1, 2, 4.0]), "m", ("wall", "wall"))])
    with pytest.raises(InputError, match=r"expected fields over \(5,\) points"):
        power_spectrum(values, [axis(5)])
    with pytest.raises(InputError, match="axes in one unit, got km, m"):
        power_spectrum(noise(1, 1, 1, 4, 4), [axis(4), axis(4, name="y", units="km")])
    with pytest.raises(InputError, match="cannot be scored"):
        band_nrmse(noise(1, 1, 1, 4), noise(1, 2, 1, 4), [axis(4)])
