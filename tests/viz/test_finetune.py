"""Laws of the closing picture: the usable part is shaded, and nothing where nothing is usable."""

import numpy as np
import xarray as xr

from mpp.study.closing import LINE, TUNED, UNTUNED, USABLE
from mpp.viz.finetune import closing_figure


def scores() -> xr.Dataset:
    """Two fields: the first usable up to two of four steps, the second not at all."""
    errors = np.array([[0.1, 0.4, 0.6, 0.8], [0.7, 0.8, 0.9, 1.0]])
    factors = np.array([1.0, 1.5, 3.0, 2.0])
    values = factors[:, None, None, None] * errors[None, :, :, None] * np.array([0.9, 1.1])
    dims = ("model", "field", "lead_time", "sample")
    coords = {
        "model": [TUNED, UNTUNED, LINE, "persistence"],
        "field": ["height", "velocity_x"],
        "units": ("field", ["m", "m s-1"]),
        "lead_time": ("lead_time", 0.5 * np.arange(1, 5), {"units": "s"}),
        "step": ("lead_time", np.arange(1, 5)),
    }
    return xr.Dataset({"vrmse": (dims, values, {"units": "1"})}, coords, {"system": "mine"})


def test_the_usable_part_is_shaded_and_the_limit_drawn():
    figure = closing_figure(scores())
    figure.draw_without_rendering()
    first, second = figure.axes
    shaded = [
        patch.get_extents().transformed(first.transData.inverted()) for patch in first.patches
    ]
    assert [part.x1 for part in shaded] == [1.0]
    assert not second.patches
    for axes in (first, second):
        lines = {line.get_label(): line for line in axes.get_lines()}
        assert set(lines) >= {TUNED, UNTUNED, LINE, "persistence", "limit of use"}
        assert lines["limit of use"].get_ydata()[0] == USABLE
        low, high = axes.get_ylim()
        assert low < USABLE < high
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][-1] == "limit of use"
    assert "2 windows" in figure.get_suptitle()
