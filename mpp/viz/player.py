"""Truth, prediction and error of a rollout as they move, for a results page."""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, UInt8
from matplotlib.colors import Colormap
from matplotlib.ticker import MaxNLocator

from mpp import schema
from mpp.fields import Field
from mpp.viz import labels, tiles
from mpp.viz.members import joined
from mpp.viz.page import Moving
from mpp.viz.panels import ALONE, WIDE, lead_times, spread
from mpp.viz.strips import Strip, select, strips
from mpp.viz.style import Scale
from mpp.viz.tiles import Tile

RUNS = 4
"""Runs to choose from unless told otherwise."""
POINTS = 128
"""Points along an axis that are shown; of more, every second, third and so on."""
FRAMES, FEW_FRAMES = 200, 24
"""Frames at most, and frames that count more than further runs."""
LARGEST = 12_000_000
"""Values in a player, a byte each before they are compressed, usually to less than half."""
LEVELS, MASKED, MISSING = 253, 254, 255
"""A value is a level from 0, the low end of its scale, to 253; two more say why there is none."""
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Cuts:
    """What of a rollout is shown.

    Args:
        ds: Its frames and points, thinned to what fits.
        runs: Which runs.
        tiles: The cuts through it, of each frame or of all at once.
        note: What was left out, in words; empty where nothing was.
    """

    ds: xr.Dataset
    runs: tuple[int, ...]
    tiles: tuple[Tile, ...]
    note: str

    @property
    def in_time(self) -> bool:
        """Whether a cut has time as its horizontal: a space-time diagram, of all frames at once."""
        return self.tiles[0].horizontal == "time"


def player(ds: xr.Dataset, runs: Sequence[int] | None = None) -> Moving:
    """A rollout with a slider for the lead time and a choice of field and run.

    A two-dimensional field is shown as it is, a three-dimensional one on its three middle planes, a
    one-dimensional one as a space-time diagram with its profile at the lead time. Values are kept
    in 254 levels of the colour scale that `mpp.viz.strips` gives each field and run.

    Args:
        ds: A rollout.
        runs: Which runs can be chosen; by default up to four, evenly placed.

    Raises:
        InputError: No such run.
    """
    cuts = choose(joined(ds), runs)
    items = schema.fields(cuts.ds)
    parts: list[list[dict[str, Any]]] = []
    maps: dict[str, str] = {}
    for item in items:
        parts.append([])
        for run in cuts.runs:
            found = strips(cuts.ds, item.name, run)
            _, _, defined = select(cuts.ds, item.name, run)
            parts[-1].append(_part(found, defined, cuts.tiles))
            maps |= {strip.scale.colours.name: _colours(strip.scale.colours) for strip in found}
    names = [strip.name for strip in found]
    seconds = str(cuts.ds["time"].attrs.get("units", "1"))
    data = {
        "times": [float(lead) for lead in lead_times(cuts.ds)],
        "leads": [text(labels.quantity(float(lead), seconds)) for lead in lead_times(cuts.ds)],
        "strips": names,
        "planes": [_plane(cuts.ds, tile) for tile in cuts.tiles],
        "fields": [
            {"name": text(item.name, 60), "units": units({"units": item.units})} for item in items
        ],
        "runs": list(cuts.runs),
        "maps": maps,
        "parts": parts,
        "in_time": cuts.in_time,
        "lead_label": text(labels.with_units("lead time", seconds), 60),
        "levels": LEVELS,
    }
    script = (HERE / "player.js").read_text(encoding="utf-8")
    style = (HERE / "player.css").read_text(encoding="utf-8")
    return Moving(_markup(cuts, items, names), data, script, style)


