"""The page of a rollout: what can be chosen, and what is drawn anew when it is."""

from collections.abc import Sequence
from dataclasses import replace
from html import escape

import panel as pn
import xarray as xr

from mpp import schema
from mpp.explorer import reading
from mpp.explorer.charts import Chart
from mpp.explorer.pictures import Picture
from mpp.explorer.reading import MEAN, Part, View
from mpp.viz import labels
from mpp.viz.members import is_ensemble
from mpp.viz.panels import ALONE, WIDE, lead_label
from mpp.viz.player import text
from mpp.viz.spectra import density_unit
from mpp.viz.strips import score_text
from mpp.viz.style import Scale

SIDE, BESIDE, LOWEST, TALLEST = 215, 800, 90, 460
"""Screen pixels: width of a picture beside two others and of one alone; bounds of its height."""
DIAGRAM, CHART = 140, (215, 180)
CONTROL = 235
"""Width of what can be chosen with."""
STEP = 150
"""Milliseconds between frames while playing."""


def options(words: Sequence[str]) -> dict[str, int]:
    """Indices by what they are called; numbered where two would be called the same."""
    alike = len(set(words)) < len(words)
    return {f"{word} (no. {i})" if alike else word: i for i, word in enumerate(words)}


def wrapped(*parts: pn.viewable.Viewable) -> pn.FlexBox:
    """Parts beside each other, as many as the window is wide enough for."""
    return pn.FlexBox(*parts, sizing_mode="stretch_width", margin=0)


