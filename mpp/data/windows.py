"""Windows of consecutive frames out of the runs of one dataset."""

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torch.utils.data import Dataset

from mpp import schema
from mpp.batch import Batch, FieldScales, mean_square
from mpp.data.frames import Frames
from mpp.errors import InputError

IN_MEMORY_BYTES = 2**30
"""Datasets up to this size are read once; larger ones are read window by window."""
STILL = 1e-5
"""A field changes by at least this share of its size; float32 tells little less from none."""


class Windows(Dataset[Batch]):
    """Every window of ``frames`` consecutive frames, run after run, as a `Batch` of one sample.

    Args:
        ds: A dataset in the schema; stays lazy if it is large.
        frames: Length of a window.
        stride: Frames between the starts of two windows of a run.
        source: What to call the dataset in errors.

    Raises:
        InputError: The dataset breaks the schema, or its runs are shorter than a window.
    """

    def __init__(
        self, ds: xr.Dataset, frames: int, stride: int = 1, source: str = "dataset"
    ) -> None:
        schema.require_valid(ds, source)
        runs, length = ds.sizes["sample"], ds.sizes["time"]
        if length < frames:
            raise InputError(
                f"{source}: windows of {frames} frames were asked for, but its runs have "
                f"{length}; give longer runs, or a model with a shorter history"
            )
        self.ds, self.frames, self.source = ds, frames, source
        starts = range(0, length - frames + 1, stride)
        self.places = [(run, start) for run in range(runs) for start in starts]
        small = ds.nbytes <= IN_MEMORY_BYTES
        self.loaded = Batch.from_dataset(ds) if small else None
        if self.loaded is not None:
            require_finite(self.loaded, source)
        self.reader = None if small else Frames(ds)

    @property
    def system(self) -> str:
        return schema.system(self.ds)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Batch:
        run, start = self.places[index]
        stop = start + self.frames
        if self.loaded is not None:
            return self.loaded.sample(run).window(start, stop)
        assert self.reader is not None
        batch = self.reader.window(run, start, stop)
        require_finite(batch, f"{self.source}, run {run}, frames {start} to {stop}")
        return batch

    @property
    def time_step(self) -> float:
        """Mean time between frames."""
        time = self.ds["time"].values
        return float(time[-1] - time[0]) / (time.size - 1)

    def scales(self, runs: int = 64) -> FieldScales:
        """RMS of each field and of its change from frame to frame, over at most ``runs`` runs.

        Points outside the mask do not count. Both are above zero: a field that is zero throughout
        counts as one of size 1, a field that stands still as one that changes by `STILL` of it.
        """
        chosen = np.unique(np.linspace(0, self.ds.sizes["sample"] - 1, runs).astype(int))
        squares, changes = [], []
        for run in chosen:
            whole = self.loaded.sample(run) if self.loaded is not None else self._run(int(run))
            values = whole.values.double()
            squares.append(mean_square(values, whole.mask).mean((0, 1)))
            changes.append(mean_square(values.diff(dim=1), whole.mask).mean((0, 1)))
        value, change = (torch.stack(parts).mean(0).sqrt() for parts in (squares, changes))
        value = torch.where(value > 0, value, 1)
        return FieldScales(value.float(), change.maximum(STILL * value).float())

    def _run(self, run: int) -> Batch:
        batch = Batch.from_dataset(self.ds.isel(sample=[run]))
        require_finite(batch, f"{self.source}, run {run}")
        return batch


def require_finite(batch: Batch, source: str) -> None:
    """Refuse values that no model may see.

    Raises:
        InputError: A field inside the mask, or a static map, holds NaN or infinity.
    """
    values = batch.values
    if batch.mask is None and batch.static is None and _finite(values.sum()):
        return  # of values that are not finite the sum is not; that they are takes one pass
    if batch.mask is not None:
        values = torch.where(batch.mask[:, None, None], values, 0)
    bad = [name for channel, name in enumerate(batch.names) if not _finite(values[:, :, channel])]
    if batch.static is not None:
        maps = enumerate(batch.static_fields)
        bad += [item.name for channel, item in maps if not _finite(batch.static[:, channel])]
    if bad:
        raise InputError(
            f"{source}: {', '.join(bad)} holds NaN or infinite values, or some beyond float32 "
            "(3.4e38); fill them or give a mask, as mpp convert does with --set 'missing: nearest' "
            "or --set 'missing: mask', or choose other units"
        )


def _finite(values: Tensor) -> bool:
    return bool(torch.isfinite(values).all())
