"""Laws of spectra and bands: a wave stands at its wavenumber, and what is too large shows."""

import numpy as np
import pytest
import xarray as xr

from mpp.errors import InputError
from mpp.viz.spectra import bands, density_unit, has_spectrum, spectra


def waves(counts=(3, 3, 3), amplitude=1.0, made=1.0, points=32, length=2.0) -> xr.Dataset:
    """Runs of one periodic wave each, `made` times as large in the prediction, at two times."""
    x = np.arange(points) * length / points
    space = {"units": "m", "boundary": "periodic"}
    time = {"units": "s"}
    true = np.stack([amplitude * np.cos(2 * np.pi * n * x / length) for n in counts])
    true = np.stack([true, true], 1)
    dims = ("sample", "time", "x")
    data = {
        "height": (dims, made * true, {"units": "m"}),
        "truth_height": (dims, true, {"units": "m", "role": "truth"}),
    }
    coords = {"time": ("time", [1.0, 2.0], time), "x": ("x", x, space)}
    return xr.Dataset(data, coords, {"system": "waves", "history_end": 0.0})


def test_a_wave_stands_at_its_wavenumber_with_its_energy():
    figure = spectra(waves(amplitude=2.0, made=0.5), "height", frames=[1])
    energy, ratio = figure.axes
    truth, predicted = energy.get_lines()
    # Three waves in two metres: k = 2 pi 3 / 2; energy 2^2 / 2 in a bin of width 2 pi / 2.
    top = np.nanargmax(truth.get_ydata())
    assert truth.get_xdata()[top] == pytest.approx(3 * np.pi)
    assert truth.get_ydata()[top] == pytest.approx(2 / np.pi)
    assert predicted.get_ydata()[top] == pytest.approx(0.25 * 2 / np.pi)
    assert ratio.get_lines()[0].get_ydata()[top] == pytest.approx(0.25)
    assert energy.get_xscale() == energy.get_yscale() == "log"
    assert figure.axes[1].get_xlabel() == "wavenumber (rad m⁻¹)"
    assert energy.get_ylabel() == "energy per wavenumber\nm² / (rad m⁻¹)"
    assert energy.get_title() == "lead 2 s"


def test_a_prediction_without_truth_has_no_ratio():
    figure = spectra(waves().drop_vars("truth_height"), "height", frames=[0])
    assert len(figure.axes) == 1
    assert [line.get_label() for line in figure.axes[0].get_lines()] == ["prediction"]


def test_the_error_is_in_the_band_of_its_wave():
    # Of 1 to 16 waves, bands end at 16^(1/3) = 2.5 and 16^(2/3) = 6.3: the wave of 12 is high.
    figure = bands(waves(counts=(12, 12, 12), made=0.9))
    lines = dict(zip(("all", "low", "mid", "high"), figure.axes[0].get_lines(), strict=True))
    assert np.allclose(lines["all"].get_ydata(), 0.1)
    assert np.allclose(lines["high"].get_ydata(), 0.1)
    for name in ("low", "mid"):
        assert not (np.asarray(lines[name].get_ydata()) > 1e-6).any()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[1].endswith("below 7.92 rad m⁻¹")  # pi 16^(1/3)


def test_axes_need_a_common_wavenumber(rollout):
    ds = rollout()
    assert has_spectrum(ds)
    uneven = ds.assign_coords(x=ds["x"].copy(data=ds["x"].values ** 2))
    mixed = ds.assign_coords(y=ds["y"].assign_attrs(units="s"))
    for bad in (uneven, mixed):
        assert not has_spectrum(bad)
        with pytest.raises(InputError, match="even axes in one unit"):
            spectra(bad, "tracer")
    with pytest.raises(InputError, match="no field"):
        spectra(ds, "none")
    with pytest.raises(InputError, match="no truth"):
        bands(ds.drop_vars(["truth_tracer", "truth_velocity_x"]))


@pytest.mark.parametrize(
    ("units", "wave", "shown"),
    [
        ("1", "rad", ""),
        ("1", "rad m-1", "1 / (rad m⁻¹)"),
        ("K", "rad m-1", "K² / (rad m⁻¹)"),
        ("m s-1", "rad m-1", "(m s⁻¹)² / (rad m⁻¹)"),
    ],
)
def test_the_unit_of_energy_per_wavenumber(units, wave, shown):
    assert density_unit(units, wave) == shown
