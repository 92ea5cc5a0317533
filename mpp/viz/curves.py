"""Errors against lead time, with their spread over runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from mpp.errors import InputError
from mpp.metrics.bootstrap import by_run
from mpp.viz import labels
from mpp.viz.style import BASELINE_COLOUR, LINE_COLOURS, styled

DIMS = ("model", "field", "lead_time", "sample")
BASELINE = "persistence"
LOG_FROM = 20.0
"""Ratio of the largest to the smallest median from which the axis is logarithmic."""
DENSE = 300.0
"""Ratio of the largest to the smallest median up to which 2 and 5 of each decade are labelled."""
BAND_ROOM = 4.0
"""Times the largest median up to which bands are shown in full."""
HUGE = 1e300
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
COLUMNS = 3


def score_names(ds: xr.Dataset) -> tuple[str, ...]:
    """The scores of an evaluation file: its variables over model, field, lead time and sample."""
    return tuple(str(name) for name, value in ds.data_vars.items() if set(value.dims) == set(DIMS))


@dataclass(frozen=True)
class Lines:
    """A score against lead time as it is drawn; infinite where forecasts are not finite.

    Args:
        low: Lower border of the band.
        middle: The line.
        high: Upper border of the band.
        words: What line and band are.
    """

    low: Float[np.ndarray, "model field lead"]
    middle: Float[np.ndarray, "model field lead"]
    high: Float[np.ndarray, "model field lead"]
    words: str


def lines(scores: xr.Dataset, score: str) -> Lines:
    """The mean over runs with its interval, where the file holds one, else median and quartiles.

    `mpp.metrics.with_intervals` makes the intervals: of the mean, by resampling the runs.

    Raises:
        InputError: The dataset holds no such score.
    """
    if score not in score_names(scores):
        known = ", ".join(score_names(scores)) or "none"
        raise InputError(f"no score {score!r} over {', '.join(DIMS)}; the file has: {known}")
    values = scores[score].transpose(*DIMS)
    if f"{score}_interval" not in scores:
        low, middle, high = quartiles(values.values)
        samples = scores.sizes["sample"]
        words = f"median and quartiles of {samples} samples" if samples > 1 else "1 sample"
        return Lines(low, middle, high, words)
    bounds = scores[f"{score}_interval"].transpose(*DIMS[:3], "bound")
    of_runs = by_run(scores.assign({score: values}), score)
    found = (bounds.sel(bound="low").values, of_runs.mean(-1), bounds.sel(bound="high").values)
    level = f"{100 * float(scores.attrs['interval_level']):g} %"
    words = f"mean of {of_runs.shape[-1]} runs, band: {level} bootstrap interval of the mean"
    low, middle, high = (np.where(np.isfinite(part), part, np.inf) for part in found)
    return Lines(low, middle, high, words)


@styled
def curves(scores: xr.Dataset, score: str) -> Figure:
    """Draw a score against lead time, one panel a field, one line a model.

    Lines are means over the runs and bands the intervals of these means where the file holds such,
    as `mpp evaluate` writes them; else lines are medians over the samples and bands reach from the
    lower to the upper quartile. A forecast that is not finite counts as the worst; where the line
    itself is not finite it ends in a cross. Persistence is dashed and grey.

    Args:
        scores: An evaluation file.
        score: Name of one of its scores.

    Raises:
        InputError: The dataset holds no such score.
    """
    drawn = lines(scores, score)
    values = scores[score].transpose(*DIMS)
    fields = [str(name) for name in values["field"].values]
    figure, panels = panel_grid(len(fields))
    columns, named = _columns(len(fields)), labels.score_label(score)
    for number, (axes, field) in enumerate(zip(panels, fields, strict=True)):
        _draw_field(axes, values.sel(field=field), drawn, number)
        axes.set_title(labels.plain(field))
        if number % columns == 0 or unit(scores, score, number) != "1":
            axes.set_ylabel(labels.with_units(named, unit(scores, score, number)))
        if number + columns >= len(fields):
            axes.set_xlabel(_lead_label(scores))
    handles, names = panels[0].get_legend_handles_labels()
    wide = max(len(name) for name in names) > 16
    figure.legend(
        handles, names, loc="outside lower center", frameon=False, ncols=columns if wide else 4
    )
    between = "\n" if columns < 3 else " · "
    figure.suptitle(f"{labels.system_name(scores)} · {named}{between}{drawn.words}")
    return figure


def panel_grid(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with panels in rows of up to three that share what is along them."""
    columns = _columns(count)
    rows = -(-count // columns)
    figure = Figure(figsize=(1.2 + 3.4 * columns, 1.4 + 2.6 * rows), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False, sharex=True).flat)
    for axes in grid[count:]:
        axes.remove()
    for axes in grid[max(0, count - columns) : count]:
        axes.tick_params(labelbottom=True)
    return figure, grid[:count]


