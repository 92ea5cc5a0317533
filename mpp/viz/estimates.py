"""Numbers of the equation as a model reads them, against the true ones."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mpp.errors import InputError
from mpp.viz import labels
from mpp.viz.style import BASELINE_COLOUR, LINE_COLOURS, styled

COLUMNS = 3
LOG_FROM = 5.0
"""Ratio of the largest to the smallest number from which the axes are logarithmic."""


def estimate_names(ds: xr.Dataset) -> tuple[str, ...]:
    """The numbers that an inference file estimates: those with an interval."""
    names = [str(name) for name in ds.data_vars]
    return tuple(n for n in names if f"low_{n}" in names and f"high_{n}" in names)


@styled
def estimates(ds: xr.Dataset) -> Figure:
    """Draw every estimate with its interval, one panel a number.

    Against the true number where the file holds it, with the share of the intervals that hold it;
    by run where it does not.

    Args:
        ds: A file that `mpp.infer` made.

    Raises:
        InputError: The dataset holds no estimates.
    """
    names = estimate_names(ds)
    if not names:
        raise InputError("no estimates with intervals; give a file that mpp infer wrote")
    columns = min(len(names), COLUMNS)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(0.8 + 3.4 * columns, 1.0 + 3.0 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        _panel(axes, ds, name)
    for axes in list(grid.flat)[len(names) :]:
        axes.remove()
    frames = int(ds.attrs.get("history_frames", 0))
    title = f"{labels.system_name(ds)} · estimates from {frames} frame{'s' if frames > 1 else ''}"
    trained = any("trained_low" in ds[name].attrs for name in names)
    figure.suptitle(title + (" · grey: the range in training" if trained else ""))
    return figure


def _panel(axes: Axes, ds: xr.Dataset, name: str) -> None:
    middle, low, high = (np.asarray(ds[f"{kind}{name}"]) for kind in ("", "low_", "high_"))
    known = f"truth_{name}" in ds
    place = np.asarray(ds[f"truth_{name}"]) if known else np.arange(middle.size, dtype=float)
    reach = np.stack([middle - low, high - middle])
    axes.errorbar(place, middle, reach, fmt="o", ms=3.5, lw=0.9, color=LINE_COLOURS[0], zorder=2)
    title = labels.plain(name).replace("_", " ")
    label = labels.with_units(title, str(ds[name].attrs.get("units", "1")))
    axes.set_ylabel(f"estimate: {label}")
    axes.set_title(title)
    if not known:
        axes.set_xlabel("run")
        return
    held = float(np.mean((low <= place) & (place <= high)))
    axes.set_title(f"{title} · {held:.0%} of the intervals hold it", fontsize="medium")
    axes.set_xlabel(f"true: {label}")
    ends = [min(place.min(), middle.min()), max(place.max(), middle.max())]
    axes.plot(ends, ends, color=BASELINE_COLOUR, lw=1, ls="--", zorder=1)
    if "trained_low" in ds[name].attrs:
        trained = [float(ds[name].attrs[f"trained_{end}"]) for end in ("low", "high")]
        axes.axvspan(*trained, color=BASELINE_COLOUR, alpha=0.12, lw=0, zorder=0)
    if ends[0] > 0 and ends[1] > LOG_FROM * ends[0]:
        axes.set_xscale("log")
        axes.set_yscale("log", nonpositive="clip")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
