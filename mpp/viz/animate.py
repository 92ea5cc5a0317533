"""A rollout as a film: truth, prediction and error of one field and run, frame after frame."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from mpp import schema
from mpp.errors import InputError
from mpp.files import written_beside
from mpp.viz import labels, tiles
from mpp.viz.panels import ALONE, Picture, lead_times
from mpp.viz.strips import Strip, score_text, select, strips
from mpp.viz.style import PREDICTION_LOOK, TRUTH_LOOK, styled
from mpp.viz.tiles import Tile

Film = Literal["mp4", "gif"]
FRAMES = 200
"""Frames at most; of a longer rollout every second, third and so on is shown."""
FRAMES_A_SECOND = 8
DPI = 120
GREYS = 32
PROFILE = 2.0
"""Inches of height that the profile of a one-dimensional field takes."""


def best_film() -> Film:
    """What can be written here: mp4 where imageio-ffmpeg is installed, else gif, with pillow."""
    return "mp4" if importlib.util.find_spec("imageio_ffmpeg") else "gif"


@styled
def animate(
    ds: xr.Dataset,
    field: str,
    path: Path,
    sample: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write one field of one run of a rollout as a film.

    Truth and prediction share one colour scale, the range of the truth over all frames shown; the
    error has its own. The lead time stands above. A one-dimensional field is a space-time diagram
    with a marker, and its profile at that time; a three-dimensional one its three middle planes.

    Args:
        ds: A rollout.
        field: Name of the field.
        path: Where to write, ``.mp4`` or ``.gif``.
        sample: Which run.
        progress: Called with the number of frames done and their total.

    Returns:
        The path.

    Raises:
        InputError: No such field or run, another ending, or nothing installed that writes it.
    """
    write = {".mp4": _write_mp4, ".gif": _write_gif}.get(path.suffix)
    if write is None:
        raise InputError(f"{path}: expected a film ending in .mp4 or .gif")
    total = ds.sizes["time"]
    step = -(-total // FRAMES)
    ds = ds.isel(time=slice((total - 1) % step, None, step))
    film = _Film(ds, field, sample)

    def frames() -> Iterator[UInt8[np.ndarray, "row column colour"]]:
        for frame in range(ds.sizes["time"]):
            yield film.pixels(frame)
            if progress is not None:
                progress(frame + 1, ds.sizes["time"])

    with written_beside(path) as unfinished:
        write(unfinished, frames(), film.palette())
    return path


class _Film:
    """A figure that shows one frame after the other, always at the same size."""

    def __init__(self, ds: xr.Dataset, field: str, sample: int) -> None:
        item, _, defined = select(ds, field, sample)
        self.ds, self.strips = ds, strips(ds, field, sample)
        self.name = f"{labels.system_name(ds)} · {labels.field_label(item)} · run {sample}"
        self.leads = _aligned(lead_times(ds), str(ds["time"].attrs.get("units", "1")))
        in_time = len(schema.space_axes(ds)) == 1
        cuts = tiles.space_time(ds) if in_time else tiles.snapshots(ds, [0], [""])
        self.picture = Picture(ds, cuts, self.strips, defined)
        self.profile: _Profile | None = None
        if in_time:
            widths, heights = self.picture.sizes()
            size = (widths[0] + 1.9, sum(heights) + 0.3 * len(heights) + PROFILE + 1.2)
            self.figure = Figure(figsize=size, layout="constrained")
            ratios = [size[1] - PROFILE, PROFILE]
            above, below = self.figure.subfigures(2, 1, squeeze=False, height_ratios=ratios)[:, 0]
            self.picture.draw_into(above)
            self.picture.add_colour_bars(above, item)
            label = labels.with_units(labels.field_label(item), item.units)
            self.profile = _Profile(below.subplots(), ds, self.strips, label)
            self.markers = [
                axes.axvline(ds["time"].values[0], color="black", lw=1.2)
                for axes in self.picture.grid.flat
            ]
        else:
            self.figure = self.picture.draw()
            self.picture.add_colour_bars(self.figure, item, whole=True)
        self.figure.set_dpi(DPI)
        self.canvas = FigureCanvasAgg(self.figure)
        self.box = self._arrange()

    def show(self, frame: int) -> None:
        """Draw a frame."""
        title = f"{self.name} · lead {self.leads[frame]}"
        if self.profile is None:
            self.figure.suptitle(title)
            self.picture.fill([_at(cut, frame) for cut in self.picture.cuts])
            return
        self.picture.grid[0, 0].set_title(title, fontsize="large")
        for marker in self.markers:
            marker.set_xdata([self.ds["time"].values[frame]] * 2)
        self.profile.show(frame)

    def pixels(self, frame: int) -> UInt8[np.ndarray, "row column colour"]:
        """A frame as an image, with an even number of rows and columns, as films want it."""
        self.show(frame)
        self.canvas.draw()
        image = np.asarray(self.canvas.buffer_rgba())[..., :3]
        left, bottom, right, top = (round(edge) for edge in self.box.extents)
        image = image[image.shape[0] - top : image.shape[0] - bottom, left:right]
        return np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])

    def palette(self) -> UInt8[np.ndarray, "256 3"]:
        """The colours of its scales, greys for lines and letters, and the colour of its lines."""
        maps = list(
            {strip.scale.colours.name: strip.scale.colours for strip in self.strips}.values()
        )
        count = (256 - GREYS - 4) // len(maps)
        parts = [colours(np.linspace(0, 1, count), bytes=True)[:, :3] for colours in maps]
        greys = np.repeat(np.linspace(0, 255, GREYS).round().astype(np.uint8)[:, None], 3, axis=1)
        line = np.array(to_rgb(PREDICTION_LOOK["color"]))
        pale = [np.rint(255 * (line + part * (1 - line))) for part in (0, 0.25, 0.5, 0.75)]
        found = np.concatenate([*parts, greys, np.array(pale).astype(np.uint8)])
        return np.concatenate([found, np.repeat(found[-1:], 256 - len(found), axis=0)])

    def _arrange(self) -> Bbox:
        """Lay the panels out once, and find what of the figure is not empty."""
        boxes = []
        for frame in (0, self.ds.sizes["time"] - 1):
            self.show(frame)
            self.canvas.draw()
            self.figure.set_layout_engine("none")
            tight = self.figure.get_tightbbox(self.canvas.get_renderer()).padded(0.12)
            boxes.append(Bbox.from_extents(*(DPI * edge for edge in tight.extents)))
        whole = Bbox.from_extents(*self.figure.bbox.extents)
        return Bbox.intersection(Bbox.union(boxes), whole) or whole


