"""A few frames of every field, spread over runs and times, and what they say.

All of them where the fields are small. Else which frames, depends on how the file is laid out:
what is read for them is bounded, chunks that must be read with them included. Frames too large for
that are read in part, a slab in the middle.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from mpp.data.open import Reading
from mpp.data.seam import seam_ratio
from mpp.doctor.layout import cost
from mpp.doctor.parts import FieldReport, Sampling
from mpp.fields import Field
from mpp.schema import names, space_axes

WHOLE_BYTES = 2**26
"""Fields up to this size are read whole, so that no single value escapes."""
BLOCK_BYTES = 2**23
"""Values of a field that are looked at together."""
SAMPLED_BYTES = 2**27
"""Bytes read for the fields' values, so that large files take seconds as well."""
MOST_BYTES = 2**29
"""Where the smallest sample needs more than this to be read, no values are looked at."""
SAMPLED_SECONDS = 10.0
"""No further frames are read after this time, on a slow disk for instance."""
SAMPLED_RUNS = 3
SAMPLED_PAIRS = 3
PENCIL = 8
"""Points across a line through a frame that is read in part, to compare its two ends."""


@dataclass(frozen=True)
class Places:
    """What to read: frames by run, pairs of neighbours in time, and which part of each axis."""

    frames: dict[int, list[int]]
    part: dict[str, slice]


@dataclass(frozen=True)
class Frames:
    """What was read of one run.

    Args:
        run: Its place.
        times: Places of the frames.
        values: Frames by field, ``(time, *space)``, in the file's kind of number.
        inside: Where they count, ``(*space)``; ``None`` where they do everywhere.
    """

    run: int
    times: tuple[int, ...]
    values: dict[str, np.ndarray]
    inside: np.ndarray | None


