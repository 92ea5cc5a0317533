"""The closing picture of a finetuning: errors against lead time, and how far they can be used."""

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpp.metrics.valid import USABLE
from mpp.study.closing import reaches
from mpp.viz import labels
from mpp.viz.curves import curves
from mpp.viz.style import styled


@styled
def closing_figure(scores: xr.Dataset) -> Figure:
    """Draw VRMSE against lead time, the usable part shaded, its limit dotted.

    Args:
        scores: What `mpp.study.closing.score` gave.
    """
    figure = curves(scores, "vrmse")
    for axes, reach in zip(figure.axes, reaches(scores), strict=True):
        _mark(axes, reach.lead_time)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legends[0].remove()
    figure.legend(handles, names, loc="outside lower center", frameon=False, ncols=3)
    samples = scores.sizes["sample"]
    spread = f"median and quartiles of {samples} windows" if samples > 1 else "one window"
    title = f"{labels.system_name(scores)} · held-out frames\n{spread}"
    figure.suptitle(title)
    return figure


def _mark(axes: Axes, usable: float) -> None:
    axes.axhline(USABLE, color="0.2", linestyle=":", linewidth=1, zorder=2, label="limit of use")
    if usable:
        low = axes.get_xlim()[0]
        axes.axvspan(low, usable, color="0.5", alpha=0.1, linewidth=0, zorder=0)
        axes.set_xlim(left=low)
    low, high = axes.get_ylim()
    axes.set_ylim(low, max(high, 1.15 * USABLE))
