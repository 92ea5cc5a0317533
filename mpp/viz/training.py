"""How a training went: its loss, and the errors of each system or field on held-out runs."""

from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpp.errors import InputError
from mpp.viz import labels
from mpp.viz.curves import line_style, set_scale
from mpp.viz.style import styled

SMOOTH = 0.02
"""Share of the rows of the loss over which its drawn line is a running median."""

Lines = dict[str, pd.Series]
"""Columns of a log by the name of their line."""


@styled
def training_curve(path: Path) -> Figure:
    """Draw a training run from the ``metrics.csv`` that `mpp.train.fit` wrote.

    The first panel has the loss and the mean validation error, the others the validation errors at
    each lead time: of each system, or of each field where there is one system only.

    Args:
        path: The file; its column ``step`` counts optimizer steps.

    Raises:
        InputError: Not such a file.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no training log can be read ({error})") from error
    means = {name: _column(table, name).dropna() for name in ("loss", "val") if name in table}
    if "step" not in table or not means:
        found = ", ".join(str(name) for name in table.columns)
        raise InputError(
            f"{path}: expected the columns step and loss or val of a training log, got {found}; "
            "give the metrics.csv of a training run"
        )
    panels = {"loss, and error of one step (val)": means, **_errors(table)}
    figure = Figure(figsize=(1.6 + 3.6 * len(panels), 4.2), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, lines) in zip(grid, panels.items(), strict=True):
        _draw(axes, _column(table, "step"), lines)
        axes.set_title(title)
    grid[0].set_ylabel("relative to copying the last frame")
    grid[0].legend(frameon=False)
    if len(panels) > 1:
        drawn, names = grid[1].get_legend_handles_labels()
        figure.legend(drawn, names, loc="outside lower center", frameon=False, ncols=4)
    return figure


def _errors(table: pd.DataFrame) -> dict[str, Lines]:
    """A panel for each lead time: a line a system, or a line a field of the only system."""
    parts = [str(name).split("/") for name in table.columns if str(name).startswith("val/")]
    systems = sorted({part[1] for part in parts if len(part) < 4})
    if len(systems) > 1:
        ones = {name: _column(table, f"val/{name}") for name in systems}
        chosen = [(part[1], part[2], "/".join(part)) for part in parts if len(part) == 3]
    else:
        ones = {}
        chosen = [(part[2], part[3], "/".join(part)) for part in parts if len(part) == 4]
    later = [(name, lead, _column(table, column)) for name, lead, column in chosen]
    leads = sorted({int(lead) for _, lead, _ in later})
    panels: dict[str, Lines] = {"error of 1 step": ones} if ones else {}
    for lead in leads:
        title = f"error of {lead} step{'s' if lead > 1 else ''}"
        panels[title] = {name: values for name, at, values in later if int(at) == lead}
    return {
        title: {name: values.dropna() for name, values in lines.items()}
        for title, lines in panels.items()
    }


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return cast(pd.Series, table[name])


def _draw(axes: Axes, steps: pd.Series, lines: Lines) -> None:
    for number, (name, values) in enumerate(lines.items()):
        colour, dashes, order = line_style(name, number)
        at = steps[values.index]
        if name == "loss":
            axes.plot(at, values, color=colour, linewidth=0.6, alpha=0.3, zorder=1)
            values = values.rolling(max(1, int(SMOOTH * len(values))), center=True).median()
        marker = "o" if name != "loss" and len(values) <= 40 else None
        axes.plot(
            at, values, color=colour, linestyle=dashes, marker=marker, markersize=3,
            linewidth=1.4, zorder=order, label=labels.plain(name, 40),
        )  # fmt: skip
    every = np.concatenate([values.to_numpy(dtype=np.float64) for values in lines.values()])
    set_scale(axes, every, every)
    axes.set_xlabel("optimizer step")
    axes.spines[["top", "right"]].set_visible(False)