class RolloutPage:
    """A rollout to look through.

    Args:
        ds: An open rollout, or other runs in the schema.
        name: What to call it.
    """

    def __init__(self, ds: xr.Dataset, name: str) -> None:
        self.ds, self.view = ds, View.first(ds)
        self.axes = reading.axes(self.view)
        self.parts = reading.parts(ds, self.view)
        self.scales: dict[tuple[object, ...], dict[Part, Scale]] = {}
        self.busy = False
        self.playing = pn.state.add_periodic_callback(self._next, STEP, start=False)
        self._make_widgets()
        self.pictures: dict[Part, Picture] = {}
        self.body = pn.Column(margin=0, sizing_mode="stretch_width")
        self.trouble = pn.pane.HTML("", visible=False, sizing_mode="stretch_width")
        self.side = pn.Column(*self._sidebar(name), width=CONTROL + 20, margin=(0, 5, 0, 0))
        self._arrange()
        self._draw(self.view, View.first(ds), everything=True)

    def stop(self) -> None:
        """No longer play."""
        self.playing.stop()

    def _make_widgets(self) -> None:
        ds, view, wide = self.ds, self.view, {"width": CONTROL}
        names = {text(name, 60): name for name in schema.names(ds)}
        self.field = pn.widgets.Select(label="field", options=names, value=view.field, **wide)
        runs = options([f"run {run}" for run in range(ds.sizes["sample"])])
        self.sample = pn.widgets.DiscreteSlider(label="sample", options=runs, value=0, **wide)
        members = {"mean of all": MEAN} if is_ensemble(ds) else {}
        members |= options([f"member {number}" for number in range(ds.sizes.get("member", 1))])
        self.member = pn.widgets.Select(
            label="member", options=members, value=view.member, visible=is_ensemble(ds), **wide
        )
        total = ds.sizes["time"]
        leads = [f"{reading.lead_text(ds, i)} ({i + 1} of {total})" for i in range(total)]
        self.lead = pn.widgets.DiscreteSlider(
            label="lead time", options=options(leads), value=0, **wide
        )
        self.play = pn.widgets.Toggle(label="▶ play", width=90, disabled=total < 2)
        self.point = {
            axis: pn.widgets.DiscreteSlider(
                label=text(axis),
                options=options([reading.place_text(ds, axis, i) for i in range(ds.sizes[axis])]),
                value=index,
                **wide,
            )
            for axis, index in view.point.items()
        }
        self.along = pn.widgets.RadioButtonGroup(
            options={text(axis): axis for axis in self.axes}, value=view.along, **wide
        )
        planes = {
            " – ".join(text(axis) for axis in self.axes if axis != normal): normal
            for normal in reversed(self.axes)
        }
        self.normal = pn.widgets.RadioButtonGroup(options=planes, value=view.normal, **wide)
        self.colours = pn.widgets.RadioButtonGroup(
            options={"the whole run": True, "this frame": False}, value=True, **wide
        )
        chosen = [self.field, self.sample, self.member, self.lead, self.along, self.normal]
        for widget in (*chosen, self.colours, *self.point.values()):
            widget.param.watch(self._changed, "value")
        self.play.param.watch(self._toggled, "value")

    def _sidebar(self, name: str) -> list[object]:
        """What can be chosen, from the top."""
        kind = {1: "", 2: "Click a picture to choose a point.", 3: "Click a picture to choose a "
                "point; its third coordinate is where the plane lies."}[len(self.axes)]  # fmt: skip
        if not kind:
            kind = "Click a picture to choose a point and a lead time."
        many = self.ds.sizes["sample"] > 1
        return [
            self.field,
            *([self.sample] if many else []),
            self.member,
            self.lead,
            self.play,
            *([_heading("plane"), self.normal] if len(self.axes) == 3 else []),
            _heading("point", kind),
            *self.point.values(),
            *([_heading("cross-section along"), self.along] if len(self.axes) > 1 else []),
            _heading("colours cover"),
            self.colours,
            pn.pane.HTML(f'<p class="told">{escape(_told(self.ds, name))}</p>', width=CONTROL),
        ]

    def _arrange(self) -> None:
        """Lay out pictures and charts of the right shape."""
        cut = reading.tile(self.ds, self.view)
        shape = cut.shape(self.ds)
        in_time = cut.horizontal == "time"
        stacked = in_time or (shape is not None and shape < WIDE)
        width = BESIDE if stacked else SIDE
        if len(self.parts) == 1 and not stacked:
            width = round(1.6 * SIDE)
        height = DIAGRAM if in_time else max(LOWEST, round(width * (shape or 1.0)))
        if height > TALLEST:
            width, height = max(LOWEST, round(TALLEST * width / height)), TALLEST
        across = (
            text(lead_label(self.ds), 60) if in_time else reading.axis_text(self.ds, cut.horizontal)
        )
        up = reading.axis_text(self.ds, cut.vertical)
        below = "truth" if stacked else None  # has the bar of the prediction under it
        self.pictures = {
            part: Picture(part, (width, height), across, up, self._tapped, part != below)
            for part in self.parts
        }
        first, *others = self.pictures.values()
        for other in others:
            other.plot.x_range, other.plot.y_range = first.plot.x_range, first.plot.y_range
        self.section = Chart("section", self.parts, CHART)
        self.series = Chart("series", self.parts, CHART, tapped=self._tapped_time)
        self.spectrum = Chart("spectrum", self.parts, CHART, logarithmic=True)
        row = pn.Column if stacked else wrapped
        charts = (self.section, self.series, self.spectrum)
        self.body[:] = [
            self.trouble,
            row(*(pn.pane.Bokeh(picture.plot, margin=0) for picture in self.pictures.values())),
            wrapped(*(pn.pane.Bokeh(chart.plot, margin=(18, 0, 0, 0)) for chart in charts)),
        ]

    def _changed(self, *_: object) -> None:
        """Show what the widgets say."""
        if self.busy:
            return
        view = View(
            self.field.value,
            self.sample.value,
            self.member.value,
            self.lead.value,
            {axis: slider.value for axis, slider in self.point.items()},
            self.along.value,
            self.normal.value,
        )
        self.show(view)

    def show(self, view: View) -> None:
        """Show something else, and say so in the widgets."""
        before, self.view = self.view, view
        self.busy = True
        try:
            for axis, slider in self.point.items():
                slider.value = view.point[axis]
            self.lead.value = view.frame
        finally:
            self.busy = False
        turned = before.normal != view.normal
        try:
            with pn.io.hold():
                if turned:
                    self._arrange()
                self._draw(view, before, everything=turned)
        except (OSError, RuntimeError) as error:  # the file is gone, or cut
            self.view = before  # all that differs from what is shown is drawn next time
            self._tell(str(error))
        else:
            self._tell("")

    def _tell(self, trouble: str) -> None:
        """Say above the pictures why they are not what was chosen."""
        self.trouble.object = f'<p class="trouble">{escape(trouble)}</p>' if trouble else ""
        self.trouble.visible = bool(trouble)

    def _tapped(self, across: float, up: float) -> None:
        self.show(reading.moved(self.ds, self.view, across, up))

    def _tapped_time(self, lead: float) -> None:
        frame = reading.nearest(reading.lead_times(self.ds), lead)
        self.show(replace(self.view, frame=frame))

    def _toggled(self, *_: object) -> None:
        if not self.play.value:
            self.playing.stop()
            return
        if self.view.frame == self.ds.sizes["time"] - 1:
            self.lead.value = 0
        self.playing.start()

    def _next(self) -> None:
        """The next frame of a rollout that plays; the last one ends it."""
        last = self.ds.sizes["time"] - 1
        if self.view.frame < last:
            self.lead.value = self.view.frame + 1
        if self.view.frame == last:
            self.play.value = False

    def _draw(self, view: View, before: View, everything: bool) -> None:
        """Draw what differs from the view before."""
        ds = self.ds
        other = everything or _run(view) != _run(before)
        moved = other or view.frame != before.frame
        if moved:
            self.found = reading.frame(ds, view)
        scales = self._scales()
        item = reading.field(ds, view)
        value = text(labels.with_units(item.name, item.units), 60)
        cut = reading.tile(ds, view)
        in_time = cut.horizontal == "time"
        if other and in_time:
            self.diagram = reading.diagram(ds, view)
        shown = self.diagram if in_time else self.found.parts
        for part, picture in self.pictures.items():
            unit = text(labels.with_units(part, item.units), 60) if part in ALONE else value
            picture.colour(scales[part], unit)
            if other or not in_time or part == "error":
                picture.show(reading.image(shown[part], cut), self._title(part))
            picture.mark(*self._place(cut.horizontal), *self._place(cut.vertical), self._lines(cut))
        self._draw_section(value, scales)
        if other or view.point != before.point:
            pn.state.onload(lambda: self._draw_series(value))
        self.series.mark(float(reading.lead_times(ds)[view.frame]))
        if moved:
            self._draw_spectrum(item.units)

    def _scales(self) -> dict[Part, Scale]:
        """Colour scales, read once for a run."""
        whole = bool(self.colours.value)
        key = (*_run(self.view), None if whole else self.view.frame)
        if key not in self.scales:
            self.scales = {**self.scales, key: reading.scales(self.ds, self.view, whole)}
        return self.scales[key]

    def _title(self, part: Part) -> str:
        words, view = [part], self.view
        if len(self.axes) == 3 and part != "error":
            where = reading.place_text(self.ds, view.normal, view.point[view.normal])
            words.append(f"{text(view.normal)} = {where}")
        if part == "error" and self.found.score is not None:
            words.append(score_text(self.found.score) + (" in 3-D" if len(self.axes) == 3 else ""))
            if len(self.axes) == 1:
                words.append(f"at {reading.lead_text(self.ds, self.view.frame)}")
        if part != "error" and self.found.missing[part]:
            words.append(f"{self.found.missing[part]} points not finite")
        return " · ".join(words)

    def _place(self, dim: str) -> tuple[float]:
        if dim == "time":
            return (float(reading.lead_times(self.ds)[self.view.frame]),)
        return (float(self.ds[dim][self.view.point[dim]]),)

    def _lines(self, cut: reading.Tile) -> tuple[str, ...]:
        """The line of the cross-section where the picture has it; in time that of the frame."""
        if cut.horizontal == "time":
            return ("height",)
        return {cut.horizontal: ("width",), cut.vertical: ("height",)}.get(self.view.along, ())

    def _draw_section(self, value: str, scales: dict[Part, Scale]) -> None:
        ds, view = self.ds, self.view
        lines = reading.section(self.found, view)
        lead = reading.lead_text(ds, view.frame)
        through = " through the point" if len(self.axes) > 1 else f" at lead time {lead}"
        points = ds[view.along].values
        self.section.show(
            points, lines, f"along {text(view.along)}{through}", scales[self.parts[0]]
        )
        self.section.label(reading.axis_text(ds, view.along), value)
        self.section.mark(float(points[view.point[view.along]]))

    def _draw_series(self, value: str) -> None:
        ds, view = self.ds, self.view
        leads, lines = reading.series(ds, view)
        total = ds.sizes["time"]
        some = "" if len(leads) == total else f" · {len(leads)} of {total} frames"
        self.series.show(leads, lines, f"in time at the point{some}", None)
        self.series.label(text(lead_label(ds), 60), value)

    def _draw_spectrum(self, units: str) -> None:
        found = reading.spectrum(self.ds, self.found, self.view)
        lead = reading.lead_text(self.ds, self.view.frame)
        if not found:
            finite = not any(self.found.missing.values())
            self.spectrum.plot.title.text = f"spectrum at lead time {lead}"  # type: ignore[union-attr]
            self.spectrum.empty("the axes are uneven or of several units" if finite else
                                "not finite")  # fmt: skip
            return
        waves = found[0]["wavenumber"]
        lines = dict(zip(self.parts, (energy.values for energy in found), strict=False))
        self.spectrum.show(waves.values, lines, f"spectrum at lead time {lead}", None)
        wave = str(waves.attrs["units"])
        self.spectrum.label(
            text(labels.with_units("wavenumber", wave), 60),
            f"energy per wavenumber {density_unit(units, wave)}".strip(),
        )
        self.spectrum.grey_from(float(found[0].attrs["nyquist"]))


def _run(view: View) -> tuple[object, ...]:
    return view.field, view.sample, view.member


def _heading(words: str, more: str = "") -> pn.pane.HTML:
    under = f"<br><small>{escape(more)}</small>" if more else ""
    return pn.pane.HTML(f'<p class="heading">{escape(words)}{under}</p>', width=CONTROL)


def _told(ds: xr.Dataset, name: str) -> str:
    """What made a file, in a line or two."""
    words = [name, text(schema.system(ds), 60)]
    if "model" in ds.attrs:
        words.append(f"model {text(ds.attrs['model'], 60)}")
    if "checkpoint" in ds.attrs:
        words.append(f"checkpoint {text(ds.attrs['checkpoint'], 24)}")
    return " · ".join(words)
