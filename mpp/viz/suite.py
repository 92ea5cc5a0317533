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
TILE = 1.25
"""Inches along each side of a tile."""


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
    size = (COLUMNS * (TIMES * TILE + 1.1), rows * (TILE + 0.75) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    parts = figure.subfigures(rows, COLUMNS, squeeze=False, wspace=0.02).ravel()
    for part, ds in zip(parts, systems, strict=False):
        _strip(part, ds)
    figure.suptitle(title)
    return figure


def _strip(figure: SubFigure, ds: xr.Dataset) -> None:
    """A row of tiles with the system and the field above them and the colours beside them."""
    ds, cuts = thin(ds.isel(sample=[0]), TIMES)
    item, values, defined = select(ds, schema.names(ds)[0], 0)
    scale = field_scale(values.where(defined).values, item)
    in_time = cuts[0].horizontal == "time"
    grid = figure.subplots(1, 1 if in_time else TIMES, squeeze=False)[0]
    for axes in grid[len(cuts) :]:
        axes.set_axis_off()
    for axes, cut in zip(grid, cuts, strict=False):
        tiles.draw(axes, cut.cut(values), cut.cut(defined), scale)
        axes.set_aspect("auto" if cut.shape(ds) is None else "equal")
        axes.set_title(cut.title, fontsize=9)
        tiles.sparse_ticks(axes, TIMES * TILE if in_time else TILE, TILE)
        axes.tick_params(labelleft=axes is grid[0], labelsize=8)
        axes.set_xlabel(labels.axis_label(ds, cut.horizontal) if axes is grid[0] else "")
    grid[0].set_ylabel(labels.axis_label(ds, cuts[0].vertical))
    bar = figure.colorbar(scale.mappable, ax=list(grid), location="right", aspect=12, pad=0.01)
    bar.ax.tick_params(labelsize=8)
    name = labels.with_units(labels.field_label(item), item.units)
    figure.suptitle(f"{labels.system_name(ds)} · {name}", x=0.01, ha="left", fontsize=11)
