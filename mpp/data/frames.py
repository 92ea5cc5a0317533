"""Windows of a lazy dataset, each stored array read once and nothing worked out twice.

What `Batch.from_dataset` gives of a slice of a dataset, to the bit, without xarray's work for every
window: what does not depend on the window is taken from the dataset once, and the components of a
vector that a file stores together are read together.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from xarray.core import indexing

from mpp import schema
from mpp.batch import Batch
from mpp.data.hdf5 import WHOLE_BYTES, Hdf5Array, reading_item
from mpp.data.lazy import Joined

HELD_BYTES = 2**26
"""Maps and numbers up to this size are kept in memory; larger ones are read with each window."""


@dataclass(frozen=True)
class Source:
    """Where a channel's frames are stored.

    Args:
        channel: Its number.
        array: The part of a file that holds it.
        runs: Place of every run of the dataset in the array.
        first: Place of the dataset's first frame in the array.
    """

    channel: int
    array: Hdf5Array
    runs: np.ndarray
    first: int


class Frames:
    """Reads windows of one dataset.

    Args:
        ds: A dataset in the schema.
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self.template = Batch.from_dataset(ds.isel(sample=[0], time=slice(0, 1)))
        self.time = torch.from_numpy(np.array(ds["time"].values, dtype=np.float64))
        self.shape = tuple(ds.sizes[axis] for axis in schema.space_axes(ds))
        names = schema.names(ds)
        self.variables = [ds[name].variable for name in names]
        found = [_sources(variable, number) for number, variable in enumerate(self.variables)]
        self.sources: dict[int, list[Source]] = {n: part for n, part in enumerate(found) if part}
        """By channel, one source for each file that runs are in."""
        self.apart = [number for number, part in enumerate(found) if not part]
        kinds: tuple[Any, ...] = ("static", "mask", "parameter")
        self.others = {
            kind: [ds[name].variable for name in schema.names(ds, kind)] for kind in kinds
        }
        every = [variable for part in self.others.values() for variable in part]
        if sum(variable.nbytes for variable in every) <= HELD_BYTES:
            self.others = {
                kind: [variable.compute() for variable in part]
                for kind, part in self.others.items()
            }

    def window(self, run: int, start: int, stop: int) -> Batch:
        """Frames ``start`` to ``stop`` of a run, as a batch of one sample."""
        values = np.empty((stop - start, len(self.variables), *self.shape), np.float32)
        for key, sources in self._together(run).items():
            self._read(values, key, sources, run, start, stop)
        for number in self.apart:
            index = {"sample": run, "time": slice(start, stop)}
            values[:, number] = self.variables[number].isel(index).values
        statics, masks, numbers = (
            [self._part(variable, run, start, stop) for variable in self.others[kind]]
            for kind in ("static", "mask", "parameter")
        )
        inside = [mask.astype(bool) for mask in masks]
        return replace(
            self.template,
            values=torch.from_numpy(values)[None],
            time=self.time[None, start:stop].clone(),
            static=_tensor(np.stack(statics)) if statics else None,
            mask=torch.from_numpy(np.logical_and.reduce(inside)[None]) if inside else None,
            parameters={
                field.name: _tensor(np.array(number))
                for field, number in zip(self.template.parameter_fields, numbers, strict=True)
            },
        )

    def _together(self, run: int) -> dict[tuple[str, str], list[Source]]:
        """The sources of a run's channels, by the stored array that they are in."""
        found: dict[tuple[str, str], list[Source]] = defaultdict(list)
        for parts in self.sources.values():
            source = next(part for part in parts if part.runs[run] >= 0)
            names = source.array.names
            name = names if isinstance(names, str) else names[source.runs[run]]
            found[source.array.path, name].append(source)
        return found

    def _read(
        self,
        values: np.ndarray,
        key: tuple[str, str],
        sources: Sequence[Source],
        run: int,
        start: int,
        stop: int,
    ) -> None:
        """Fill in the channels that lie in one stored array."""
        path, name = key
        first = sources[0]
        stored, place = first.array.stored, int(first.runs[run])
        frames = slice(first.first + start, first.first + stop)
        with reading_item(path, name) as item:
            own: dict[str, Any] = {"sample": place, "time": frames}
            few = len(sources) == 1 and bool(first.array.pick) and _large(item, len(values))
            pick = first.array.pick if few else {}
            block: np.ndarray = item[tuple([own.get(d, pick.get(d, slice(None))) for d in stored])]
        left = [dim for dim in stored if dim != "sample" and dim not in pick]
        for source in sources:
            part = block if few else block[_picked(left, source.array.pick)]
            dims = [dim for dim in left if dim not in source.array.pick]
            wanted = [dim for dim in source.array.sizes if dim in dims]
            values[:, source.channel] = part.transpose([dims.index(dim) for dim in wanted])

    def _part(self, variable: xr.Variable, run: int, start: int, stop: int) -> np.ndarray:
        index: dict[Any, Any] = {}
        if "sample" in variable.dims:
            index["sample"] = run
        if "time" in variable.dims:
            index["time"] = slice(start, stop)
        return np.asarray(variable.isel(index).values)


