"""The one look of all pictures: fonts, line colours, and the colour scale that fits a field."""

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib
import numpy as np
from cmcrameri import cm
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from PIL import Image

from mpp.fields import Field
from mpp.files import written_beside

P = ParamSpec("P")
T = TypeVar("T")

DPI, MARGIN = 160, 0.08
"""Dots per inch of a picture, and inches around what is drawn."""
SETTINGS: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 10,
    "figure.titlesize": 12,
    "figure.facecolor": "white",
    "axes.linewidth": 0.6,
    "axes.titlepad": 4.0,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "hatch.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "savefig.dpi": DPI,
    "savefig.bbox": "tight",
    "savefig.pad_inches": MARGIN,
    "pdf.fonttype": 42,
}
LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours, told apart with any kind of colour vision (jfly.uni-koeln.de/color)."""
BASELINE_COLOUR = "0.45"
TRUTH_LOOK: dict[str, Any] = {"color": "0.1", "linestyle": "-", "label": "truth"}
PREDICTION_LOOK: dict[str, Any] = {
    "color": LINE_COLOURS[1], "linestyle": (0, (4, 1.5)), "label": "prediction", "zorder": 3
}  # fmt: skip
MASKED_COLOUR = "0.75"
SEQUENTIAL, DIVERGING, ERROR = (cm.cmaps[name] for name in ("batlow", "vik", "bam"))
SPREAD = cm.cmaps["lipari"]
"""Perceptually uniform maps (Crameri 2018, doi:10.5281/zenodo.1243862)."""
ONE_SIDED = 0.1
"""A scalar whose weaker sign reaches less than this part of the stronger counts as one-sided."""


@dataclass(frozen=True)
class Scale:
    """What colour stands for what value.

    Args:
        low: Value at the low end of the map, in the field's unit.
        high: Value at its high end.
        colours: The map.
    """

    low: float
    high: float
    colours: Colormap

    @property
    def norm(self) -> Normalize:
        """The range as matplotlib's images take it."""
        return Normalize(self.low, self.high)

    @property
    def mappable(self) -> ScalarMappable:
        """The scale as matplotlib's colour bars take it."""
        return ScalarMappable(self.norm, self.colours)

    def extend(self, values: np.ndarray) -> Literal["neither", "min", "max", "both"]:
        """Which ends of the scale some finite value goes beyond, as a colour bar shows it."""
        finite = values[np.isfinite(values)]
        below, above = bool(np.any(finite < self.low)), bool(np.any(finite > self.high))
        if below and above:
            return "both"
        return "min" if below else "max" if above else "neither"


def field_scale(values: np.ndarray, field: Field) -> Scale:
    """The scale for a field: diverging and centred at zero where it takes both signs.

    A component that a mirror turns round (odd parity) takes both signs as soon as its values do.
    Any other field may overshoot zero a little (see `ONE_SIDED`) and is still one-sided.

    Args:
        values: What the scale must cover; NaN and infinity are left out.
    """
    finite = np.asarray(values, dtype=np.float64)[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    odd = any(field.parity(axis) < 0 for axis in ("x", "y", "z"))
    weaker, stronger = sorted((abs(low), abs(high)))
    if low < 0 < high and (odd or weaker > ONE_SIDED * stronger):
        return Scale(-stronger, stronger, DIVERGING)
    if low == high:
        pad = 0.05 * abs(low) or 1.0
        return Scale(low - pad, high + pad, SEQUENTIAL)
    return Scale(low, high, SEQUENTIAL)


def error_scale(error: np.ndarray, span: float) -> Scale:
    """The scale for a signed error, centred at zero.

    Args:
        error: Prediction minus truth.
        span: Largest minus smallest truth. A larger error is off the scale, so that a forecast
            that blows up does not hide the frames before it.
    """
    finite = np.abs(error[np.isfinite(error)])
    limit = float(finite.max()) if finite.size else 0.0
    if span > 0:
        limit = min(limit, span) or 1e-3 * span
    limit = limit or 1.0
    return Scale(-limit, limit, ERROR)


def spread_scale(spread: np.ndarray) -> Scale:
    """The scale for a standard deviation: from zero, in a map of its own."""
    finite = spread[np.isfinite(spread)]
    return Scale(0.0, float(finite.max(initial=0.0)) or 1.0, SPREAD)


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Run a drawing function under `SETTINGS`, whatever the user's own matplotlib settings are."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(SETTINGS)
            return draw(*args, **kwargs)

    return wrapped


@styled
def save(figure: Figure, path: Path) -> Path:
    """Write a figure beside ``path`` and rename it; equal figures give equal bytes."""
    with written_beside(path) as unfinished:
        if path.suffix == ".png":
            unfinished.write_bytes(png(figure))
        else:
            figure.savefig(unfinished, metadata={"CreationDate": None, "ModDate": None})
    return path


@styled
def png(figure: Figure) -> bytes:
    """A figure as a PNG file, without its empty margin.

    Matplotlib's own tight box draws a figure twice and asks every artist for its size, which takes
    as long again. Where a layout has put all inside of the figure, it is drawn once and the pixels
    are trimmed; what reaches the edge all the same, such as a long title, may go on beyond it.
    """
    buffer = io.BytesIO()
    drawn = _drawn(figure) if figure.get_layout_engine() is not None else None
    if drawn is None:
        figure.savefig(buffer, format="png", metadata={"Software": None})
    else:
        margin = (round(MARGIN * DPI),) * 2
        framed = np.pad(drawn, (margin, margin, (0, 0)), constant_values=255)
        Image.fromarray(framed).save(buffer, "PNG", dpi=(DPI, DPI))
    return buffer.getvalue()


def _drawn(figure: Figure) -> np.ndarray | None:
    """The part of a figure's pixels that is not empty; ``None`` if it reaches an edge."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    inked = np.any(pixels < 255, axis=2)
    if not np.any(inked) or np.any(inked[[0, -1]]) or np.any(inked[:, [0, -1]]):
        return None
    rows, columns = np.flatnonzero(np.any(inked, axis=1)), np.flatnonzero(np.any(inked, axis=0))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
