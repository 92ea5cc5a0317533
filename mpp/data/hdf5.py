"""HDF5 datasets that are read when indexed, by whichever process asks, and never whole.

A handle that was open before a fork is closed in the child and opened again when needed; pickling
carries the path alone. One lock guards the handles: HDF5 serves one thread at a time anyway.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.core import indexing

from mpp.data.lazy import LazyArray, lazy
from mpp.errors import InputError

OPEN_FILES, OPEN_ITEMS = 32, 64
"""Files and datasets that one process keeps open; the one not used for longest is closed first.

An open dataset keeps its last chunks, and a file may have thousands, one a run.
"""
WHOLE_BYTES = 2**26
"""Largest block read with all its components to keep one of them.

HDF5 gathers every second number several times slower than numpy does, but for larger blocks the
memory for what is not kept counts more.
"""

_handles: OrderedDict[str, tuple[tuple[int, int, int], h5py.File]] = OrderedDict()
_items: OrderedDict[tuple[str, str], h5py.Dataset] = OrderedDict()
"""Datasets of the open files; to find one anew takes as long as to read a few frames."""
_lock = RLock()


def _leave_parent() -> None:
    """In a forked child: close the parent's handles, whose state two processes must not share."""
    global _lock
    _lock = RLock()
    _items.clear()
    while _handles:
        _handles.popitem()[1][1].close()


os.register_at_fork(after_in_child=_leave_parent)


def release(path: str) -> None:
    """Close the file in this process; it is opened again when it is next read."""
    with _lock:
        for key in [key for key in _items if key[0] == path]:
            del _items[key]
        if path in _handles:
            _handles.pop(path)[1].close()


@contextmanager
def inspecting(path: str) -> Iterator[h5py.File]:
    """The file, open for a look at what it holds, and closed again.

    Raises:
        InputError: It is not there, no HDF5, cut off or damaged.
    """
    with _explained(path):
        with _lock:
            if path in _handles and _handles[path][0] != _stamp(path):
                release(path)  # or HDF5 would show what it remembers of a file written anew
        with h5py.File(path, "r") as file:
            yield file


@contextmanager
def reading(path: str) -> Iterator[h5py.File]:
    """The file, open for reading in this process; it stays open for the next time.

    Raises:
        InputError: It is not there, no HDF5, cut off or damaged.
    """
    with _lock, _explained(path):
        yield _handle(path)


@contextmanager
def reading_item(path: str, name: str) -> Iterator[h5py.Dataset]:
    """A dataset of the file, open as `reading` opens it.

    Raises:
        InputError: As `reading`.
    """
    with reading(path) as file:
        key = path, name
        if key not in _items:
            _items[key] = dataset(file, name)
            while len(_items) > OPEN_ITEMS:
                _items.popitem(last=False)
        _items.move_to_end(key)
        yield _items[key]


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise InputError(_why(path, error)) from error


def _stamp(path: str) -> tuple[int, int, int]:
    """What changes when a file is written anew."""
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _handle(path: str) -> h5py.File:
    stamp = _stamp(path)
    if path in _handles and _handles[path][0] != stamp:
        release(path)
    if path not in _handles:
        _handles[path] = stamp, h5py.File(path, "r")
        while len(_handles) > OPEN_FILES:
            release(next(iter(_handles)))
    _handles.move_to_end(path)
    return _handles[path][1]


def _why(path: str, error: Exception) -> str:
    reason = str(error).strip("'\"")
    if isinstance(error, FileNotFoundError):
        return f"{path}: no such file"
    if isinstance(error, IsADirectoryError) or os.path.isdir(path):
        return f"{path}: expected an HDF5 file, got a folder; give one of the files in it"
    if "signature not found" in reason:
        size = os.path.getsize(path)
        return f"{path}: expected an HDF5 file, got something else of {size} bytes; check the path"
    if "truncated" in reason:
        return f"{path}: the HDF5 file is cut off ({reason}); copy or download it again"
    return f"{path}: cannot be read ({reason}); it may be damaged, copy or download it again"


def local_path(source: Any) -> str:
    """The absolute path of what xarray was asked to open.

    Raises:
        InputError: It is not a path.
    """
    if not isinstance(source, (str, os.PathLike)):
        kind = type(source).__name__
        raise InputError(f"expected the path of an HDF5 file, got {kind}; pass a path")
    return os.path.abspath(os.fspath(source))


def matches(source: Any, test: Callable[[h5py.File], bool]) -> bool:
    """Whether ``source`` is the path of a sound HDF5 file that passes ``test``; never raises."""
    if not isinstance(source, (str, os.PathLike)) or not Path(os.fspath(source)).is_file():
        return False
    with suppress(InputError), inspecting(local_path(source)) as file:
        return test(file)
    return False


def dataset(file: h5py.Group, name: str) -> h5py.Dataset:
    """The dataset of that name.

    Raises:
        InputError: There is none.
    """
    item = file.get(name)
    if not isinstance(item, h5py.Dataset):
        raise InputError(f"{file.file.filename}: no dataset {name}; the file is incomplete")
    return item


def group(file: h5py.Group, name: str) -> h5py.Group:
    """The group of that name.

    Raises:
        InputError: There is none.
    """
    item = file.get(name)
    if not isinstance(item, h5py.Group):
        raise InputError(f"{file.file.filename}: no group {name}; the file is incomplete")
    return item


