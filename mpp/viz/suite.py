"""A contact sheet of many systems: one run of each, a strip of times or a space-time diagram."""

from collections.abc import Sequence
from math import ceil

import xarray as xr
from matplotlib.figure import Figure, SubFigure

from mpp import schema
from mpp.errors import InputError
from mpp.viz import labels, tiles
from mpp.viz.sheet import thin
from mpp.viz.strips import select
from mpp.viz.style import field_scale, styled

COLUMNS = 2
TIMES = 5
WIDTH, HEIGHT = 7.4, 2.1
"""Inches of a strip."""
PLACE = {"left": 0.09, "right": 0.9, "bottom": 0.24, "top": 0.79, "wspace": 0.08}
"""Where its tiles are, as parts of it; a layout that is computed takes longer than the drawing."""
BAR = (0.915, PLACE["bottom"], 0.012, PLACE["top"] - PLACE["bottom"])


@styled
def suite_sheet(systems: Sequence[xr.Dataset], title: str) -> Figure:
    """Draw the first field of the first run of each system, on a colour scale of its own.

    Two strips stand side by side. A field over a square is shown at up to five times, one over a
    cube on the middle plane of its last axis, one over a line as a space-time diagram.

    Args:
        systems: Runs in the schema, a dataset a system.
        title: Stands above all.

    Raises:
        InputError: There is nothing to draw.
    """
    if not systems:
        raise InputError("no system to draw: give at least one file of runs")
    rows = ceil(len(systems) / COLUMNS)
    figure = Figure(figsize=(COLUMNS * WIDTH, rows * HEIGHT))
    parts = figure.subfigures(rows, COLUMNS, squeeze=False).ravel()
    for part, ds in zip(parts, systems, strict=False):
        _strip(part, ds)
    figure.suptitle(title, y=1 + 0.25 / (rows * HEIGHT))
    return figure


def _strip(figure: SubFigure, ds: xr.Dataset) -> None:
    """A row of tiles with the system and the field above them and the colours beside them."""
    ds, cuts = thin(ds.isel(sample=[0]), TIMES)
    item, values, defined = select(ds, schema.names(ds)[0], 0)
    scale = field_scale(values.where(defined).values, item)
    in_time = cuts[0].horizontal == "time"
    grid = figure.subplots(1, 1 if in_time else TIMES, squeeze=False, gridspec_kw=PLACE)[0]
    for axes in grid[len(cuts) :]:
        axes.set_axis_off()
    for axes, cut in zip(grid, cuts, strict=False):
        tiles.draw(axes, cut.cut(values), cut.cut(defined), scale)
        axes.set_aspect("auto" if cut.shape(ds) is None else "equal")
        axes.set_title(cut.title, fontsize=9)
        tiles.sparse_ticks(axes, WIDTH if in_time else WIDTH / (TIMES + 1), HEIGHT / 2)
        first = axes is grid[0]
        axes.tick_params(labelleft=first, labelbottom=first, labelsize=8)
        axes.set_xlabel(labels.axis_label(ds, cut.horizontal) if first else "")
    grid[0].set_ylabel(labels.axis_label(ds, cuts[0].vertical))
    bar = figure.colorbar(scale.mappable, cax=figure.add_axes(BAR, label="<colorbar>"))
    bar.ax.tick_params(labelsize=8)
    name = labels.with_units(labels.field_label(item), item.units)
    figure.suptitle(f"{labels.system_name(ds)} · {name}", x=0.02, y=0.98, ha="left", fontsize=11)