def _tensor(values: np.ndarray) -> torch.Tensor:
    """Single precision, with a dim for the sample in front."""
    return torch.from_numpy(np.require(values[None], requirements=["C", "W"])).float()


def _picked(dims: Sequence[str], pick: Any) -> tuple[Any, ...]:
    return tuple([pick.get(dim, slice(None)) for dim in dims])


def _large(item: Any, frames: int) -> bool:
    """Whether so many frames with all their components are too much to read for one of them."""
    return item.dtype.itemsize * item.size / max(1, item.shape[0]) * frames > WHOLE_BYTES


def _sources(variable: xr.Variable, channel: int) -> list[Source]:
    """Where a variable over sample, time and space is stored; none where only xarray can tell."""
    array: Any = variable._data
    while not isinstance(array, indexing.LazilyIndexedArray):
        array = getattr(array, "array", None)
        if array is None:
            return []
    inner: Any = array.array
    key = array.key.tuple
    if len(key) != variable.ndim or variable.dims[:2] != ("sample", "time"):
        return []
    lengths = inner.shape
    whole = all(_is_whole(part, length) for part, length in zip(key[2:], lengths[2:], strict=True))
    frames = _range(key[1], lengths[1])
    if not whole or frames is None:
        return []
    runs = np.arange(lengths[0])[key[0]]
    if isinstance(inner, Hdf5Array):
        return [Source(channel, inner, runs, frames.start)] if _is_plain(inner, variable) else []
    if isinstance(inner, Joined) and inner.axis == 0:
        return _joined(inner, channel, runs, frames.start)
    return []


def _joined(joined: Joined, channel: int, runs: np.ndarray, first: int) -> list[Source]:
    """The sources of runs that lie in several files."""
    found = []
    for part, start in zip(joined.parts, joined.starts, strict=False):
        inside = runs - start
        here = (inside >= 0) & (inside < part.sizes["sample"])
        if not here.any():
            continue
        sources = _sources(part, channel)
        if not sources:
            return []
        for source in sources:
            places = np.where(here, source.runs[np.where(here, inside, 0)], -1)
            found.append(Source(channel, source.array, places, source.first + first))
    return found


def _is_plain(array: Hdf5Array, variable: xr.Variable) -> bool:
    """Whether an array stores exactly a variable's dims, by the names that it reads them under."""
    own = tuple(array.sizes)
    if own[:2] != ("sample", "time") or len(own) != variable.ndim:
        return False
    stored = {dim for dim in array.stored if dim not in array.pick}
    apart = set() if isinstance(array.names, str) else {"sample"}
    return stored | apart == set(own) and not (stored & apart)


def _range(part: Any, length: int) -> range | None:
    if not isinstance(part, slice):
        return None
    found = range(length)[part]
    return found if found.step == 1 else None


def _is_whole(part: Any, length: int) -> bool:
    return isinstance(part, slice) and range(length)[part] == range(length)
