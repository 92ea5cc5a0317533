"""Truth, prediction and error of one field of a rollout, side by side over lead times."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from mpp import schema
from mpp.fields import Field
from mpp.viz import labels, tiles
from mpp.viz.strips import Strip, score_text, select, strips
from mpp.viz.style import styled
from mpp.viz.tiles import Tile

ALONE = ("error", "spread")
"""What has a colour scale of its own; truth and prediction share one."""
COLUMNS = 5
COLUMNS_3D = 2
WIDE = 0.45
"""A domain with less height than this part of its width gets a row, not a column, a lead time."""
TEXT_WIDTH = 9.5
"""Inches that the panels share where each takes its physical shape."""
LEAST_WIDTH = 1.25
"""Inches that the title of a panel needs."""


@styled
def panels(
    ds: xr.Dataset, field: str, sample: int = 0, frames: Sequence[int] | None = None
) -> Figure:
    """Draw one field of one run of a rollout; without a known truth, the prediction alone.

    Truth and prediction share one colour scale, the range of the truth over the frames shown; what
    goes beyond is marked at the ends of the colour bar. The error has a scale of its own. Points
    that are not finite are hatched, points outside a mask grey.

    Args:
        ds: A rollout, with ``truth_FIELD`` beside ``FIELD`` where the truth is known.
        field: Name of the field.
        sample: Which run.
        frames: Which predicted frames, counted from 0; by default up to five, evenly placed. Of a
            one-dimensional field these are the frames of one space-time diagram, by default all.

    Raises:
        InputError: No such field or run.
    """
    rank = len(schema.space_axes(ds))
    if frames is None:
        wanted = {1: ds.sizes["time"], 2: COLUMNS, 3: COLUMNS_3D}[rank]
        frames = spread(ds.sizes["time"], wanted)
    leads = _leads(ds, frames)
    ds = ds.isel(time=list(frames))
    item, values, defined = select(ds, field, sample)
    rows = strips(ds, field, sample)
    cuts = tiles.space_time(ds) if rank == 1 else tiles.snapshots(ds, range(len(leads)), leads)
    title = f"{labels.system_name(ds)} · {labels.field_label(item)} · run {sample}"
    if rank == 1:
        title += f" · {leads[0]} to {leads[-1].removeprefix('lead ')}"
    if not np.isfinite(values.where(defined, 0.0).values).all():
        title += "\nhatched: not finite"
    picture = Picture(ds, cuts, rows, defined)
    figure = picture.draw()
    picture.add_colour_bars(figure, item)
    figure.suptitle(title)
    return figure


def spread(total: int, wanted: int) -> list[int]:
    """At most ``wanted`` indices below ``total``, evenly placed, with the first and the last."""
    return sorted({int(i) for i in np.linspace(0, total - 1, min(wanted, total)).round()})


def lead_times(ds: xr.Dataset) -> np.ndarray:
    """Time since the last frame of the history; the time itself where that is not known."""
    time = np.asarray(ds["time"].values, dtype=np.float64)
    if "history_end" in ds.attrs:
        return time - float(ds.attrs["history_end"])
    return time - (2 * time[0] - time[1]) if time.size > 1 else time


def lead_label(ds: xr.Dataset) -> str:
    """``lead time`` with its unit."""
    return labels.with_units("lead time", str(ds["time"].attrs.get("units", "1")))


def _leads(ds: xr.Dataset, frames: Sequence[int]) -> list[str]:
    units, leads = str(ds["time"].attrs.get("units", "1")), lead_times(ds)
    return [f"lead {labels.quantity(float(leads[i]), units)}" for i in frames]


@dataclass
class Picture:
    """A grid of panels: strips as rows and cuts as columns, turned round for wide domains.

    Args:
        ds: Where coordinates and units come from.
        cuts: What is cut out of each strip.
        strips: Truth, prediction and error, or the prediction alone.
        defined: True inside the mask, over (time, *space).
    """

    ds: xr.Dataset
    cuts: Sequence[Tile]
    strips: Sequence[Strip]
    defined: xr.DataArray

    def __post_init__(self) -> None:
        self.shapes = [cut.shape(self.ds) for cut in self.cuts]
        self.in_time = self.cuts[0].horizontal == "time"
        wide = all(shape is not None and shape < WIDE for shape in self.shapes)
        alone = len(self.cuts) == 1
        self.upright = self.in_time or wide == alone

    def draw(self) -> Figure:
        """The figure with its panels and labels, without colour bars."""
        widths, heights = self.sizes()
        size = (sum(widths) + 0.2 * len(widths) + 1.7, sum(heights) + 0.3 * len(heights) + 1.1)
        fixed = all(shape is not None and heights[0] / shape > LEAST_WIDTH for shape in self.shapes)
        figure = Figure(figsize=size, layout="compressed" if fixed else "constrained")
        self.draw_into(figure)
        return figure

    def draw_into(self, figure: FigureBase) -> None:
        """Panels and labels on a figure of the right size, or on a part of one."""
        widths, heights = self.sizes()
        ratios = {"width_ratios": widths, "height_ratios": heights}
        grid = figure.subplots(len(heights), len(widths), squeeze=False, gridspec_kw=ratios)
        self.grid = grid if self.upright else grid.T
        for axes, shape in zip(self.grid.T, self.shapes, strict=True):
            for panel in axes:
                panel.set_aspect("auto" if shape is None else "equal")
                tiles.sparse_ticks(panel, min(widths), min(heights))
        self.fill(self.cuts)

    def fill(self, cuts: Sequence[Tile]) -> None:
        """Show other cuts of the same planes, such as those of another frame."""
        self.cuts = cuts
        for row, strip in enumerate(self.strips):
            for column, cut in enumerate(cuts):
                axes: Axes = self.grid[row, column]
                for old in (*axes.images, *axes.collections, *axes.texts):
                    old.remove()
                aspect = axes.get_aspect()
                tiles.draw(axes, cut.cut(strip.values), cut.cut(self.defined), strip.scale)
                axes.set_aspect(aspect)
                self._label(axes, row, column)

    def add_colour_bars(self, figure: FigureBase, field: Field, whole: bool = False) -> None:
        """One bar for truth and prediction together, one for the error.

        Args:
            figure: The figure that was drawn into.
            field: What is shown, for its name and unit.
            whole: Whether the ends of a bar tell of all values, not of those on the cuts alone.
        """
        alone = [[row] for row, strip in enumerate(self.strips) if strip.name in ALONE]
        shared = [row for row, strip in enumerate(self.strips) if strip.name not in ALONE]
        for rows in (shared, *alone):
            first = self.strips[rows[0]]
            parts = [self.strips[row].values for row in rows]
            if not whole:
                parts = [cut.cut(part) for part in parts for cut in self.cuts]
            bar = figure.colorbar(
                first.scale.mappable,
                ax=list(self.grid[rows].flat),
                location="right" if self.upright else "bottom",
                extend=first.scale.extend(np.concatenate([part.values.ravel() for part in parts])),
                aspect=15 * len(rows),
                pad=0.02,
            )
            what = first.name if first.name in ALONE else labels.field_label(field)
            bar.set_label(labels.with_units(what, field.units))

    def sizes(self) -> tuple[list[float], list[float]]:
        """Widths of the columns and heights of the rows, in inches."""
        rows, shapes = len(self.strips), [shape or 1.0 for shape in self.shapes]
        if self.in_time:
            return [6.5], [1.6] * rows
        if not self.upright:
            return [3.2] * rows, [max(3.2 * shape, 0.4) for shape in shapes]
        height = float(np.clip(TEXT_WIDTH / sum(1 / shape for shape in shapes), 0.75, 2.8))
        return [max(height / shape, LEAST_WIDTH) for shape in shapes], [height] * rows

    def _label(self, axes: Axes, row: int, column: int) -> None:
        """Titles, axis labels at the rim only, and a score above each panel of the error."""
        cut, strip = self.cuts[column], self.strips[row]
        across, up = (column, row) if self.upright else (row, column)
        scored = strip.scores and "time" in cut.place
        score = score_text(strip.scores[cut.place["time"]]) if scored else ""
        if score and len(cut.place) > 1:
            score += " in 3-D"  # of all of it, not of the plane
        if self.upright:
            axes.set_title("\n".join(filter(None, [cut.title if up == 0 else "", score])))
            side = f"{strip.name}\n"
        else:
            axes.set_title(strip.name if up == 0 else "")
            axes.set_title(score, loc="right")
            axes.set_title(cut.title if across == 0 else "", loc="left")
            side = ""
        vertical = labels.axis_label(self.ds, cut.vertical)
        if across == 0:
            axes.set_ylabel(side + vertical)
        elif self.upright and self.cuts[column - 1].plane != cut.plane:
            axes.set_ylabel(vertical)
        else:
            axes.tick_params(labelleft=False)
        if up == self.grid.shape[0 if self.upright else 1] - 1:
            axes.set_xlabel(labels.axis_label(self.ds, cut.horizontal))
        else:
            axes.tick_params(labelbottom=False)
