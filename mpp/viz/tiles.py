"""Two-dimensional cuts through a field of one to three space axes, and how one is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.ticker import MaxNLocator

from mpp import schema
from mpp.viz import labels
from mpp.viz.style import MASKED_COLOUR, Scale

LONGEST_SIDE = 12.0
"""Domains longer than this many times their width are stretched, as strips cannot be read."""


@dataclass(frozen=True)
class Tile:
    """A cut: which two dims span it, and where it lies along the others.

    Args:
        horizontal: Dim from left to right.
        vertical: Dim from bottom to top.
        place: Index along each other dim.
        title: Where that is, in physical units.
    """

    horizontal: str
    vertical: str
    place: Mapping[str, int]
    title: str

    @property
    def plane(self) -> tuple[str, str]:
        """The dims that span the cut."""
        return self.horizontal, self.vertical

    def cut(self, values: xr.DataArray) -> xr.DataArray:
        """The values on the cut, as (vertical, horizontal)."""
        return values.isel(self.place).transpose(self.vertical, self.horizontal)

    def shape(self, ds: xr.Dataset) -> float | None:
        """Physical height over width; ``None`` where that has no meaning or is too long to show."""
        units = [ds[dim].attrs.get("units") for dim in (self.horizontal, self.vertical)]
        if "time" in (self.horizontal, self.vertical) or units[0] != units[1]:
            return None
        left, right, bottom, top = extent(ds, self.horizontal, self.vertical)
        ratio = (top - bottom) / (right - left)
        return ratio if 1 / LONGEST_SIDE <= ratio <= LONGEST_SIDE else None


def space_time(ds: xr.Dataset, title: str = "") -> list[Tile]:
    """The one cut of a one-dimensional field: time to the right, space upwards."""
    return [Tile("time", schema.space_axes(ds)[0], {}, title)]


def snapshots(ds: xr.Dataset, frames: Sequence[int], titles: Sequence[str]) -> list[Tile]:
    """Cuts at some frames: the plane itself in 2-D, the three middle planes in 3-D."""
    axes = schema.space_axes(ds)
    if len(axes) == 2:
        pairs = zip(frames, titles, strict=True)
        return [Tile(axes[0], axes[1], {"time": frame}, title) for frame, title in pairs]
    tiles = []
    for normal in reversed(axes):
        across, up = (axis for axis in axes if axis != normal)
        middle = ds.sizes[normal] // 2
        where = labels.quantity(float(ds[normal][middle]), str(ds[normal].attrs.get("units", "1")))
        for frame, title in zip(frames, titles, strict=True):
            place = {"time": frame, normal: middle}
            words = [f"{labels.plain(normal)} = {where}", title]
            tiles.append(Tile(across, up, place, "\n".join(filter(None, words))))
    return tiles


def inside(ds: xr.Dataset, like: xr.DataArray, sample: int) -> xr.DataArray:
    """True where a field of one sample is defined, over the dims of ``like``."""
    found = xr.ones_like(like, dtype=bool)
    for name in schema.names(ds, "mask"):
        mask = ds[name].isel(sample=sample) if "sample" in ds[name].dims else ds[name]
        found = found & mask.astype(bool)
    return found.transpose(*like.dims)


def edges(points: np.ndarray) -> np.ndarray:
    """Borders of the cells around the points of an axis."""
    values = np.asarray(points, dtype=np.float64)
    if values.size == 1:
        return values[0] + np.array([-0.5, 0.5])
    between = (values[1:] + values[:-1]) / 2
    first, last = 2 * values[0] - between[0], 2 * values[-1] - between[-1]
    return np.concatenate([[first], between, [last]])


def extent(ds: xr.Dataset, horizontal: str, vertical: str) -> tuple[float, float, float, float]:
    """Left, right, bottom and top border of a cut."""
    across, up = edges(ds[horizontal].values), edges(ds[vertical].values)
    return float(across[0]), float(across[-1]), float(up[0]), float(up[-1])


def draw(axes: Axes, values: xr.DataArray, defined: xr.DataArray, scale: Scale) -> None:
    """Draw a cut: colours where it is finite, grey outside the mask, hatches where it is missing.

    Args:
        axes: Where to draw.
        values: As (vertical, horizontal), in physical units.
        defined: True inside the mask, over the same dims.
        scale: What colour stands for what value.
    """
    vertical, horizontal = (str(dim) for dim in values.dims)
    across, up = edges(values[horizontal].values), edges(values[vertical].values)
    numbers, within = np.asarray(values.values, dtype=np.float64), np.asarray(defined.values)
    missing = ~np.isfinite(numbers)
    axes.set_facecolor("0.93")
    axes.patch.set(hatch="////", edgecolor="0.6")
    regular = schema.is_even(values[horizontal].values) and schema.is_even(values[vertical].values)

    def paint(layer: np.ndarray, colours: Colormap, norm: Normalize) -> None:
        if regular:
            box = (across[0], across[-1], up[0], up[-1])
            axes.imshow(layer, colours, norm, aspect="auto", origin="lower", extent=box)
        else:
            axes.pcolormesh(across, up, layer, cmap=colours, norm=norm, rasterized=True)

    paint(np.ma.array(numbers, mask=missing | ~within), scale.colours, scale.norm)
    if not within.all():
        solid = ListedColormap([MASKED_COLOUR])
        paint(np.ma.array(np.zeros_like(numbers), mask=within), solid, Normalize(0, 1))
    if not np.any(~missing & within):
        axes.text(
            0.5, 0.5, "not finite", transform=axes.transAxes, ha="center", va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )  # fmt: skip


def sparse_ticks(axes: Axes, width: float, height: float) -> None:
    """As many ticks as a panel of this size in inches has room for."""
    for axis, room in ((axes.xaxis, 1.6 * width), (axes.yaxis, 2.5 * height)):
        count = max(1, min(6, round(room)))
        axis.set_major_locator(MaxNLocator(count, min_n_ticks=2, steps=[1, 2, 2.5, 5, 10]))
