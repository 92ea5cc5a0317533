"""Where frames go as they come: into memory, a NetCDF file or a Zarr store.

Frames are put in blocks that are whole chunks in time, each block of one run. What a store ends
with is only known in the end, as a rollout may stop before; frames that are within it and were
never put are NaN.
"""

import signal
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr
import zarr

from mpp.data.convert import plain_attrs
from mpp.errors import InputError

BLOCK_BYTES = 2**20
"""Bytes of a field that are put at once: frames of one run, as many as fit."""
GROWING = ("sample", "time")
"""Dims whose length is only known in the end."""
Place = tuple[int | slice, ...]


@dataclass(frozen=True)
class Entry:
    """One variable of a store.

    Args:
        dims: Its dims.
        dtype: Its precision.
        attrs: Its attributes.
    """

    dims: tuple[str, ...]
    dtype: np.dtype
    attrs: dict[Any, Any] = field(default_factory=dict)

    @property
    def stored(self) -> np.dtype:
        """Its precision in a file, where true and false are bytes."""
        return np.dtype("i1") if self.dtype.kind == "b" else self.dtype

    @property
    def fill(self) -> float | None:
        """What stands where nothing was put."""
        return np.nan if self.dtype.kind == "f" and "time" in self.dims[:-1] else None

    def chunks(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """One run and member, as many frames as a block has, all of space."""
        if len(self.dims) < 2:
            return tuple(sizes[dim] for dim in self.dims)
        lone = {"sample": 1, "member": 1, "time": block_frames(sizes)}
        return tuple(lone.get(dim, sizes[dim]) for dim in self.dims)


def block_frames(sizes: Mapping[str, int]) -> int:
    """How many frames of one field and run are put at once.

    Args:
        sizes: Length of every dim, space and time among them.
    """
    space = [size for dim, size in sizes.items() if dim not in (*GROWING, "member")]
    return min(sizes["time"], max(1, BLOCK_BYTES // (4 * int(np.prod(space)))))


class Store(ABC):
    """Takes blocks of frames in any order.

    Args:
        entries: The variables.
        sizes: Length of every dim; those that grow will be at most as long.
    """

    def __init__(self, entries: Mapping[str, Entry], sizes: Mapping[str, int]) -> None:
        self.entries, self.sizes = dict(entries), dict(sizes)

    @abstractmethod
    def put(self, name: str, place: Place, values: np.ndarray) -> None:
        """Values of a variable at a place in it, one index or slice a dim."""

    @abstractmethod
    def finish(self, lengths: Mapping[str, int], attrs: Mapping[str, Any]) -> None:
        """Take this as all there is.

        Args:
            lengths: Length of ``sample`` and ``time`` in the end.
            attrs: Attributes of the whole.
        """


class MemoryStore(Store):
    """Keeps everything in arrays; `dataset` is the result."""

    def __init__(self, entries: Mapping[str, Entry], sizes: Mapping[str, int]) -> None:
        super().__init__(entries, sizes)
        self.arrays = {
            name: np.full([sizes[dim] for dim in entry.dims], entry.fill or 0, entry.dtype)
            for name, entry in entries.items()
        }
        self.dataset = xr.Dataset()

    def put(self, name: str, place: Place, values: np.ndarray) -> None:
        self.arrays[name][place] = values

    def finish(self, lengths: Mapping[str, int], attrs: Mapping[str, Any]) -> None:
        made = {
            name: xr.Variable(entry.dims, self.arrays[name], entry.attrs)
            for name, entry in self.entries.items()
        }
        coords = {name: variable for name, variable in made.items() if variable.dims == (name,)}
        data = {name: variable for name, variable in made.items() if name not in coords}
        whole = xr.Dataset(data, coords, attrs)
        self.dataset = whole.isel({dim: slice(length) for dim, length in lengths.items()})


class FileStore(Store):
    """A file or folder that blocks are put into as they come.

    Args:
        entries: The variables.
        sizes: Length of every dim.
        path: Where to write.
        shown: What to call it in errors.
    """

    def __init__(
        self, entries: Mapping[str, Entry], sizes: Mapping[str, int], path: Path, shown: Path
    ) -> None:
        super().__init__(entries, sizes)
        self.path, self.shown = path, shown
        with writing(shown):
            self._open()
            self.made = {name: self._create(name, entry) for name, entry in entries.items()}

    @abstractmethod
    def _open(self) -> None:
        """Begin the file."""

    @abstractmethod
    def _create(self, name: str, entry: Entry) -> Any:
        """A variable of it that values can be assigned to by place."""

    def put(self, name: str, place: Place, values: np.ndarray) -> None:
        with writing(self.shown):
            self.made[name][place or ...] = values

    def close(self) -> None:
        """Let go of the file, whatever state it is in."""


class NetCDFStore(FileStore):
    """A file whose dims grow as blocks are put."""

    def _open(self) -> None:
        self.file = netCDF4.Dataset(self.path, "w")
        for dim, length in self.sizes.items():
            self.file.createDimension(dim, None if dim in GROWING else length)

    def _create(self, name: str, entry: Entry) -> netCDF4.Variable:
        made = self.file.createVariable(
            name,
            entry.stored,
            entry.dims,
            zlib=bool(entry.dims),
            complevel=1,
            shuffle=bool(entry.dims),
            chunksizes=entry.chunks(self.sizes) or None,
            fill_value=entry.fill if entry.fill is not None else False,
            chunk_cache=BLOCK_BYTES,  # the default of 16 MiB a variable gains nothing here
        )
        made.setncatts(plain_attrs(entry.attrs))
        return made

    def finish(self, lengths: Mapping[str, int], attrs: Mapping[str, Any]) -> None:
        with writing(self.shown):
            self.file.setncatts(plain_attrs(dict(attrs)))
            self.close()

    def close(self) -> None:
        if self.file.isopen():
            self.file.close()


class ZarrStore(FileStore):
    """A folder with a file for each block, cut to its length in the end."""

    def _open(self) -> None:
        self.group = zarr.create_group(self.path)

    def _create(self, name: str, entry: Entry) -> zarr.Array:
        return self.group.create_array(
            name,
            shape=tuple(self.sizes[dim] for dim in entry.dims),
            dtype=entry.stored,
            chunks=entry.chunks(self.sizes) or "auto",
            fill_value=entry.fill if entry.fill is not None else 0,
            dimension_names=list(entry.dims),
            attributes=plain_attrs(entry.attrs),
        )

    def finish(self, lengths: Mapping[str, int], attrs: Mapping[str, Any]) -> None:
        final = {**self.sizes, **lengths}
        with writing(self.shown), warnings.catch_warnings():
            for name, entry in self.entries.items():
                self.made[name].resize(tuple(final[dim] for dim in entry.dims))
            self.group.attrs.update(plain_attrs(dict(attrs)))
            # xarray warns of stores without consolidated metadata, zarr of stores with it.
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(self.path)


@contextmanager
def file_store(
    entries: Mapping[str, Entry], sizes: Mapping[str, int], path: Path, shown: Path
) -> Iterator[Store]:
    """A store in a file that is closed whatever happens.

    Args:
        entries: The variables.
        sizes: Length of every dim.
        path: Where to write, a name that ends in ``.nc`` or ``.zarr``.
        shown: What to call it in errors.
    """
    kind = ZarrStore if path.suffix == ".zarr" else NetCDFStore
    store = kind(entries, sizes, path, shown)
    try:
        yield store
    finally:
        store.close()


def copy(store: Store, name: str, variable: xr.Variable, lengths: Mapping[str, int]) -> None:
    """Put a variable that is there already, a block of one run at a time where it has frames.

    Args:
        store: Where it goes.
        name: Its name there.
        variable: The variable, lazy or not.
        lengths: Length of ``sample`` and ``time`` in the end.
    """
    blocks: list[list[slice]] = [[]]
    for dim, size in zip(variable.dims, variable.shape, strict=True):
        end = min(size, lengths.get(str(dim), size))
        step = end
        if variable.ndim > 1 and dim in GROWING:
            step = 1 if dim == "sample" else block_frames(store.sizes)
        cuts = [slice(first, min(first + step, end)) for first in range(0, end, max(1, step))]
        blocks = [[*block, cut] for block in blocks for cut in cuts]
    for block in blocks:
        values = variable[tuple(block)].values
        store.put(name, tuple(block), values.astype(store.entries[name].dtype, copy=False))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C is ignored for the moment that it takes to finish a file."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    raising = signal.default_int_handler
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is raising]
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, raising)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A disk or a format that refuses is told in one line.

    Raises:
        InputError: With the path and the reason.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # as netCDF4 says that it takes no such name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be written ({reason})") from error