def label_bottom(panels: Sequence[Axes], label: str) -> None:
    """Label the horizontal of the lowest panel of each column."""
    for axes in panels[-_columns(len(panels)) :]:
        axes.set_xlabel(label)


def _columns(count: int) -> int:
    return 2 if count == 4 else min(count, COLUMNS)


def quartiles(values: np.ndarray) -> np.ndarray:
    """Lower quartile, median and upper quartile over the last axis; not finite counts as infinite.

    Args:
        values: Scores, (..., sample).

    Returns:
        Array (3, ...), infinite where a quartile falls among forecasts that are not finite.
    """
    finite = np.isfinite(values)
    found = np.quantile(np.where(finite, values, HUGE), [0.25, 0.5, 0.75], axis=-1)
    largest = np.max(values, axis=-1, where=finite, initial=-np.inf)
    bound = np.maximum(largest * (1 + 1e-12), largest * (1 - 1e-12))
    return np.where(found > bound, np.inf, found)


def _draw_field(axes: Axes, values: xr.DataArray, drawn: Lines, field: int) -> None:
    """The lines and bands of all models for one field."""
    lead = values["lead_time"].values
    middles, tops = drawn.middle[:, field], drawn.high[:, field]
    for number, name in enumerate(str(model) for model in values["model"].values):
        low, middle, high = (part[number, field] for part in (drawn.low, drawn.middle, drawn.high))
        colour, dash, order = line_style(name, number)
        marker = "o" if lead.size <= 12 else None
        shown = np.isfinite(middle)
        axes.plot(
            lead, np.where(shown, middle, np.nan), color=colour, linestyle=dash, marker=marker,
            markersize=4, zorder=order, label=labels.plain(name, 40),
        )  # fmt: skip
        if values.sizes["sample"] > 1:
            top = np.where(np.isfinite(high), high, np.nan)
            axes.fill_between(lead, low, top, color=colour, alpha=0.15, linewidth=0, zorder=1)
        if shown.any() and not shown.all():
            last = int(np.flatnonzero(shown)[-1])
            axes.plot(lead[last], middle[last], "x", color=colour, markersize=9, mew=2, zorder=5)
    if values.attrs.get("best") == "highest":
        finite = middles[np.isfinite(middles)]
        axes.set_ylim(min(0.0, 1.1 * float(finite.min(initial=0))), 1.05)
    else:
        set_scale(axes, middles, tops)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.spines[["top", "right"]].set_visible(False)


def line_style(name: str, number: int) -> tuple[str, object, int]:
    """Colour, dashes and order of a model's line."""
    if name == BASELINE:
        return BASELINE_COLOUR, "--", 2
    turn = number // len(LINE_COLOURS)
    return LINE_COLOURS[number % len(LINE_COLOURS)], DASHES[turn % len(DASHES)], 3


def set_scale(axes: Axes, lines: np.ndarray, tops: np.ndarray) -> None:
    """Logarithmic where the lines span a large ratio, else linear from zero; bands get room."""
    finite = lines[np.isfinite(lines)]
    positive = finite[finite > 0]
    if not positive.size:
        return
    low, high = float(positive.min()), float(positive.max())
    top = min(float(tops[np.isfinite(tops)].max(initial=high)), BAND_ROOM * high)
    if high <= LOG_FROM * low:
        axes.set_ylim(0, 1.1 * top)
        return
    axes.set_yscale("log")
    axes.set_ylim(low / 1.6, top * 1.6)
    if high < DENSE * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def unit(scores: xr.Dataset, score: str, field: int) -> str:
    """Unit of a score for one of the fields."""
    if str(scores[score].attrs.get("units", "1")) == "1" or "units" not in scores.coords:
        return "1"
    return str(scores["units"].values[field])


def _lead_label(scores: xr.Dataset) -> str:
    lead = scores["lead_time"]
    units = str(lead.attrs.get("units", "1"))
    label = labels.with_units("lead time", units)
    if "step" in scores.coords:
        step = float(lead[0]) / float(scores["step"][0])
        label += f", {labels.quantity(step, units)} a step"
    return label
