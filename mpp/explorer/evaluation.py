"""The page of an evaluation: a score against lead time, a plot a field, with the baselines."""

from html import escape
from typing import Any

import holoviews as hv
import hvplot.pandas  # noqa: F401  # gives data frames their plots
import numpy as np
import pandas as pd
import panel as pn
import xarray as xr
from bokeh.core.validation import silence
from bokeh.core.validation.warnings import FIXED_SIZING_MODE
from matplotlib.colors import to_hex

from mpp import schema
from mpp.explorer.pictures import quiet
from mpp.explorer.rollout import CONTROL
from mpp.viz import labels
from mpp.viz.curves import LOG_FROM, Lines, line_style, lines, score_names, unit
from mpp.viz.player import text

SIZE = (350, 230)
"""Width and height of a plot, in screen pixels."""
# HoloViews fixes the size of what is inside the axes, and Bokeh wants that of the whole.
silence(FIXED_SIZING_MODE, True)
DASHES = {"--": "dashed", "-": "solid"}


def curve(scores: xr.Dataset, drawn: Lines, model: int, field: int) -> pd.DataFrame:
    """Line and band of one model and field over lead time; NaN where forecasts are not finite."""
    parts = {"low": drawn.low, "middle": drawn.middle, "high": drawn.high}
    found = {name: np.asarray(part[model, field], float) for name, part in parts.items()}
    return pd.DataFrame(
        {"lead": scores["lead_time"].values}
        | {name: np.where(np.isfinite(part), part, np.nan) for name, part in found.items()}
    )


def spans(drawn: Lines) -> bool:
    """Whether the lines of some field are so far apart that an axis should be logarithmic."""
    finite = np.where(np.isfinite(drawn.middle) & (drawn.middle > 0), drawn.middle, np.nan)
    for part in np.moveaxis(finite, 1, 0):
        known = part[np.isfinite(part)]
        if known.size and known.max() > LOG_FROM * known.min():
            return True
    return False


class EvaluationPage:
    """Scores to look through.

    Args:
        scores: An open evaluation file.
        name: What to call it.
    """

    def __init__(self, scores: xr.Dataset, name: str) -> None:
        self.scores = scores
        wide = {"width": CONTROL}
        names = {
            labels.score_label(score).replace(r"\$", "$"): score for score in score_names(scores)
        }
        first = "vrmse" if "vrmse" in names.values() else next(iter(names.values()))
        self.score = pn.widgets.Select(label="score", options=names, value=first, **wide)
        self.models = [str(model) for model in scores["model"].values]
        shown = {text(model, 60): number for number, model in enumerate(self.models)}
        self.chosen = pn.widgets.CheckBoxGroup(
            options=shown, value=list(shown.values()), margin=(0, 10)
        )
        self.log = pn.widgets.Checkbox(label="logarithmic", value=spans(lines(scores, first)))
        told = f"{name} · {text(schema.system(scores), 60)} · {scores.sizes['sample']} samples"
        self.side = pn.Column(
            self.score,
            pn.pane.HTML('<p class="heading">models</p>', width=CONTROL),
            self.chosen,
            pn.pane.HTML('<p class="heading">axis</p>', width=CONTROL),
            self.log,
            pn.pane.HTML(f'<p class="told">{escape(told)}</p>', width=CONTROL),
            width=CONTROL + 20,
            margin=(0, 5, 0, 0),
        )
        self.body = pn.Column(margin=0, sizing_mode="stretch_width")
        self.score.param.watch(self._rescored, "value")
        for widget in (self.chosen, self.log):
            widget.param.watch(self._draw, "value")
        self._draw()

    def _rescored(self, *_: object) -> None:
        fitting = spans(lines(self.scores, self.score.value))
        if self.log.value != fitting:
            self.log.value = fitting  # which draws
        else:
            self._draw()

    def _draw(self, *_: object) -> None:
        score = self.score.value
        drawn = lines(self.scores, score)
        plots = [
            pn.pane.HoloViews(self._plot(drawn, score, number, str(field)), margin=(0, 20, 15, 0))
            for number, field in enumerate(self.scores["field"].values)
        ]
        words = f"{labels.score_label(score)} · {drawn.words}"
        self.body[:] = [
            pn.pane.HTML(
                f'<p class="title">{escape(words)}</p>{self._legend()}', sizing_mode="stretch_width"
            ),
            pn.FlexBox(*plots, sizing_mode="stretch_width", margin=0),
        ]

    def _plot(self, drawn: Lines, score: str, field: int, name: str) -> hv.Overlay:
        """Lines and bands of the chosen models."""
        units = str(self.scores["lead_time"].attrs.get("units", "1"))
        parts: list[hv.Element] = []
        for model in self.chosen.value:
            table = curve(self.scores, drawn, model, field)
            colour, dash, _ = line_style(self.models[model], model)
            look = {"color": _hex(colour), "x": "lead", "hover": False}
            if len(table) and not table["high"].equals(table["low"]):
                parts.append(
                    table.hvplot.area(y="low", y2="high", alpha=0.15, line_width=0, **look)
                )
            kind = _dash(dash)
            parts.append(table.hvplot.line(y="middle", line_width=2, line_dash=kind, **look))
            if len(table) <= 12:
                parts.append(table.hvplot.scatter(y="middle", size=22, **look))
        unit_text = unit(self.scores, score, field)
        drawing: Any = hv.Overlay(parts or [hv.Curve([])])
        return drawing.opts(
            frame_width=SIZE[0],
            frame_height=SIZE[1],
            title=text(name, 60),
            xlabel=text(labels.with_units("lead time", units), 60),
            ylabel=text(labels.with_units(labels.score_label(score), unit_text), 60),
            logy=bool(self.log.value),
            show_grid=True,
            show_legend=False,
            padding=(0.02, 0.08),
            hooks=[lambda plot, _: quiet(plot.state)],
            active_tools=[],
            toolbar="right",
        )

    def _legend(self) -> str:
        """Names of the models beside their lines, apart from the plots so that it covers none."""
        rows = []
        for number, name in enumerate(self.models):
            colour, dash, _ = line_style(name, number)
            kind = "dashed" if dash == "--" else "solid"
            line = f'<i style="border-top:2.5px {kind} {_hex(colour)}"></i>'
            rows.append(f"<span>{line}{escape(text(name, 60))}</span>")
        return f'<p class="legend">{"".join(rows)}</p>'


def _hex(colour: str) -> str:
    return to_hex(colour)


def _dash(dash: object) -> str | list[float]:
    """Dashes of matplotlib as Bokeh takes them."""
    if isinstance(dash, str):
        return DASHES[dash]
    _, pattern = dash  # type: ignore[misc]  # an offset and lengths
    return [2 * length for length in pattern]
