"""A few frames of each field, spread over runs and times, and what they say."""

from itertools import pairwise

import numpy as np
import xarray as xr

from mpp.data.open import Reading
from mpp.data.report import FieldReport
from mpp.data.seam import seam_ratio
from mpp.fields import Field
from mpp.schema import names, space_axes

SAMPLED_BYTES = 2**27
"""Values read for a whole report, so that large files take seconds as well."""
SAMPLED_RUNS = 3
SAMPLED_PAIRS = 3


def sampled_frames(ds: xr.Dataset) -> dict[int, list[int]]:
    """Frames to read by run: pairs of neighbours in time."""
    samples, times = ds.sizes["sample"], ds.sizes["time"]
    frame = sum(ds[name].nbytes for name in names(ds)) / max(1, samples * times)
    pairs = int(np.clip(SAMPLED_BYTES / max(frame, 1) / 2, 1, SAMPLED_RUNS * SAMPLED_PAIRS))
    runs = _spread(samples, min(SAMPLED_RUNS, pairs))
    starts = _spread(max(1, times - 1), max(1, pairs // len(runs)))
    near = {start + step for start in starts for step in (0, 1) if start + step < times}
    return {run: sorted(near) for run in runs}


def _spread(size: int, count: int) -> list[int]:
    inner = np.linspace(0, size - 1, count + 2)[1:-1]
    return np.unique(inner.round().astype(int)).tolist()


def _frames(ds: xr.Dataset, name: str, run: int, times: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Frames of one run, one read each, and where they count: inside the mask."""
    frames = [ds[name].isel(sample=run, time=time).values for time in times]
    values = np.stack(frames).astype(np.float64)
    inside = np.ones(values.shape, dtype=bool)
    for mask in names(ds, "mask"):
        chosen = ds[mask].isel(sample=run) if "sample" in ds[mask].dims else ds[mask]
        inside &= chosen.values.astype(bool)
    return values, inside


def examine_field(reading: Reading, field: Field, frames: dict[int, list[int]]) -> FieldReport:
    """Range, missing values and pace of one field, from the frames given by run."""
    ds, low, high, bad, size = reading.ds, np.inf, -np.inf, 0, 0
    squares, changes = [], []
    for run, times in frames.items():
        values, inside = _frames(ds, field.name, run, times)
        finite = np.isfinite(values) & inside
        bad, size = bad + int((inside & ~finite).sum()), size + int(inside.sum())
        if not finite.any():
            continue
        low = min(low, float(values[finite].min()))
        high = max(high, float(values[finite].max()))
        squares.append(float(values[finite].var()))
        known = np.where(finite, values, np.nan)
        for place, (first, second) in enumerate(pairwise(times)):
            step = known[place + 1] - known[place]
            if second == first + 1 and np.isfinite(step).any():
                changes.append(float(np.nanmean(np.square(step))))
    spread = np.mean(squares) if squares else 0.0
    change = float(np.sqrt(np.mean(changes) / spread)) if changes and spread > 0 else float("nan")
    olds = {new: old for old, new in reading.plan.names.items()}
    encoding = ds[field.name].encoding
    return FieldReport(
        name=field.name,
        source=olds.get(field.name, field.name),
        units=field.units,
        vector=f"{field.vector} {field.component}" if field.vector else "",
        dtype=str(ds[field.name].dtype),
        low=low if squares else float("nan"),
        high=high if squares else float("nan"),
        missing=bad / max(1, size),
        change=change,
        chunks=tuple(encoding.get("chunksizes") or encoding.get("chunks") or ()),
    )


def seam_ratios(ds: xr.Dataset, frames: dict[int, list[int]]) -> dict[str, list[float]]:
    """How far each field jumps across the seam of each axis, in the last of the frames.

    Fields inside a mask tell nothing: what stands outside it is no field.
    """
    axes = space_axes(ds)
    found: dict[str, list[float]] = {axis: [] for axis in axes}
    if names(ds, "mask"):
        return found
    run, times = next(reversed(frames.items()))
    for name in names(ds):
        values, _ = _frames(ds, name, run, times[-1:])
        for place, axis in enumerate(axes):
            found[axis].append(seam_ratio(values, place + 1))
    return found