def values(file: h5py.Group, name: str) -> np.ndarray:
    """All values of a dataset, for coordinates and other small ones."""
    return np.asarray(dataset(file, name)[()])


def text(value: Any) -> str:
    """An attribute as text, whether it was stored as text or as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def texts(value: Any) -> list[str]:
    """An attribute that holds one word or a list of them."""
    return [text(item) for item in np.atleast_1d(np.asarray(value, dtype=object))]


def real_dtype(dtype: np.dtype, where: str) -> np.dtype:
    """The dtype that values are given in: float32, or float64 where float32 loses digits.

    Raises:
        InputError: The values are not real numbers.
    """
    if dtype.kind not in "fiub":
        parts = "their real and imaginary parts apart" if dtype.kind == "c" else "them as numbers"
        raise InputError(f"{where}: expected real numbers, got {dtype}; write {parts}")
    exact = dtype.itemsize <= 4 if dtype.kind == "f" else dtype.itemsize <= 2
    return np.dtype("float32" if exact else "float64")


class Hdf5Array(LazyArray):
    """Part of one HDF5 dataset, or of several alike stacked, with its dims as they are wanted.

    Args:
        path: The file.
        names: A dataset's name, or one for each point along the first of ``dims``.
        stored: Dims of each dataset as it is in the file.
        sizes: Wanted dims in order, with their lengths; those not stored repeat the values.
        pick: Index along each stored dim that is not wanted.
        dtype: Kind of number to give.
    """

    support = indexing.IndexingSupport.OUTER_1VECTOR

    def __init__(
        self,
        path: str,
        names: str | Sequence[str],
        stored: Sequence[str],
        sizes: Mapping[str, int],
        pick: Mapping[str, int],
        dtype: np.dtype,
    ) -> None:
        self.path, self.names = path, names if isinstance(names, str) else tuple(names)
        self.stored, self.sizes, self.pick = tuple(stored), dict(sizes), dict(pick)
        self.shape, self.dtype = tuple(self.sizes.values()), np.dtype(dtype)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        wanted = dict(zip(self.sizes, key, strict=True))
        with reading(self.path) as file:
            if isinstance(self.names, str):
                return self._arranged(file[self.names], wanted)
            first = next(iter(wanted))
            places = np.arange(self.sizes[first])[wanted.pop(first)]
            if places.ndim == 0:
                return self._arranged(file[self.names[places]], wanted)
            shape = [_length(self.sizes[dim], part) for dim, part in wanted.items()]
            kept = [n for n, part in zip(shape, wanted.values(), strict=True) if not _single(part)]
            stack = np.empty((places.size, *kept), self.dtype)
            for row, place in enumerate(places):
                stack[row] = self._arranged(file[self.names[place]], wanted)
            return stack

    def _arranged(self, source: Any, wanted: Mapping[str, Any]) -> np.ndarray:
        """The wanted part of one dataset, its dims in the wanted order."""
        part = self._part(source, wanted)
        kept = [dim for dim in self.stored if dim in wanted and not _single(wanted[dim])]
        target = [dim for dim, part in wanted.items() if not _single(part)]
        part = part.transpose([kept.index(dim) for dim in target if dim in kept])
        part = part[tuple(slice(None) if dim in kept else None for dim in target)]
        shape = [_length(self.sizes[dim], wanted[dim]) for dim in target]
        if part.shape != tuple(shape):
            part = np.broadcast_to(part, shape).copy()
        return np.asarray(part, self.dtype)

    def _part(self, source: Any, wanted: Mapping[str, Any]) -> np.ndarray:
        parts = [wanted.get(dim, self.pick.get(dim)) for dim in self.stored]
        size = source.dtype.itemsize * np.prod(
            [
                1 if dim in self.pick else _length(self.sizes[dim], wanted[dim])
                for dim in self.stored
            ]
        )
        extra = [n for n, dim in zip(source.shape, self.stored, strict=True) if dim in self.pick]
        if not extra or size * np.prod(extra) > WHOLE_BYTES:
            return np.asarray(source[tuple(parts)])
        dims = zip(parts, self.stored, strict=True)
        block = source[tuple(slice(None) if dim in self.pick else part for part, dim in dims)]
        dims = zip(parts, self.stored, strict=True)
        left = [(part, dim) for part, dim in dims if dim in self.pick or not _single(part)]
        inner = tuple(part if dim in self.pick else slice(None) for part, dim in left)
        return np.array(block[inner])

    def variable(self, attrs: Mapping[str, Any]) -> xr.Variable:
        """The array as a variable that reads from the file when its values are asked for."""
        return lazy(tuple(self.sizes), self, dict(attrs))


def _single(part: Any) -> bool:
    return isinstance(part, (int, np.integer))


def _length(size: int, part: Any) -> int:
    if isinstance(part, slice):
        return len(range(size)[part])
    return 1 if _single(part) else len(part)


def finished(ds: xr.Dataset, path: str, drop: str | Sequence[str] | None) -> xr.Dataset:
    """The dataset without the variables to drop; closing it closes the file."""
    names = [drop] if isinstance(drop, str) else list(drop or ())
    ds = ds.drop_vars(names, errors="ignore")
    ds.set_close(partial(release, path))
    return ds
