"""The picture of the comparison: error against step, a column a system."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from peer_arms import DEFAULT, PERSISTENCE
from peer_report import Key, Kind, Scores, label, over_seeds

from mpp.viz.labels import plain
from mpp.viz.style import BASELINE_COLOUR, LINE_COLOURS, styled

ROWS = {"one model a system": ("alone",), "one model for all systems": ("suite", "finetuned")}


@styled
def figure(result: Mapping[str, Any]) -> Figure:
    """VRMSE against step: specialists above, models of the whole suite, if there are any, below.

    Lines are means over seeds, bands reach one standard deviation to each side; persistence is
    dashed and grey. A line ends where a forecast diverged.
    """
    scores, systems = over_seeds(result["trainings"]), result["systems"]
    kinds = list(dict.fromkeys(key.kind for key in scores))
    arms = [arm for arm in result["arms"] if arm != PERSISTENCE]
    rows = {
        title: stages for title, stages in ROWS.items() if any(kind[0] in stages for kind in kinds)
    }
    size = (1.6 + 2.6 * len(systems), 1.0 + 2.7 * len(rows))
    drawn = Figure(figsize=size, layout="constrained")
    axes = drawn.subplots(len(rows), len(systems), squeeze=False, sharex=True, sharey="col")
    for row, (title, stages) in enumerate(rows.items()):
        chosen = [kind for kind in kinds if kind[0] in (*stages, PERSISTENCE)]
        for column, system in enumerate(systems):
            panel: Axes = axes[row, column]
            for kind in chosen:
                _draw(panel, scores, kind, system, arms)
            _set_scales(panel)
            if row == 0:
                panel.set_title(plain(system))
            if row == len(rows) - 1:
                panel.set_xlabel("step")
        axes[row, 0].set_ylabel(f"VRMSE, {title}")
        handles, names = axes[row, 0].get_legend_handles_labels()
        axes[row, -1].legend(
            handles, names, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False
        )
    counts = sorted({one["test"] for one in result["runs"].values()})
    seeds = "1 seed" if result["seeds"] == 1 else f"{result['seeds']} seeds"
    drawn.suptitle(
        f"{result['study']['budget']:g} s of training a system · mean over fields and "
        f"{' to '.join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))} test runs"
        f" · {seeds}"
    )
    return drawn


def _draw(panel: Axes, scores: Scores, kind: Kind, system: str, arms: Sequence[str]) -> None:
    stage, arm = kind
    steps = sorted({key.step for key in scores if key.system == system})
    line = [scores[Key(stage, arm, system, "vrmse", step)] for step in steps]
    mean, spread = np.array(line).T
    mean = np.where(np.isfinite(mean), mean, np.nan)
    spread = np.where(np.isfinite(spread), spread, 0)  # a single seed has none
    if arm == PERSISTENCE:
        colour, dash = BASELINE_COLOUR, "--"
    else:
        colour = LINE_COLOURS[arms.index(arm) % len(LINE_COLOURS)]
        dash = ":" if stage == "finetuned" else "-"
    panel.plot(
        steps, mean, color=colour, linestyle=dash, label=label(stage, arm),
        zorder=4 if arm == DEFAULT else 3,
    )  # fmt: skip
    panel.fill_between(steps, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)


def _set_scales(panel: Axes) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    low, high = panel.get_xlim()
    ticks = [step for step in (1, 2, 5, 10, 20, 50, 100) if low <= step <= high]
    panel.set_xticks(ticks, [str(step) for step in ticks])
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.spines[["top", "right"]].set_visible(False)
