"""What the explorer shows of a rollout, read from the file one frame at a time.

Every function takes the dataset, as lazy as it was opened, and a `View` of it. A frame of a run is
read whole; a line in time is read at one point, at no more than `INSTANTS` frames; a colour scale
takes a few frames. Nothing here grows with the number of frames, runs or members but the time that
the file itself takes to find them.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from mpp import schema
from mpp.fields import Field
from mpp.viz import labels, tiles
from mpp.viz.members import is_ensemble
from mpp.viz.panels import lead_times, spread
from mpp.viz.player import evenly, text
from mpp.viz.spectra import energy_spectrum, has_spectrum
from mpp.viz.strips import frame_scores
from mpp.viz.style import Scale, error_scale, field_scale
from mpp.viz.tiles import Tile

Part = str
"""``truth``, ``prediction`` and ``error``; ``data`` where nothing was predicted."""
INSTANTS = 400
"""Frames at most in a time series, evenly placed."""
COLUMNS = 1000
"""Frames at most in a space-time diagram."""
PIXELS = 512
"""Points along an axis that are shown; of more, every second, third and so on."""
SCALE_FRAMES, SCALE_POINTS = 8, 2**20
"""Frames that a colour scale covers, and points of each."""
MEAN = -1
"""As a member: the mean over all of them."""


@dataclass(frozen=True)
class View:
    """What of a rollout is looked at.

    Args:
        field: Name of the field.
        sample: Which run.
        member: Which member of an ensemble, or `MEAN`.
        frame: Which frame, counted from 0.
        point: Index along each space axis of the chosen point; in three dimensions that along
            ``normal`` is also where the plane lies that is shown.
        along: Axis of the cross-section.
        normal: Axis that the plane shown is normal to, in three dimensions.
    """

    field: str
    sample: int
    member: int
    frame: int
    point: Mapping[str, int]
    along: str
    normal: str

    @classmethod
    def first(cls, ds: xr.Dataset, field: str = "") -> "View":
        """The middle of the first frame of the first run."""
        axes = schema.space_axes(ds.isel(member=0) if is_ensemble(ds) else ds)
        point = {axis: ds.sizes[axis] // 2 for axis in axes}
        member = MEAN if is_ensemble(ds) else 0
        return cls(field or schema.names(ds)[0], 0, member, 0, point, axes[0], axes[-1])


@dataclass(frozen=True)
class Frame:
    """One frame of one field and run in double precision; NaN outside the domain.

    Args:
        parts: Truth, prediction and error over the space axes, or the one of them that is known.
        missing: Points of each part inside the domain that are not finite.
        score: VRMSE of the prediction, where the truth is known.
    """

    parts: Mapping[Part, xr.DataArray]
    missing: Mapping[Part, int]
    score: float | None


@dataclass(frozen=True)
class Image:
    """A cut of a frame as equally wide pixels.

    Args:
        values: Rows from bottom to top.
        box: Left, right, bottom and top border, in the axes' units.
    """

    values: Float[np.ndarray, "row column"]
    box: tuple[float, float, float, float]


def axes(view: View) -> tuple[str, ...]:
    """The space axes."""
    return tuple(view.point)


def field(ds: xr.Dataset, view: View) -> Field:
    """The field that is shown."""
    return Field.from_attrs(view.field, ds[view.field].attrs)


def parts(ds: xr.Dataset, view: View) -> tuple[Part, ...]:
    """What there is to show of a field: with a truth three, else the prediction or the data."""
    if f"truth_{view.field}" in ds:
        return ("truth", "prediction", "error")
    return ("prediction",) if "history_end" in ds.attrs else ("data",)


def frame(ds: xr.Dataset, view: View) -> Frame:
    """Read a frame."""
    shown, inside = _read(ds, view, {"time": view.frame})
    missing = {
        part: int((~np.isfinite(values.values) & inside.values).sum())
        for part, values in shown.items()
    }
    score = None
    if "truth" in shown:
        made, true = (shown[part].expand_dims("time") for part in ("prediction", "truth"))
        score = frame_scores(made, true, inside.expand_dims("time"))[0]
    return Frame({p: v.where(inside) for p, v in shown.items()}, missing, score)


def diagram(ds: xr.Dataset, view: View) -> dict[Part, xr.DataArray]:
    """A one-dimensional field over (lead time, space), at up to `COLUMNS` frames."""
    some = _thinned(ds, COLUMNS)
    shown, inside = _read(ds, view, {"time": some})
    leads = lead_times(ds)[some]
    return {p: values.where(inside).assign_coords(time=leads) for p, values in shown.items()}


def scales(ds: xr.Dataset, view: View, whole: bool = True) -> dict[Part, Scale]:
    """The colours of each part: truth and prediction share theirs, the error's is symmetric.

    Args:
        ds: A rollout.
        view: What is looked at.
        whole: Whether they cover some frames of the run, so that colours mean the same in each of
            them, or this frame alone.
    """
    frames = spread(ds.sizes["time"], SCALE_FRAMES) if whole else [view.frame]
    points = int(np.prod([ds.sizes[axis] for axis in axes(view)]))
    step = max(1, round((points / SCALE_POINTS) ** (1 / len(axes(view)))))
    thin = {axis: slice(None, None, step) for axis in axes(view)}
    found: dict[Part, list[np.ndarray]] = {}
    for number in frames:
        shown, inside = _read(ds.isel(thin), view, {"time": number})
        for part, values in shown.items():
            found.setdefault(part, []).append(values.where(inside).values.ravel())
    joined = {part: np.concatenate(values) for part, values in found.items()}
    item = field(ds, view)
    if "truth" not in joined:
        return {part: field_scale(values, item) for part, values in joined.items()}
    known = joined["truth"][np.isfinite(joined["truth"])]
    span = float(np.ptp(known)) if known.size else 0.0
    shared = field_scale(joined["truth"], item)
    return {
        "truth": shared, "prediction": shared, "error": error_scale(joined["error"], span)
    }  # fmt: skip


def tile(ds: xr.Dataset, view: View) -> Tile:
    """The cut that is shown: of a line all of its frames, of a cube one plane."""
    if len(axes(view)) == 1:
        return tiles.space_time(ds)[0]
    across, up, *_ = (axis for axis in axes(view) if axis != view.normal or len(axes(view)) == 2)
    place = {view.normal: view.point[view.normal]} if len(axes(view)) == 3 else {}
    return Tile(across, up, place, "")


def image(values: xr.DataArray, cut: Tile) -> Image:
    """A cut as pixels; uneven axes are shown where their points lie."""
    shown = cut.cut(values)
    thin = {dim: slice(None, None, -(-size // PIXELS)) for dim, size in shown.sizes.items()}
    if cut.horizontal == "time":
        thin["time"] = slice(None)
    shown = shown.isel(thin)
    up, across = (shown[dim].values for dim in shown.dims)
    pixels = shown.values[np.ix_(evenly(up), evenly(across))]
    borders = tiles.edges(across), tiles.edges(up)
    box = tuple(float(border[end]) for border in borders for end in (0, -1))
    return Image(pixels.astype(np.float32), box)  # type: ignore[arg-type]  # four of them


def section(found: Frame, view: View) -> dict[Part, np.ndarray]:
    """Values along the axis of the cross-section, through the chosen point."""
    place = {axis: index for axis, index in view.point.items() if axis != view.along}
    return {part: values.isel(place).values for part, values in found.parts.items()}


def series(ds: xr.Dataset, view: View) -> tuple[np.ndarray, dict[Part, np.ndarray]]:
    """Lead times, and values at the chosen point at each, at up to `INSTANTS` frames."""
    some = _thinned(ds, INSTANTS)
    shown, inside = _read(ds, view, {"time": some, **view.point})
    return lead_times(ds)[some], {part: v.where(inside).values for part, v in shown.items()}


def spectrum(ds: xr.Dataset, found: Frame, view: View) -> tuple[xr.DataArray, ...]:
    """Energy per wavenumber of truth and prediction, or of what is known; empty for none."""
    whole = {p: v for p, v in found.parts.items() if p != "error"}
    if not has_spectrum(ds) or any(found.missing[part] for part in whole):
        return ()
    masks = ds[list(schema.names(ds, "mask"))]
    if "sample" in masks.dims:
        masks = masks.isel(sample=[view.sample])
    shown = masks.assign({p: v.fillna(0.0).expand_dims("sample") for p, v in whole.items()})
    return tuple(energy_spectrum(shown, part)[0] for part in whole)


def moved(ds: xr.Dataset, view: View, across: float, up: float) -> View:
    """The view with its point, or in one dimension its frame too, where a picture was tapped."""
    cut = tile(ds, view)
    point = dict(view.point)
    changed = view.frame
    for dim, place in ((cut.horizontal, across), (cut.vertical, up)):
        if dim == "time":
            changed = nearest(lead_times(ds), place)
        else:
            point[dim] = nearest(ds[dim].values, place)
    return replace(view, point=point, frame=changed)


def nearest(points: np.ndarray, place: float) -> int:
    """Index of the point that is nearest to a place."""
    return int(np.abs(np.asarray(points, dtype=np.float64) - place).argmin())


def axis_text(ds: xr.Dataset, axis: str) -> str:
    """Name and unit of an axis, as plain text."""
    return text(labels.axis_label(ds, axis), 60)


def place_text(ds: xr.Dataset, axis: str, index: int) -> str:
    """Where a point of an axis lies, with its unit."""
    value = labels.quantity(float(ds[axis][index]), str(ds[axis].attrs.get("units", "1")))
    return text(value, 60)


def lead_text(ds: xr.Dataset, index: int) -> str:
    """The lead time of a frame with its unit."""
    units: Any = ds["time"].attrs.get("units", "1")
    return text(labels.quantity(float(lead_times(ds)[index]), str(units)), 60)


def _thinned(ds: xr.Dataset, most: int) -> slice:
    return slice(None, None, max(1, -(-ds.sizes["time"] // most)))


def _read(
    ds: xr.Dataset, view: View, place: Mapping[str, Any]
) -> tuple[dict[Part, xr.DataArray], xr.DataArray]:
    """Truth, prediction and error at a place, over (time, *space), and where they are defined."""
    some = ds.isel(place)
    first, *more = parts(ds, view)
    dims = [dim for dim in ("time", *axes(view)) if dim in some.dims]
    predicted = _run(some[view.field], view).transpose(*dims)
    inside = tiles.inside(some, predicted, view.sample)
    if not more:
        return {first: predicted}, inside
    truth = _run(some[f"truth_{view.field}"], view).transpose(*dims)
    with np.errstate(over="ignore", invalid="ignore"):
        error = predicted - truth
    return {"truth": truth, "prediction": predicted, "error": error}, inside


def _run(values: xr.DataArray, view: View) -> xr.DataArray:
    """One run, and one member or the mean over them, in memory."""
    run = values.isel(sample=view.sample)
    if "member" in run.dims and view.member != MEAN:
        run = run.isel(member=view.member)
    run = run.astype(np.float64).load()
    if "member" in run.dims:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a member that is not finite
            run = run.mean("member", skipna=False)
    return run
