"""Windows of consecutive frames out of the runs of one dataset."""

import xarray as xr
from torch.utils.data import Dataset

from mpp import schema
from mpp.batch import Batch, FieldScales
from mpp.data.finite import require_finite
from mpp.data.frames import Frames
from mpp.data.statistics import (
    RUNS,
    block_frames,
    combine,
    field_scales,
    run_squares,
    spread_runs,
)
from mpp.errors import InputError

IN_MEMORY_BYTES = 2**30
"""Datasets up to this size are read once; larger ones are read window by window."""


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

    def scales(self, runs: int = RUNS) -> FieldScales:
        """RMS of each field and of its change, as `mpp.data.statistics.field_scales` has it."""
        if self.loaded is None:
            return field_scales(self.ds, runs, self.source)
        chosen = (self.loaded.sample(run) for run in spread_runs(self.ds.sizes["sample"], runs))
        return combine(
            [run_squares(run.window, run.frames, block_frames(self.ds)) for run in chosen]
        )
