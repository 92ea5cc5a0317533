"""Lines that change in place: a cross-section, a time series, a spectrum."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from bokeh.events import Tap
from bokeh.models import (
    BasicTickFormatter,
    BoxAnnotation,
    ColumnDataSource,
    FixedTicker,
    Label,
    Span,
)

from mpp.explorer.pictures import FONT, INK, SOFT, plot, reach
from mpp.explorer.reading import Part
from mpp.viz.style import LINE_COLOURS, Scale

LOOKS: dict[str, dict[str, Any]] = {
    "truth": {"line_color": INK},
    "prediction": {"line_color": LINE_COLOURS[1], "line_dash": [6, 3]},
    "data": {"line_color": LINE_COLOURS[0]},
}
"""As `mpp.viz.style` has them; an error has no line of its own, it is the gap between two."""
RANGE = 1e-14
"""Part of the largest energy below which nothing is shown, as in `mpp.viz.spectra`."""

MARKS = 5
"""Ticks at most along a logarithmic axis."""


def round_values(across: np.ndarray) -> list[float]:
    """1, 2 and 5 of each decade within a range, or of each the 1 alone where it is wide."""
    low, high = float(across[0]), float(across[-1])
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [float(step * decade) for decade in decades for step in steps]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) <= MARKS:
            return found
    return found[:: -(-len(found) // MARKS)]


class Chart:
    """Lines of truth and prediction over one horizontal axis, with an upright line at a place.

    Args:
        name: Its name among the page's models.
        parts: Which lines there are.
        size: Width and height of the picture itself, in screen pixels.
        logarithmic: Whether both axes are.
        tapped: Called with the place along the horizontal that a user taps or clicks.
    """

    def __init__(
        self,
        name: str,
        parts: tuple[Part, ...],
        size: tuple[int, int],
        logarithmic: bool = False,
        tapped: Callable[[float], None] | None = None,
    ) -> None:
        self.logarithmic = logarithmic
        self.plot = plot(name, size, "log" if logarithmic else "linear")
        self.plot.grid.grid_line_color = "#eef1f4"
        self.sources = {
            part: ColumnDataSource({"x": [], "y": []}) for part in parts if part in LOOKS
        }
        for part, source in self.sources.items():
            self.plot.line("x", "y", source=source, line_width=2, legend_label=part, **LOOKS[part])
        if logarithmic:
            self.plot.xaxis.formatter = BasicTickFormatter()
        legend = self.plot.legend[0]
        legend.visible = len(self.sources) > 1
        legend.update(
            orientation="horizontal", border_line_color=None, background_fill_alpha=0.7,
            padding=2, margin=2, location="top_right",
            label_text_font=FONT, label_text_font_size="12px", label_text_color=SOFT,
        )  # fmt: skip
        self.marker = Span(dimension="height", line_color=SOFT, line_width=1.5, visible=False)
        self.beyond = BoxAnnotation(fill_color="#eceff2", fill_alpha=1, level="underlay")
        self.beyond.visible = False
        self.note = Label(
            x=size[0] / 2, y=size[1] / 2, x_units="screen", y_units="screen", text="",
            text_align="center", text_baseline="middle", text_color=SOFT,
        )  # fmt: skip
        for part in (self.marker, self.beyond, self.note):
            self.plot.add_layout(part)
        if tapped is not None:
            self.plot.on_event(Tap, lambda event: tapped(event.x))  # type: ignore[attr-defined]

    def show(
        self, across: np.ndarray, lines: Mapping[Part, np.ndarray], title: str, within: Scale | None
    ) -> None:
        """Show other lines.

        Args:
            across: Where the points of the lines are.
            lines: Their values.
            title: What they are.
            within: A range that stays in sight, so that axes do not jump from frame to frame.
        """
        self.plot.title.text = title  # type: ignore[union-attr]
        self.note.text = ""
        shown = {part: np.asarray(lines[part], float) for part in self.sources}
        for part, source in self.sources.items():
            source.data = {"x": np.asarray(across, float), "y": shown[part]}
        values = np.concatenate(list(shown.values()))
        values = values[np.isfinite(values) & ((values > 0) if self.logarithmic else True)]
        self._set(self.plot.x_range, float(across[0]), float(across[-1]))
        if self.logarithmic and values.size:
            top = float(values.max())
            self.plot.xaxis.ticker = FixedTicker(ticks=round_values(across))
            self._set(self.plot.y_range, max(float(values.min()), RANGE * top) / 2, 5 * top)
            return
        ends = [float(values.min()), float(values.max())] if values.size else [0.0, 1.0]
        if within is not None:
            ends = [min(ends[0], within.low), max(ends[1], within.high)]
        room = 0.05 * (ends[1] - ends[0]) or 0.05 * abs(ends[0]) or 1.0
        self._set(self.plot.y_range, ends[0] - room, ends[1] + 3 * room)

    def label(self, across: str, up: str) -> None:
        """Name the axes."""
        self.plot.xaxis.axis_label, self.plot.yaxis.axis_label = across, up

    def mark(self, place: float) -> None:
        """Put the upright line at a place."""
        self.marker.update(location=place, visible=True)

    def grey_from(self, place: float) -> None:
        """Grey ground to the right of a place."""
        self.beyond.update(left=place, visible=True)

    def empty(self, why: str) -> None:
        """Show no lines, and say why."""
        for source in self.sources.values():
            source.data = {"x": [], "y": []}
        self.note.text = why

    @staticmethod
    def _set(shown: object, start: float, end: float) -> None:
        if start == end:
            start, end = start - 0.5, end + 0.5
        reach(shown, start, end)
