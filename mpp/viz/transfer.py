"""Learning curves of a transfer study: error against the number of training runs, by arm."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

from mpp.errors import InputError
from mpp.study.compare import TOGETHER, Comparison, compare, tuned_arms
from mpp.study.plan import FULL, SCRATCH
from mpp.viz import labels
from mpp.viz.style import BASELINE_COLOUR, LINE_COLOURS, styled

ORDER = (FULL, SCRATCH, "lora", "head", "gradual")
COLOURS: dict[str, str] = dict(zip(ORDER, LINE_COLOURS, strict=False))
DENSE = 300.0
"""Ratio of the largest to the smallest error up to which 2 and 5 of each decade are labelled."""


def is_transfer(ds: xr.Dataset) -> bool:
    """Whether a dataset is the result of a transfer study."""
    return {"arm", "size", "seed"} <= set(ds.dims)


@styled
def learning_curves(
    ds: xr.Dataset, score: str = "vrmse", lead_steps: Sequence[int] = (1, 5, 20)
) -> Figure:
    """Draw a score against the number of training runs: a row a field, a column a lead time.

    Lines are means over seeds, bands reach from the best seed to the worst, dots are single
    trainings. Where one arm stands beside scratch, a dotted line leads from scratch at its largest
    size to where the other curve reaches the same error. Sizes with negative transfer are crossed.
    Persistence is dashed and grey. A triangle at the top stands for a training that diverged.

    Args:
        ds: A system's result, as `mpp.transfer` gives it.
        score: Name of one of its scores.
        lead_steps: Forecast steps to show.

    Raises:
        InputError: The dataset is not a study's, or holds no such score.
    """
    if not is_transfer(ds):
        raise InputError("no arms, sizes and seeds; give a file that mpp transfer wrote")
    arms = [compare(ds, lead_steps, score, arm) for arm in tuned_arms(ds)]
    found = [parts for parts in zip(*arms, strict=True) if parts[0].field != TOGETHER]
    fields = list(dict.fromkeys(first.field for first, *_ in found))
    steps = list(dict.fromkeys(first.step for first, *_ in found))
    size = (0.9 + 3.2 * len(steps), 1.4 + 2.7 * len(fields))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(fields), len(steps), squeeze=False, sharex=True)
    for parts in found:
        part = parts[0]
        row, column = fields.index(part.field), steps.index(part.step)
        axes: Axes = grid[row, column]
        _panel(axes, parts)
        axes.set_title(f"{labels.plain(part.field)} · step {part.step} ({part.lead_time})")
        if column == 0:
            units = (
                "1" if ds[score].attrs.get("units", "1") == "1" else str(ds["units"][row].item())
            )
            axes.set_ylabel(labels.with_units(labels.score_label(score), units))
        if row == len(fields) - 1:
            axes.set_xlabel("training runs")
    handles = {
        name: line
        for axes in grid.flat
        for line, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", frameon=False, ncols=5
    )
    seeds = ds.sizes["seed"]
    spread = f"mean and range of {seeds} seeds" if seeds > 1 else "one seed"
    between = "\n" if len(steps) < 2 else " · "
    title = f"{labels.system_name(ds)} · {labels.score_label(score)}{between}{spread}"
    figure.suptitle(f"{title}, {int(ds.attrs['max_steps'])} steps a training")
    return figure


def _panel(axes: Axes, parts: Sequence[Comparison]) -> None:
    first = parts[0]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for part in parts:
        _arm(axes, first, part.arm, part.finetuned)
    _arm(axes, first, SCRATCH, first.scratch)
    axes.axhline(
        first.persistence, color=BASELINE_COLOUR, linestyle="--", zorder=2, label="persistence"
    )
    for part in parts:
        places = list(part.worse)
        if places:
            axes.plot(
                np.array(part.sizes)[places], part.means[0][places], "x", color="black",
                markersize=8, mew=1.6, zorder=5, label="negative transfer",
            )  # fmt: skip
    if len(parts) == 1:
        _gain(axes, first)
    axes.xaxis.set_major_locator(FixedLocator(list(first.sizes)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    if high < DENSE * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.spines[["top", "right"]].set_visible(False)


def _arm(axes: Axes, part: Comparison, arm: str, errors: Float[np.ndarray, "size seed"]) -> None:
    """The line of an arm, its band and its dots."""
    sizes, colour = np.array(part.sizes), COLOURS[arm]
    finite = np.where(np.isfinite(errors), errors, np.nan)
    low, high = np.fmin.reduce(finite, 1), np.fmax.reduce(finite, 1)
    axes.plot(sizes, errors.mean(1), color=colour, zorder=3, label=arm)
    if errors.shape[1] > 1:
        axes.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0, zorder=1)
    for seed in range(errors.shape[1]):
        axes.plot(sizes, finite[:, seed], ".", color=colour, markersize=5, zorder=3)
    lost = sizes[~np.isfinite(errors).all(1)]
    if lost.size:
        axes.plot(
            lost, np.full(lost.size, 0.97), "^", color=colour, markersize=6, zorder=5,
            transform=axes.get_xaxis_transform(), label=f"{arm}, diverged",
        )  # fmt: skip


def _gain(axes: Axes, part: Comparison) -> None:
    """The efficiency gain at the largest size, as a way along the horizontal."""
    needed, level = part.needed, float(part.means[1][-1])
    if needed.sign == ">" or not np.isfinite(level) or len(part.sizes) < 2:
        return
    ends = [needed.value, float(part.sizes[-1])]
    axes.plot(ends, [level, level], ":", color="0.2", linewidth=1.2, zorder=4)
    axes.annotate(
        f"EG {part.efficiency_gains[-1]}", (np.sqrt(ends[0] * ends[1]), level), (0, -3),
        textcoords="offset points", ha="center", va="top", fontsize=8, zorder=6,
    )  # fmt: skip
