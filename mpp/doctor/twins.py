"""Runs that appear twice: by the hash of their first and last frame, in this and other splits.

A block of a field of the first and of the last frame is hashed for as many runs as can be read
within the bounds. Runs whose blocks agree are compared over the whole frames, as far as the bounds
let them.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import get_args

import numpy as np
import xarray as xr

from mpp.data.mapping import Mapping, Split
from mpp.data.open import Reading, read
from mpp.data.recognise import Paths, find_files
from mpp.doctor.layout import cost
from mpp.errors import InputError
from mpp.schema import names, space_axes

BLOCK = 4096
"""Points of a frame in a block, at most, unless a row of the last axis is longer."""
COMPARED_BYTES = 2**27
"""Bytes read for all blocks, and again for whole frames, at most."""
COMPARED_SECONDS = 4.0


@dataclass(frozen=True)
class Twins:
    """Runs that agree.

    Args:
        compared: How many runs were compared with each other.
        runs: How many there are.
        splits: Other splits beside the files that were compared as well.
        identical: Groups of runs with the same first and last frames.
        same_start: Groups of runs with the same first frame only.
        unsure: Whether some of them agree in a block that was read, and were not read whole.
        unread: Why another split could not be compared, by its name.
    """

    compared: int = 0
    runs: int = 0
    splits: tuple[str, ...] = ()
    identical: tuple[tuple[str, ...], ...] = ()
    same_start: tuple[tuple[str, ...], ...] = ()
    unsure: bool = False
    unread: dict[str, str] = field(default_factory=dict)


@dataclass
class Budget:
    """What may still be read."""

    nbytes: float = field(default_factory=lambda: COMPARED_BYTES)
    until: float = field(default_factory=lambda: time.perf_counter() + COMPARED_SECONDS)

    def allows(self, nbytes: int) -> bool:
        """Whether so many bytes may be read; they are taken off if so."""
        self.nbytes -= nbytes
        return self.nbytes >= 0 and time.perf_counter() < self.until


class Source:
    """A dataset that runs are compared of: the block of a frame that is looked at, and its cost.

    Args:
        ds: The dataset.
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self.ds, self.block = ds, _block(ds)
        lengths = {axis: part.stop - part.start for axis, part in self.block.items()}
        self.block_cost = cost(ds, {"sample": 1, "time": 1, **lengths})
        self.frame_cost = cost(ds, {"sample": 1, "time": 1})


@dataclass(frozen=True)
class Run:
    """One run of one dataset, and what to call it."""

    source: Source
    place: int
    name: str

    def hashed(self, frame: int, block: dict[str, slice]) -> bytes | None:
        """The hash of all fields of a frame; of a block, up to the first field that varies in it.

        ``None`` where none varies in the block.
        """
        digest, varies = blake2b(digest_size=16), False
        for name in names(self.source.ds):
            variable = self.source.ds.variables[name]
            values = variable.isel({"sample": self.place, "time": frame, **block}).values
            varies = varies or bool(np.ptp(values) != 0) or not block
            digest.update(np.ascontiguousarray(values.astype(np.float64)).tobytes())
            if varies and block:
                break
        return digest.digest() if varies else None


def find_twins(reading: Reading, paths: Paths, mapping: Mapping) -> Twins:
    """Compare the runs of a dataset, and of its other splits where it lies in folders of them."""
    others, unread = _other_splits(reading, paths, mapping)
    if not names(reading.ds):
        return Twins(unread=unread)
    here = _runs(reading, "")
    every = [*here, *(run for runs in others.values() for run in runs)]
    budget = Budget()
    blocks: dict[tuple[bytes, bytes], list[Run]] = defaultdict(list)
    starts: dict[bytes, list[Run]] = defaultdict(list)
    compared = 0
    for run in _evenly(every):
        ends = _ends(run, budget)
        if ends is None:
            continue
        compared += 1
        blocks[ends].append(run)
        starts[ends[0]].append(run)
    checked = _Checked(Budget())
    identical = [group for runs in blocks.values() for group in checked.groups(runs, (0, -1))]
    paired = {run.name for group in identical for run in group[1:]}
    left = [[run for run in runs if run.name not in paired] for runs in starts.values()]
    same = [group for runs in left for group in checked.groups(runs, (0,))]
    order = {run.name: place for place, run in enumerate(every)}

    def called(groups: Sequence[Sequence[Run]]) -> tuple[tuple[str, ...], ...]:
        named = [sorted((run.name for run in group), key=order.__getitem__) for group in groups]
        return tuple(sorted(map(tuple, named), key=lambda group: order[group[0]]))

    return Twins(
        compared=compared,
        runs=len(every),
        splits=tuple(others),
        identical=called(identical),
        same_start=called(same),
        unsure=checked.unsure,
        unread=unread,
    )