class _Profile:
    """The values along a line at one time, truth and prediction over each other."""

    def __init__(self, axes: Axes, ds: xr.Dataset, shown: Sequence[Strip], label: str) -> None:
        axis = schema.space_axes(ds)[0]
        self.strips = [strip for strip in shown if strip.name not in ALONE]
        looks = {"truth": TRUTH_LOOK, "prediction": PREDICTION_LOOK}
        self.lines = [
            axes.plot(ds[axis].values, strip.values.isel(time=0).values, **looks[strip.name])[0]
            for strip in self.strips
        ]
        scale = self.strips[0].scale
        room = 0.08 * (scale.high - scale.low)
        axes.set_ylim(scale.low - room, scale.high + room)
        axes.set_xlim(*tiles.extent(ds, axis, "time")[:2])
        axes.set_xlabel(labels.axis_label(ds, axis))
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        self.axes = axes
        self.scores = [score for strip in shown for score in strip.scores]
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)

    def show(self, frame: int) -> None:
        for line, strip in zip(self.lines, self.strips, strict=True):
            line.set_ydata(strip.values.isel(time=frame).values)
        self.axes.set_title(score_text(self.scores[frame]) if self.scores else "", loc="right")


def _at(cut: Tile, frame: int) -> Tile:
    return replace(cut, place={**cut.place, "time": frame})


def _aligned(leads: np.ndarray, units: str) -> list[str]:
    """Lead times with as many decimals as each other, so that the title does not jump."""
    words = [f"{lead:.4g}" for lead in leads]
    if any("e" in word for word in words):
        return [labels.quantity(float(lead), units) for lead in leads]
    digits = max(len(word.partition(".")[2]) for word in words)
    shown = labels.units_text(units)
    return [f"{lead:.{digits}f} {shown}".rstrip() for lead in leads]


def _write_mp4(path: Path, frames: Iterator[np.ndarray], palette: np.ndarray) -> None:
    """H.264, in all colours, which every browser and slide program plays."""
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise InputError(
            f"{path.suffix[1:]} needs imageio-ffmpeg; pip install 'mpp-physics[viz]', or write gif"
        )
    ffmpeg = importlib.import_module("imageio_ffmpeg")
    first = next(frames)
    size = (first.shape[1], first.shape[0])
    writer = ffmpeg.write_frames(
        str(path),
        size,
        fps=FRAMES_A_SECOND,
        quality=8,
        macro_block_size=2,
        ffmpeg_log_level="error",
    )
    writer.send(None)
    try:
        writer.send(first)
        for image in frames:
            writer.send(image)
    finally:
        writer.close()


def _write_gif(path: Path, frames: Iterator[np.ndarray], palette: np.ndarray) -> None:
    """A loop in the given 256 colours, without dithering: colours that a program finds by itself
    leave out the rare ones, the extremes of the scale."""
    from PIL import Image

    colours = Image.new("P", (1, 1))
    colours.putpalette(palette.tobytes())
    images = [
        Image.fromarray(image).quantize(palette=colours, dither=Image.Dither.NONE)
        for image in frames
    ]
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=1000 // FRAMES_A_SECOND, loop=0
    )
