"""A contact sheet of a dataset: what its runs look like, one row a run, one column a time."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpp import schema
from mpp.viz import labels, tiles
from mpp.viz.panels import WIDE, spread
from mpp.viz.strips import select
from mpp.viz.style import Scale, field_scale, styled
from mpp.viz.tiles import Tile

RUNS = 6
TIMES = 6
TIMES_WIDE = 3
PARAMETERS = 3


@styled
def sheet(ds: xr.Dataset, field: str) -> Figure:
    """Draw one field of up to six runs at up to six times, all on one colour scale.

    A one-dimensional field is drawn as a space-time diagram a run, a three-dimensional one on the
    middle plane of its last axis. The parameters of each run stand beside it.

    Args:
        ds: Runs in the schema.
        field: Name of the field.

    Raises:
        InputError: No such field.
    """
    ds, cuts = thin(ds)
    runs = spread(ds.sizes["sample"], RUNS)
    parts = {run: select(ds, field, run) for run in runs}
    item = parts[0][0]
    shown = [cut.cut(v.where(d)).values for _, v, d in parts.values() for cut in cuts]
    scale = field_scale(np.concatenate([part.ravel() for part in shown]), item)
    figure, grid = _grid(ds, cuts, len(runs))
    for row, (run, (_, values, defined)) in enumerate(parts.items()):
        for column, cut in enumerate(cuts):
            axes: Axes = grid[row, column]
            tiles.draw(axes, cut.cut(values), cut.cut(defined), scale)
            axes.set_aspect("auto" if cut.shape(ds) is None else "equal")
            axes.set_title(cut.title if row == 0 else "")
            axes.tick_params(labelleft=column == 0, labelbottom=row == len(runs) - 1)
        grid[row, 0].set_ylabel(labels.axis_label(ds, cuts[0].vertical))
        _note(grid[row, -1], _describe(ds, run))
    for axes, cut in zip(grid[-1], cuts, strict=True):
        axes.set_xlabel(labels.axis_label(ds, cut.horizontal))
    _colour_bar(figure, grid, scale, labels.with_units(labels.field_label(item), item.units))
    figure.suptitle(f"{labels.system_name(ds)} · {labels.field_label(item)}")
    return figure


def thin(ds: xr.Dataset, times: int | None = None) -> tuple[xr.Dataset, list[Tile]]:
    """The frames and the plane that are shown, so that nothing else is read, and their cuts.

    Args:
        ds: Runs in the schema.
        times: Frames at most, spread evenly; by default as many as fit beside each other. A
            one-dimensional field has all in one cut.
    """
    axes = schema.space_axes(ds)
    if len(axes) == 1:
        return ds, tiles.space_time(ds)
    if len(axes) == 3:
        ds = ds.isel({axes[-1]: [ds.sizes[axes[-1]] // 2]})
    times = times or (TIMES_WIDE if _is_wide(ds) else TIMES)
    ds = ds.isel(time=spread(ds.sizes["time"], times))
    units = str(ds["time"].attrs.get("units", "1"))
    titles = [f"t = {labels.quantity(float(time), units)}" for time in ds["time"].values]
    return ds, tiles.snapshots(ds, range(len(titles)), titles)[: len(titles)]


def _is_wide(ds: xr.Dataset) -> bool:
    shape = tiles.snapshots(ds, [0], [""])[0].shape(ds)
    return shape is not None and shape < WIDE


def _grid(ds: xr.Dataset, cuts: list[Tile], rows: int) -> tuple[Figure, np.ndarray]:
    """A figure with a row of panels of the physical shape for each run."""
    shape = cuts[0].shape(ds)
    if cuts[0].horizontal == "time":
        width, height = 6.5, 1.2
    else:
        width = 3.0 if _is_wide(ds) else 1.5
        height = float(np.clip(width * (shape or 1.0), 0.5, 3.0))
    size = (width * len(cuts) + 2.4, height * rows + 0.15 * rows + 1.6)
    fixed = shape is not None and height / shape > 0.9 * width
    figure = Figure(figsize=size, layout="compressed" if fixed else "constrained")
    grid = figure.subplots(rows, len(cuts), squeeze=False)
    for axes in grid.flat:
        tiles.sparse_ticks(axes, width, height)
    return figure, grid


def _describe(ds: xr.Dataset, run: int) -> str:
    """The number of a run and its first parameters."""
    lines = [f"run {run}"]
    for item in schema.fields(ds, "parameter")[:PARAMETERS]:
        value = ds[item.name].isel(sample=run) if "sample" in ds[item.name].dims else ds[item.name]
        if value.ndim == 0:
            number = labels.quantity(float(f"{float(value):.3g}"), item.units)
            lines.append(f"{labels.plain(item.name, 16)} {number}")
    return "\n".join(lines)


def _note(axes: Axes, text: str) -> None:
    axes.annotate(
        text, (1, 0.5), (8, 0), xycoords="axes fraction", textcoords="offset points",
        ha="left", va="center", fontsize=9,
    )  # fmt: skip


def _colour_bar(figure: Figure, grid: np.ndarray, scale: Scale, label: str) -> None:
    bar = figure.colorbar(
        scale.mappable, ax=list(grid.flat), location="bottom", aspect=40, shrink=0.6, pad=0.02
    )
    bar.set_label(label)