def choose_places(ds: xr.Dataset) -> Places:
    """Frames to read within the bound; none where the file lets nothing be read within it."""
    samples, times = ds.sizes["sample"], ds.sizes["time"]
    if is_small(ds):
        return Places({run: list(range(times)) for run in range(samples)}, {})
    part: dict[str, slice] = {}
    lengths = {"sample": 1, "time": 2, **{axis: ds.sizes[axis] for axis in space_axes(ds)}}
    for axis in space_axes(ds):
        while cost(ds, lengths) > SAMPLED_BYTES and lengths[axis] > 1:
            lengths[axis] = -(-lengths[axis] // 2)
            start = (ds.sizes[axis] - lengths[axis]) // 2
            part[axis] = slice(start, start + lengths[axis])
    needed = cost(ds, lengths)
    if needed > MOST_BYTES or not samples or not times:
        return Places({}, part)
    pairs = int(np.clip(SAMPLED_BYTES / max(needed, 1), 1, SAMPLED_RUNS * SAMPLED_PAIRS))
    runs = spread(samples, min(SAMPLED_RUNS, pairs))
    starts = spread(max(1, times - 1), max(1, pairs // len(runs)))
    near = {start + step for start in starts for step in (0, 1) if start + step < times}
    return Places({run: sorted(near) for run in runs}, part)


def is_small(ds: xr.Dataset) -> bool:
    """Whether all values of the fields can be read, chunks included."""
    within = sum(ds[name].nbytes for name in names(ds)) <= WHOLE_BYTES
    return within and ds.sizes["sample"] * cost(ds, {"sample": 1}) <= SAMPLED_BYTES


def spread(size: int, count: int) -> list[int]:
    """At most ``count`` places out of ``size``, evenly, away from both ends."""
    inner = np.linspace(0, size - 1, count + 2)[1:-1]
    return np.unique(inner.round().astype(int)).tolist()


def read_frames(ds: xr.Dataset, places: Places) -> tuple[tuple[Frames, ...], Sampling]:
    """Read them, until the time is over, and say how much that was."""
    start, read = time.perf_counter(), []
    for run, times in places.frames.items():
        if read and time.perf_counter() - start > SAMPLED_SECONDS:
            break
        values = {name: _values(ds[name], run, times, places.part) for name in names(ds)}
        read.append(Frames(run, tuple(times), values, inside(ds, run, places.part)))
    seconds = time.perf_counter() - start
    nbytes = sum(values.nbytes for frames in read for values in frames.values.values())
    whole = sum(ds[name].nbytes for name in names(ds))
    part = {axis: [each.start, each.stop] for axis, each in places.part.items()}
    count = sum(len(frames.times) for frames in read)
    sampling = Sampling(len(read), count, nbytes, nbytes / max(1, whole), part, seconds)
    return tuple(read), sampling


def _values(
    variable: xr.DataArray, run: int, times: Sequence[int], part: dict[str, slice]
) -> np.ndarray:
    """Frames of one run, those that are neighbours in one read."""
    cuts = np.flatnonzero(np.diff(times) != 1) + 1
    pieces = np.split(np.asarray(times), cuts)
    slices = [slice(int(piece[0]), int(piece[-1]) + 1) for piece in pieces]
    return np.concatenate(
        [variable.isel({"sample": run, "time": frames, **part}).values for frames in slices]
    )


def inside(ds: xr.Dataset, run: int, part: dict[str, slice]) -> np.ndarray | None:
    """Where the fields of a run are defined; ``None`` where there is no mask."""
    masks = []
    for name in names(ds, "mask"):
        mask = ds[name].isel(part)
        chosen = mask.isel(sample=run) if "sample" in mask.dims else mask
        masks.append(chosen.values.astype(bool))
    return np.logical_and.reduce(masks) if masks else None


def examine_field(reading: Reading, field: Field, read: Sequence[Frames]) -> FieldReport:
    """Range, missing values and pace of one field, from the frames that were read."""
    squares, spreads, changes, medians = [], [], [], []
    low, high, bad, size = np.inf, -np.inf, 0, 0
    missing: np.ndarray | None = None
    ends = {"low": 0, "high": 0}
    for times, own, where in _blocks(read, field.name):
        values = own.astype(np.float64)
        within = np.broadcast_to(True if where is None else where, values.shape)
        finite = np.isfinite(values) & within
        lost = np.asarray((within & ~finite).all(0))
        missing = lost if missing is None else np.logical_and(missing, lost)
        bad, size = bad + int((within & ~finite).sum()), size + int(within.sum())
        if not finite.any():
            continue
        known = values[finite]
        ends = _ends(ends, (low, high), known)
        low, high = min(low, float(known.min())), max(high, float(known.max()))
        squares.append(float(np.square(known).mean()))
        spreads.append(float(known.var()))
        medians.append(float(np.median(np.abs(known))))
        values = np.where(finite, values, np.nan)
        changes.append(_changes(values, times))
    nan = float("nan")
    variance = float(np.mean(spreads)) if spreads else 0.0
    found = np.concatenate([np.empty(0), *changes])
    pace = float(np.sqrt(found.mean())) if found.size else nan
    counted = max(1, size - bad)
    return FieldReport(
        name=field.name,
        source=source_of(reading, field.name),
        units=field.units,
        vector=f"{field.vector} {field.component}" if field.vector else "",
        dtype=str(reading.ds[field.name].dtype),
        low=low if squares else nan,
        high=high if squares else nan,
        rms=float(np.sqrt(np.mean(squares))) if squares else nan,
        median=float(np.median(medians)) if medians else nan,
        spread=float(np.sqrt(variance)) if squares else nan,
        step=pace,
        change=pace / float(np.sqrt(variance)) if variance > 0 else nan,
        missing=bad / max(1, size),
        gaps=0.0 if missing is None else float(missing.mean()),
        at_low=ends["low"] / counted,
        at_high=ends["high"] / counted,
        still=float((found == 0).sum()) / max(1, found.size),
    )


def _blocks(
    read: Sequence[Frames], name: str
) -> Iterator[tuple[tuple[int, ...], np.ndarray, np.ndarray | None]]:
    """Times and values of one field, a part of a run at a time, and where they count."""
    for frames in read:
        values = frames.values[name]
        each = max(2, BLOCK_BYTES // max(1, values[:1].nbytes))
        for start in range(0, len(values), each):
            yield frames.times[start : start + each], values[start : start + each], frames.inside


def _changes(values: np.ndarray, times: Sequence[int]) -> np.ndarray:
    """Mean squares of the change between frames that are neighbours, where there is one."""
    pairs = np.flatnonzero(np.diff(times) == 1)
    steps = np.square(values[pairs + 1] - values[pairs]).reshape(len(pairs), values[0].size)
    return np.nanmean(steps[np.isfinite(steps).any(1)], axis=1)


def _ends(
    counted: dict[str, int], bounds: tuple[float, float], known: np.ndarray
) -> dict[str, int]:
    """How many values are the smallest so far, and how many the largest."""
    low, high = float(known.min()), float(known.max())
    here = {"low": int((known == low).sum()), "high": int((known == high).sum())}
    fresh = {"low": low < bounds[0], "high": high > bounds[1]}
    same = {"low": low == bounds[0], "high": high == bounds[1]}
    return {
        end: here[end] if fresh[end] else counted[end] + (here[end] if same[end] else 0)
        for end in counted
    }


def source_of(reading: Reading, name: str) -> str:
    """What a variable is called in the file."""
    olds = {new: old for old, new in reading.plan.names.items()}
    return olds.get(name, name)


def seam_ratios(
    ds: xr.Dataset, read: Sequence[Frames], part: dict[str, slice]
) -> dict[str, list[float]]:
    """How far each field jumps across the seam of each axis, in the last of the frames.

    Fields inside a mask tell nothing: what stands outside it is no field. Of frames that were read
    in part, lines along each axis are read in addition.
    """
    axes = space_axes(ds)
    found: dict[str, list[float]] = {axis: [] for axis in axes}
    if names(ds, "mask") or not read:
        return found
    last = read[-1]
    for name in names(ds):
        for place, axis in enumerate(axes):
            if part:
                values = _pencil(ds[name], last.run, last.times[-1], axis, axes)
            else:
                values = last.values[name][-1]
            if values is not None:
                found[axis].append(seam_ratio(values, place))
    return found


def _pencil(
    variable: xr.DataArray, run: int, frame: int, axis: str, axes: Sequence[str]
) -> np.ndarray | None:
    """Lines along ``axis`` through the middle of a frame, if they cost little to read."""
    across = {other: min(PENCIL, variable.sizes[other]) for other in axes if other != axis}
    block = {"sample": 1, "time": 1, **across}
    if cost(variable.to_dataset(), block) > SAMPLED_BYTES / len(axes):
        return None
    starts = {other: (variable.sizes[other] - n) // 2 for other, n in across.items()}
    middle = {other: slice(starts[other], starts[other] + n) for other, n in across.items()}
    return variable.isel({"sample": run, "time": frame, **middle}).values
