"""What training needs to know of each field's size, in one pass over the frames at constant memory.

A frame gives two numbers a field: the mean square of its values over the points inside the mask,
and that of their difference from the frame before. Each is NumPy's pairwise sum of float64 numbers
that lie behind each other, which has one order and one thread. Frames are read in blocks of at most
`BLOCK_BYTES`, or one by one where a frame is larger, and the mean over the frames of a run, then
over the runs, divides an exact sum (`math.fsum`, rounded once). So the result is the same to the
bit however the blocks fall, in whatever order runs are read, and by whichever process.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np
import torch
import xarray as xr

from mpp import schema
from mpp.batch import Batch, FieldScales
from mpp.data.finite import require_finite
from mpp.data.frames import Frames

BLOCK_BYTES = 2**25
"""Values that are held at once, as float32."""
RUNS = 64
"""So many runs are looked at, spread evenly; of more, the scale of a field hardly changes."""
STILL = 1e-5
"""A field changes by at least this share of its size; float32 tells little less from none."""
Read = Callable[[int, int], Batch]
"""The frames from a first up to but not including a last one, of one run."""
Squares = tuple[tuple[float, ...], tuple[float, ...]]
"""Of one run, the mean square of each field and that of its change."""


def field_scales(
    ds: xr.Dataset, runs: int = RUNS, source: str = "dataset", pool: Executor | None = None
) -> FieldScales:
    """RMS of each field and of its change from frame to frame, over at most ``runs`` runs.

    Points outside the mask do not count. Both are above zero: a field that is zero throughout
    counts as one of size 1, a field that stands still as one that changes by `STILL` of it.

    Args:
        ds: A dataset in the schema; a lazy one is read a block of frames at a time.
        runs: How many runs to look at, spread evenly over all.
        source: What to call the dataset in errors.
        pool: Processes that read a run each, such as those of `mpp.data.cluster.cluster_pool`; they
            must see the files at the same paths. The result is the same to the bit.

    Raises:
        InputError: The dataset breaks the schema, or a value inside the mask is not finite.
    """
    schema.require_valid(ds, source)
    chosen = spread_runs(ds.sizes["sample"], runs)
    one = partial(_one_run, source=source)
    parts = (ds.isel(sample=[run]) for run in chosen)
    if pool is None:
        return combine(list(map(one, parts, chosen)))
    return combine(list(pool.map(one, list(parts), chosen)))


def spread_runs(count: int, most: int) -> list[int]:
    """At most so many of all runs, evenly over them, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, most).astype(int)).tolist()


def block_frames(ds: xr.Dataset) -> int:
    """Frames of all fields that `BLOCK_BYTES` hold, at least one."""
    points = math.prod(ds.sizes[axis] for axis in schema.space_axes(ds))
    return max(1, BLOCK_BYTES // (4 * points * len(schema.names(ds))))


def run_squares(read: Read, length: int, block: int) -> Squares:
    """The mean squares of one run.

    Args:
        read: Gives its frames.
        length: How many it has.
        block: How many to read at once.
    """
    values: list[list[float]] = []
    changes: list[list[float]] = []
    before: np.ndarray | None = None
    for start in range(0, length, block):
        batch = read(start, min(start + block, length))
        inside = None if batch.mask is None else batch.mask[0].numpy()
        for frame in batch.values[0].numpy():
            values.append([_mean_square(field, None, inside) for field in frame])
            if before is not None:
                pairs = zip(frame, before, strict=True)
                changes.append([_mean_square(field, old, inside) for field, old in pairs])
            before = frame
        before = None if before is None else before.copy()  # lets go of the block
    return _mean(values), _mean(changes or [[0.0] * len(values[0])])


def combine(runs: Sequence[Squares]) -> FieldScales:
    """The scales of all runs together."""
    squares, changes = zip(*runs, strict=True)
    value, change = (
        torch.tensor(_mean(part), dtype=torch.float64).sqrt() for part in (squares, changes)
    )
    value = torch.where(value > 0, value, 1)
    return FieldScales(value.float(), change.maximum(STILL * value).float())


def _one_run(ds: xr.Dataset, number: int, source: str) -> Squares:
    frames = Frames(ds)

    def read(start: int, stop: int) -> Batch:
        batch = frames.window(0, start, stop)
        require_finite(batch, f"{source}, run {number}")
        return batch

    return run_squares(read, ds.sizes["time"], block_frames(ds))


def _mean_square(field: np.ndarray, old: np.ndarray | None, inside: np.ndarray | None) -> float:
    """Over the points inside, in float64; 0 where there are none."""
    points = field.ravel() if inside is None else field[inside]
    numbers = points.astype(np.float64)
    if old is not None:
        numbers -= old.ravel() if inside is None else old[inside]
    np.square(numbers, out=numbers)
    return float(numbers.sum()) / max(1, numbers.size)


def _mean(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The mean of each column: an exact sum, rounded, then divided."""
    return tuple(math.fsum(column) / len(rows) for column in zip(*rows, strict=True))