def choose(ds: xr.Dataset, runs: Sequence[int] | None = None) -> Cuts:
    """The runs, frames and points of a rollout that fit into a player.

    Args:
        ds: A rollout.
        runs: Which runs; by default up to `RUNS`, fewer where they would leave few frames.
    """
    axes = schema.space_axes(ds)
    every = {axis: -(-ds.sizes[axis] // POINTS) for axis in axes}
    ds = ds.isel({axis: slice(None, None, step) for axis, step in every.items()})
    frames, total = ds.sizes["time"], ds.sizes["sample"]
    room = LARGEST // _bytes_a_frame(ds)
    chosen = spread(total, RUNS) if runs is None else list(runs)
    if runs is None:
        chosen = chosen[: max(1, room // min(frames, FEW_FRAMES))]
    step = -(-frames // max(1, min(FRAMES, room // len(chosen))))
    kept = list(range((frames - 1) % step, frames, step))  # even, and with the last
    notes = [f"one point in {step} along {axis}" for axis, step in every.items() if step > 1]
    if len(kept) < frames:
        notes.append(f"{len(kept)} of {frames} frames")
    if len(chosen) < total:
        notes.append(f"{len(chosen)} of {total} runs")
    ds = ds.isel(time=kept)
    cuts = tiles.space_time(ds) if len(axes) == 1 else tiles.snapshots(ds, [0], [""])
    return Cuts(ds, tuple(chosen), tuple(cuts), ", ".join(notes))


def text(words: str, longest: int = labels.LONGEST) -> str:
    """A label as plain text, where a picture would need its dollar signs marked."""
    return labels.plain(words, longest).replace(r"\$", "$")


def ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Round values between two ends, each as its place from 0 to 1 and its text."""
    places = MaxNLocator(count, min_n_ticks=2, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    room = 1e-9 * (high - low)
    places = [float(place) for place in places if low - room <= place <= high + room]
    largest = max(abs(low), abs(high))
    power = 0 if 1e-3 <= largest < 1e4 else int(np.floor(np.log10(largest)))
    mantissas = [f"{place / 10.0**power + 0.0:.6g}" for place in places]
    digits = max((len(words.partition(".")[2]) for words in mantissas), default=0)
    end = f"×10{str(power).translate(labels.SUPERSCRIPT)}" if power else ""
    shown = [f"{float(words):.{digits}f}{end}" for words in mantissas]
    return [
        ((place - low) / (high - low), "0" if power and not place else words.replace("-", "−"))
        for place, words in zip(places, shown, strict=True)
    ]


def levels(
    values: Float[np.ndarray, "*shape"], defined: np.ndarray, scale: Scale
) -> UInt8[np.ndarray, "*shape"]:
    """Values as levels of a scale; what goes beyond it takes the level of its end."""
    finite = np.isfinite(values)
    place = (np.where(finite, values, scale.low) - scale.low) / (scale.high - scale.low)
    found = np.clip(np.rint(LEVELS * place), 0, LEVELS).astype(np.uint8)
    return np.where(defined, np.where(finite, found, MISSING), MASKED).astype(np.uint8)


def packed(found: UInt8[np.ndarray, "*shape"]) -> str:
    """Levels as text: each less the one before it along the last axis, then zlib and base64."""
    steps = np.diff(found, axis=-1, prepend=np.uint8(0))
    return base64.b64encode(zlib.compress(steps.tobytes(), 9)).decode()


def _bytes_a_frame(ds: xr.Dataset) -> int:
    """What one frame of one run takes: all fields, and truth and error where it has them."""
    sizes = [ds.sizes[axis] for axis in schema.space_axes(ds)]
    points = int(np.prod(sizes))
    if len(sizes) == 3:
        points = sum(points // size for size in sizes)
    strips = (3 if schema.names(ds, "truth") else 1) + any(
        f"spread_{n}" in ds for n in ds.data_vars
    )
    return points * len(schema.names(ds)) * strips


def _part(found: Sequence[Strip], defined: xr.DataArray, cuts: Sequence[Tile]) -> dict[str, Any]:
    """One field of one run: the scales of its strips, their scores, and the levels of every cut."""
    return {
        "scales": [_scale(strip) for strip in found],
        "scores": [
            score if np.isfinite(score) else None for part in found for score in part.scores
        ],
        "planes": [[_levels(strip, defined, cut) for cut in cuts] for strip in found],
    }


def _levels(strip: Strip, defined: xr.DataArray, cut: Tile) -> str:
    """A cut through all frames over (vertical, horizontal, time), packed."""
    place = {dim: index for dim, index in cut.place.items() if dim != "time"}
    order = [cut.vertical, *([] if cut.horizontal == "time" else [cut.horizontal]), "time"]
    values = strip.values.isel(place).transpose(*order)
    inside = defined.isel(place).transpose(*order)
    found = levels(values.values, inside.values, strip.scale)
    for axis, dim in enumerate(order[:-1]):
        found = np.take(found, evenly(values[dim].values), axis=axis)
    return packed(found)


def evenly(points: np.ndarray) -> np.ndarray:
    """Which point of an axis each of equally wide pixels between its ends lies in."""
    if schema.is_even(points):
        return np.arange(points.size)
    borders = tiles.edges(points)
    wanted = 2 * points.size
    centres = borders[0] + (np.arange(wanted) + 0.5) * (borders[-1] - borders[0]) / wanted
    return np.clip(np.searchsorted(borders, centres) - 1, 0, points.size - 1)


def _scale(strip: Strip) -> dict[str, Any]:
    """The colour scale of a strip, with the ticks of its bar."""
    scale = strip.scale
    return {
        "low": scale.low,
        "high": scale.high,
        "map": scale.colours.name,
        "ticks": ticks(scale.low, scale.high, 3 if strip.name in ALONE else 5),
        "extend": scale.extend(strip.values.values),
    }


def _plane(ds: xr.Dataset, cut: Tile) -> dict[str, Any]:
    """Size, ends, and names of the axes of a cut."""
    left, right, bottom, top = tiles.extent(ds, cut.horizontal, cut.vertical)
    return {
        "width": evenly(ds[cut.horizontal].values).size,  # times are even
        "height": evenly(ds[cut.vertical].values).size,
        "across": [text(cut.horizontal), left, right, units(ds[cut.horizontal].attrs)],
        "up": [text(cut.vertical), bottom, top, units(ds[cut.vertical].attrs)],
    }


def units(attrs: Mapping[Any, Any]) -> str:
    """A unit as plain text, nothing where there is none."""
    return text(labels.units_text(str(attrs.get("units", "1"))))


def _colours(colours: Colormap) -> str:
    """Red, green and blue of each level."""
    table = colours(np.linspace(0, 1, LEVELS + 1), bytes=True)[:, :3]
    return base64.b64encode(np.ascontiguousarray(table).tobytes()).decode()


def _markup(cuts: Cuts, items: Sequence[Field], names: Sequence[str]) -> str:
    """The player's frame: choices, slider, panels with their axes; the script fills it."""
    ds = cuts.ds
    fields = _options([text(item.name, 60) for item in items])
    runs = _options([f"run {run}" for run in cuts.runs])
    last = ds.sizes["time"] - 1
    layout = "rows" if _stacked(cuts) else "columns"
    found = "".join(_strip(ds, cuts.tiles, name) for name in names)
    shown = "".join(_bar(kind) for kind in ("shared", *(n for n in names if n in ALONE)))
    thinned = f" Shown: {escape(cuts.note)}." if cuts.note else ""
    profile = _chart("profile") if cuts.in_time else ""
    course = _chart("course") if "error" in names else ""
    return (
        '<div class="controls">'
        f'<label>field <select class="field">{fields}</select></label>'
        f'<label>run <select class="run">{runs}</select></label>'
        '<button type="button" class="play" aria-pressed="false">▶ play</button>'
        '<label class="slide"><span>lead time</span> '
        f'<input type="range" class="lead" min="0" max="{last}" step="1" value="0"></label>'
        '<output class="now"></output></div>'
        f'<div class="strips {layout} of{len(names)}">{found}{shown}</div>'
        f'<div class="charts">{profile}{course}</div>'
        '<p class="under"><span class="readout" aria-live="off"></span></p>'
        '<p class="under">Arrow keys step through lead times, Home and End go to the ends, the '
        "space bar plays. Truth and prediction share a colour scale; a triangle at its end says "
        f"that values go beyond it. Grey: outside the domain; striped: not finite.{thinned}</p>"
        "<noscript><p>The moving pictures need JavaScript.</p></noscript>"
    )


def _stacked(cuts: Cuts) -> bool:
    """Whether truth, prediction and error stand below each other."""
    shape = cuts.tiles[0].shape(cuts.ds)
    return cuts.in_time or len(cuts.tiles) > 1 or (shape is not None and shape < WIDE)


def _options(names: Sequence[str]) -> str:
    return "".join(f'<option value="{i}">{escape(name)}</option>' for i, name in enumerate(names))


def _strip(ds: xr.Dataset, cuts: Sequence[Tile], name: str) -> str:
    panels = "".join(_panel(ds, cut, name) for cut in cuts)
    score = ' <span class="score"></span>' if name == "error" else ""
    return (
        f'<div class="strip {name}"><p class="name">{name}{score}</p>'
        f'<div class="planes">{panels}</div></div>'
    )


def _panel(ds: xr.Dataset, cut: Tile, name: str) -> str:
    """A canvas between its axes."""
    left, right, bottom, top = tiles.extent(ds, cut.horizontal, cut.vertical)
    shape = cut.shape(ds) or (0.22 if cut.horizontal == "time" else 1.0)
    title = cut.title.strip()
    above = f'<p class="plane">{escape(text(title))}</p>' if title else ""
    marker = '<i class="marker"></i>' if cut.horizontal == "time" else ""
    wide = "" if shape < WIDE else f"max-width:{min(30.0, 26 / shape):.4g}rem"
    return (
        f'<div class="panel" style="{wide}">{above}<div class="plot" style="aspect-ratio:'
        f'{1 / shape:.4g}"><canvas role="img" aria-label="{name}"></canvas>{marker}'
        f"{_marks('x', ticks(left, right, 5))}{_marks('y', ticks(bottom, top, 5))}"
        f'<span class="upward">{escape(text(labels.axis_label(ds, cut.vertical)))}</span></div>'
        f'<p class="along">{escape(text(labels.axis_label(ds, cut.horizontal)))}</p></div>'
    )


def _marks(kind: str, places: Sequence[tuple[float, str]]) -> str:
    side = "left" if kind == "x" else "bottom"
    return "".join(
        f'<span class="tick {kind}" style="{side}:{100 * place:.4g}%">{escape(words)}</span>'
        for place, words in places
    )


def _bar(kind: str) -> str:
    return (
        f'<div class="bar {kind}"><canvas role="img" aria-label="colours" width="254" '
        'height="1"></canvas><div class="marks"></div><p class="along"></p></div>'
    )


def _chart(kind: str) -> str:
    """Room for lines over an axis; the script draws them."""
    return (
        f'<div class="panel chart {kind}"><p class="name"></p><div class="plot"><svg role="img" '
        'viewBox="0 0 1000 1000" preserveAspectRatio="none"><path class="line a"/><path '
        'class="line b"/></svg><i class="marker"></i><span class="upward"></span>'
        '<div class="marks"></div></div><p class="along"></p></div>'
    )
