"""Laws of the picture of estimated numbers."""

import numpy as np
import pytest
import xarray as xr

from mpp.errors import InputError
from mpp.viz.estimates import estimates


def inference(truth: bool = True, names: tuple[str, ...] = ("viscosity",)) -> xr.Dataset:
    """Ten runs; the intervals of the first eight hold the truth."""
    true = np.linspace(1.0, 2.0, 10)
    middle = true + np.where(np.arange(10) < 8, 0.05, 0.5)
    data = {}
    for name in names:
        parts = {"": middle, "low_": middle - 0.1, "high_": middle + 0.1}
        if truth:
            parts["truth_"] = true
        for kind, values in parts.items():
            data[f"{kind}{name}"] = ("sample", values, {"units": "m2 s-1"})
    return xr.Dataset(data, attrs={"system": "channel", "history_frames": 4})


def test_estimates_stand_against_the_truth_with_the_share_that_is_held():
    figure = estimates(inference())
    (axes,) = figure.axes
    assert "80%" in axes.get_title()
    assert axes.get_xlabel() == "true: viscosity (m² s⁻¹)"
    assert "4 frames" in figure.get_suptitle()
    points = axes.lines[0]
    np.testing.assert_allclose(points.get_xdata(), np.linspace(1.0, 2.0, 10))


def test_without_a_truth_they_stand_by_run():
    (axes,) = estimates(inference(truth=False)).axes
    assert axes.get_xlabel() == "run"
    np.testing.assert_allclose(axes.lines[0].get_xdata(), np.arange(10))


def test_a_panel_a_number():
    assert len(estimates(inference(names=("a", "b", "c", "d"))).axes) == 4


def test_a_file_without_intervals_is_refused():
    with pytest.raises(InputError, match="mpp infer"):
        estimates(inference().drop_vars("low_viscosity"))
