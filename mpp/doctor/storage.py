"""How fast windows come out of the files, and how much is read in vain for them."""

import time
from dataclasses import dataclass
from math import nan, prod

import xarray as xr

from mpp.data.convert import CHUNK_BYTES
from mpp.doctor.layout import Stored, cost, stored
from mpp.doctor.sampled import spread
from mpp.schema import names, space_axes

WINDOW_FRAMES = 17
"""Frames of a window that the default model trains on: twice its history, and the last target."""
IN_MEMORY_BYTES = 2**30
"""Training reads datasets up to this size once; `mpp.data.windows` says so."""
MEASURED_BYTES = 2**28
"""Bytes read for the measurement, with all that lies in the same chunks."""
MEASURED_SECONDS = 2.0
MEASURED_WINDOWS = 8


@dataclass(frozen=True)
class StorageReport:
    """How the files are laid out against what training reads: windows of frames of whole grids.

    Args:
        chunks: Chunk by dim, of the first field; empty where it is stored in one piece, or where
            that is not known.
        dims: Dims of the chunk, in the order of the file.
        compressed: Whether chunks are compressed.
        chunk_bytes: Size of a chunk.
        window: Frames in a window.
        window_bytes: Size of a window.
        overhead: Bytes that must be read for a window over its size, 1 at best.
        converted: The same in chunks as ``mpp convert`` writes them.
        windows_per_second: Measured; ``nan`` where it was not.
        measured: Windows that were read for it.
        frames: Frames of each that were read, less than a window has where frames are large.
        in_memory: Whether training reads everything once, and windows from memory.
    """

    chunks: tuple[int, ...]
    dims: tuple[str, ...]
    compressed: bool
    chunk_bytes: int
    window: int
    window_bytes: int
    overhead: float
    converted: float
    windows_per_second: float
    measured: int
    frames: int
    in_memory: bool


def examine_storage(ds: xr.Dataset) -> StorageReport:
    """Look at chunks and read a few windows, as whole as the bounds let them be."""
    window = max(1, min(WINDOW_FRAMES, ds.sizes["time"]))
    size = _bytes(ds, window)
    found = stored(ds[names(ds)[0]].variable) if names(ds) else None
    rate, measured, frames = _measure(ds, window)
    return StorageReport(
        chunks=found.chunks if found else (),
        dims=found.dims if found else (),
        compressed=bool(found and found.compressed),
        chunk_bytes=found.chunk_bytes if found and found.chunks else 0,
        window=window,
        window_bytes=size,
        overhead=cost(ds, {"sample": 1, "time": window}) / max(1, size),
        converted=_converted(ds, window) / max(1, size),
        windows_per_second=rate,
        measured=measured,
        frames=frames,
        in_memory=ds.nbytes <= IN_MEMORY_BYTES,
    )


def _bytes(ds: xr.Dataset, frames: int) -> int:
    space = prod(ds.sizes[axis] for axis in space_axes(ds))
    return sum(ds[name].dtype.itemsize * frames * space for name in names(ds))


def _converted(ds: xr.Dataset, window: int) -> int:
    """Bytes read for a window from what ``mpp convert`` makes of the dataset."""
    shape = tuple(ds.sizes[axis] for axis in space_axes(ds))
    frames = min(ds.sizes["time"], max(1, CHUNK_BYTES // (4 * prod(shape))))
    made = Stored(("time", *space_axes(ds)), (ds.sizes["time"], *shape), (frames, *shape), 4)
    return len(names(ds)) * made.touched({"time": window})


def _measure(ds: xr.Dataset, window: int) -> tuple[float, int, int]:
    """Windows a second, how many were read for that, and how many frames of each."""
    frames = window
    while frames > 1 and cost(ds, {"sample": 1, "time": frames}) > MEASURED_BYTES:
        frames = -(-frames // 2)
    needed = cost(ds, {"sample": 1, "time": frames})
    if not names(ds) or needed > MEASURED_BYTES or 0 in ds.sizes.values():
        return nan, 0, 0
    count = int(min(MEASURED_WINDOWS, max(1, MEASURED_BYTES // max(1, needed))))
    starts = ds.sizes["time"] - frames + 1
    begun, done = time.perf_counter(), 0
    for number in spread(ds.sizes["sample"] * starts, count):
        run, start = divmod(number, starts)
        block = ds.isel(sample=run, time=slice(start, start + frames))
        for name in names(ds):
            _ = block[name].values
        done += 1
        if time.perf_counter() - begun > MEASURED_SECONDS:
            break
    seconds = (time.perf_counter() - begun) / done * window / frames
    return 1 / max(seconds, 1e-9), done, frames