@dataclass
class _Checked:
    """Groups that agree over whole frames, as long as these may be read."""

    budget: Budget
    unsure: bool = False

    def groups(self, runs: Sequence[Run], frames: Sequence[int]) -> list[list[Run]]:
        if len(runs) < 2:
            return []
        found: dict[tuple[bytes | None, ...], list[Run]] = defaultdict(list)
        for run in runs:
            if not self.budget.allows(len(frames) * run.source.frame_cost):
                self.unsure = True
                return [list(runs)]
            found[tuple(run.hashed(frame, {}) for frame in frames)].append(run)
        return [group for group in found.values() if len(group) > 1]


def _ends(run: Run, budget: Budget) -> tuple[bytes, bytes] | None:
    """Hashes of the first and last frame, by a block of them, or whole where a block is flat."""
    source, found = run.source, []
    for frame in (0, -1):
        if not budget.allows(source.block_cost):
            return None
        hashed = run.hashed(frame, source.block)
        if hashed is None:
            if not budget.allows(source.frame_cost):
                return None
            hashed = run.hashed(frame, {})
        assert hashed is not None  # a whole frame has a hash in any case
        found.append(hashed)
    return found[0], found[1]


def _block(ds: xr.Dataset) -> dict[str, slice]:
    """A few neighbouring rows in the middle of a frame."""
    left, block = BLOCK, {}
    for axis in reversed(space_axes(ds)):
        size = ds.sizes[axis]
        length = size if not block else max(1, min(size, left))
        left //= max(1, length)
        start = (size - length) // 2
        block[axis] = slice(start, start + length)
    return block


def _evenly(runs: Sequence[Run]) -> list[Run]:
    """All runs in an order of which every beginning is spread over them."""
    phases = (np.arange(len(runs)) * 0.6180339887498949) % 1.0
    return (
        [runs[place] for place in np.argsort(phases, kind="stable")] if len(runs) > 64 else [*runs]
    )


def _runs(reading: Reading, split: str) -> list[Run]:
    source, count = Source(reading.ds), reading.ds.sizes["sample"]
    files = run_files(reading)
    called = [f"run {run} of {files[run]}" if files else f"run {run}" for run in range(count)]
    return [Run(source, run, f"{split} {called[run]}".strip()) for run in range(count)]


def run_files(reading: Reading) -> list[str]:
    """The file of each run by name; empty where there is one file, or runs go through several."""
    count, files = reading.ds.sizes["sample"], reading.files
    if len(files) < 2 or count != len(files) or "pieces" in reading.joined:
        return []
    shared = len({file.name for file in files}) < len(files)
    return [str(file) if shared else file.name for file in files]


def _other_splits(
    reading: Reading, paths: Paths, mapping: Mapping
) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """Runs of the other splits, and why others that are there cannot be read."""
    seen, found, unread = set(reading.files), {}, {}
    for split in get_args(Split):
        try:
            files = find_files(paths, split)
        except InputError:
            continue  # there is no such split
        if seen & set(files):
            continue
        try:
            other = read(files, replace(mapping, split=None))
        except InputError as error:
            unread[split] = str(error)
            continue
        if names(other.ds) == names(reading.ds):
            found[split] = _runs(other, split)
        else:
            unread[split] = f"it has the fields {', '.join(names(other.ds))}"
    return found, unread
