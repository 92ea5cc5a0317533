"""A picture of a field that changes in place: colours, axes, the chosen point.

These are Bokeh's own models, to which only what has changed is sent: a frame of 128 x 128 points
takes half a millisecond of the server, and 170 as a plot that HoloViews makes anew.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from bokeh.events import Tap
from bokeh.models import BasicTicker, ColorBar, ColumnDataSource, LinearColorMapper, Range1d, Span
from bokeh.plotting import figure
from matplotlib.colors import Colormap, to_hex

from mpp.explorer.reading import Image
from mpp.viz.style import LINE_COLOURS, MASKED_COLOUR, Scale

FONT = "system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
MARGIN = 72, 14
"""Screen pixels left and right of every plot, so that those of a column stand in line."""
INK, SOFT = "#1b1f24", "#5b6570"


def quiet(plot: figure) -> figure:
    """The look that all plots share."""
    plot.toolbar.autohide = True
    plot.toolbar.logo = None
    plot.outline_line_color = None
    plot.min_border_left, plot.min_border_right = MARGIN
    plot.title.text_font, plot.title.text_font_size = FONT, "13px"  # type: ignore[union-attr]
    plot.title.text_font_style, plot.title.text_color = "bold", INK  # type: ignore[union-attr]
    for axis in plot.axis:
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_style, axis.axis_label_text_font_size = "normal", "13px"
        axis.major_label_text_font_size = "12px"
        axis.axis_label_text_color = axis.major_label_text_color = SOFT
        axis.axis_line_color = axis.major_tick_line_color = SOFT
        axis.minor_tick_line_color = None
        axis.major_tick_in = 0
    return plot


def plot(name: str, size: tuple[int, int], kind: Literal["linear", "log"] = "linear") -> figure:
    """An empty plot in that look.

    Args:
        name: Its name among the page's models.
        size: Width and height of what is inside the axes, in screen pixels.
        kind: Of both axes.
    """
    return quiet(
        figure(
            name=name,
            frame_width=size[0],
            frame_height=size[1],
            x_range=Range1d(start=0, end=1),
            y_range=Range1d(start=0, end=1),
            x_axis_type=kind,
            y_axis_type=kind,
            tools="pan,wheel_zoom,box_zoom,reset,save",
            title=" ",
        )
    )


def reach(shown: object, start: float, end: float) -> None:
    """Let a range go from one end to the other; a user's zoom stays where they are the same."""
    if (shown.reset_start, shown.reset_end) != (start, end):  # type: ignore[attr-defined]
        shown.update(start=start, end=end, reset_start=start, reset_end=end)  # type: ignore[attr-defined]


def palette(colours: Colormap) -> list[str]:
    """256 colours of a map."""
    return [to_hex(colour) for colour in colours(np.linspace(0, 1, 256))]


class Picture:
    """A field as colours, with its colour bar below and a cross at the chosen point.

    Args:
        name: Its name among the page's models.
        size: Width and height of the picture itself, in screen pixels.
        across: What the horizontal axis is.
        up: What the vertical axis is.
        tapped: Called with the place where a user taps or clicks.
        bar: Whether it has a colour bar.
    """

    def __init__(
        self,
        name: str,
        size: tuple[int, int],
        across: str,
        up: str,
        tapped: Callable[[float, float], None],
        bar: bool = True,
    ) -> None:
        self.data = ColumnDataSource(
            {"image": [np.zeros((1, 1), np.float32)], "x": [0.0], "y": [0.0], "w": [1.0],
             "h": [1.0]}
        )  # fmt: skip
        self.coloured: tuple[Scale, str] | None = None
        self.point = ColumnDataSource({"x": [0.0], "y": [0.0]})
        self.mapper = LinearColorMapper(palette=["#000000"], low=0, high=1)
        self.mapper.nan_color = to_hex(MASKED_COLOUR)
        self.plot = plot(name, size)
        self.plot.xaxis.axis_label, self.plot.yaxis.axis_label = across, up
        self.plot.xaxis.ticker = BasicTicker(desired_num_ticks=max(2, size[0] // 65))
        self.plot.yaxis.ticker = BasicTicker(desired_num_ticks=max(2, min(8, size[1] // 40)))
        self.plot.grid.visible = False
        look: dict[str, Any] = {"color_mapper": self.mapper, "level": "image"}
        self.plot.image("image", "x", "y", "w", "h", source=self.data, **look)
        self.lines = {
            dim: (
                Span(dimension=dim, line_color=INK, line_width=3.5, line_alpha=0.45),
                Span(dimension=dim, line_color="white", line_width=1.5),
            )
            for dim in ("width", "height")
        }
        for line in (*self.lines["width"], *self.lines["height"]):
            self.plot.add_layout(line)
        self.plot.scatter(
            "x", "y", source=self.point, size=11, line_color="white", line_width=1.5,
            fill_color=LINE_COLOURS[1],
        )  # fmt: skip
        self.bar = ColorBar(
            color_mapper=self.mapper, height=10, padding=4, margin=0, title="",
            title_text_font=FONT, title_text_font_style="normal", title_text_font_size="13px",
            title_text_color=SOFT, major_label_text_font=FONT, major_label_text_font_size="12px",
            major_label_text_color=SOFT, title_standoff=4, bar_line_color=None,
            ticker=BasicTicker(desired_num_ticks=max(3, min(6, size[0] // 80))),
        )  # fmt: skip
        if bar:
            self.plot.add_layout(self.bar, "below")
        self.plot.on_event(Tap, lambda event: tapped(event.x, event.y))  # type: ignore[attr-defined]

    def colour(self, scale: Scale, label: str) -> None:
        """Use other colours."""
        if (scale, label) == self.coloured:
            return
        self.coloured = scale, label
        self.mapper.update(palette=palette(scale.colours), low=scale.low, high=scale.high)
        self.bar.title = label

    def show(self, image: Image, title: str) -> None:
        """Show other values."""
        left, right, bottom, top = image.box
        self.plot.title.text = title  # type: ignore[union-attr]
        self.data.data = {
            "image": [image.values],
            "x": [left],
            "y": [bottom],
            "w": [right - left],
            "h": [top - bottom],
        }
        reach(self.plot.x_range, left, right)
        reach(self.plot.y_range, bottom, top)

    def mark(self, across: float, up: float, lines: tuple[str, ...]) -> None:
        """Put the cross at a point, with lines over the whole width or height through it."""
        self.point.data = {"x": [across], "y": [up]}
        for dim, both in self.lines.items():
            for line in both:
                line.location = up if dim == "width" else across
                line.visible = dim in lines
