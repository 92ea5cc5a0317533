"""Arrays of classic NetCDF files and Zarr stores that each process reads for itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import zarr

from mpp.data.lazy import LazyArray
from mpp.data.remote import Place, Remote, open_group, reaching
from mpp.errors import InputError


class ClassicArray(LazyArray):
    """One variable of a classic NetCDF file, which is opened for each read.

    Opening costs a fraction of a millisecond, and a handle kept open would share its position in
    the file with every forked process.

    Args:
        path: The file.
        name: The variable's name in it.
        shape: Its shape.
        dtype: Its dtype as stored.
    """

    def __init__(self, path: str, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.path, self.name, self.shape, self.dtype = path, name, shape, dtype

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        with _reading(self.path, self.name), netCDF4.Dataset(self.path) as file:
            file.set_auto_maskandscale(False)
            return np.asarray(file[self.name][key])


class ZarrArray(LazyArray):
    """One array of a Zarr store, which every process opens for itself.

    Zarr reads a chunk that is not there as the array's fill value, without a word. Where that is
    NaN it counts as missing, as any NaN does. Where it is a number, such as the 0 that Zarr itself
    takes, nobody could tell it from a value: then a gap among chunks that are there is refused.

    Args:
        place: The store.
        name: The array's name in it.
        gaps: Whether chunks that are not there may be read, as NaN.
        masked: Whether the fill value becomes NaN later on.
    """

    def __init__(self, place: Place, name: str, gaps: bool = False, masked: bool = False) -> None:
        self.place, self.path, self.name, self.gaps = place, str(place), name, gaps
        self.own = None if isinstance(place, Remote) else _array(open_group(place)[name], place)
        array = self.array
        self.shape, self.dtype = array.shape, array.dtype
        fill = 0 if array.fill_value is None else array.fill_value
        self.fill = None if masked or fill != fill else fill

    @property
    def array(self) -> zarr.Array:
        """The array; one behind a URL belongs to the process that opened it."""
        if self.own is not None:
            return self.own
        assert isinstance(self.place, Remote)
        return _array(self.place.opened(self.name), self.place)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        with _reading(self.path, self.name), reaching(self.place):
            values = np.asarray(self.array.oindex[key])
        if self.fill is None or not np.any(values == self.fill):
            return values
        return self._without_gaps(key, values)

    def _without_gaps(self, key: tuple[Any, ...], values: np.ndarray) -> np.ndarray:
        """The values, NaN where their chunks are not there if that is allowed."""
        sides = self.array.shards or self.array.chunks
        pairs = zip(self.shape, key, sides, strict=True)
        owners = [np.atleast_1d(np.arange(n)[part]) // side for n, part, side in pairs]
        lacking = [
            chunk
            for chunk in product(*(np.unique(owner).tolist() for owner in owners))
            if self._lacks(self.array.metadata.encode_chunk_key(chunk))
        ]
        if not lacking or self._is_empty():
            return values
        if not self.gaps or values.dtype.kind != "f":
            file = self.array.metadata.encode_chunk_key(lacking[0])
            raise InputError(
                f"{self.path}: {self.name} lacks chunks such as {self.name}/{file}, for which Zarr "
                f"reads {self.fill}; copy the store again, or, if its writer leaves out chunks of "
                f"nothing else, say so with `missing: {self.fill}`"
            )
        values = values.copy()
        whole = values.reshape([owner.size for owner in owners])
        for chunk in lacking:
            inside = [owner == place for owner, place in zip(owners, chunk, strict=True)]
            whole[np.ix_(*inside)] = np.nan
        return values

    def _lacks(self, chunk: str) -> bool:
        """Whether a chunk is not there; of a URL it was asked for before."""
        if isinstance(self.place, Remote):
            return f"{self.name}/{chunk}" in self.place.store().absent
        return not Path(self.path, self.name, chunk).exists()

    def _is_empty(self) -> bool:
        """Whether no chunk was ever written, which is a way to store one value."""
        store: Any = self.array.store
        if store.supports_listing:
            with reaching(self.place):
                return not self.array.nchunks_initialized
        absent = [key for key in store.absent if key.startswith(f"{self.name}/")]
        chunks = [key for key in absent if not key.endswith((".json", ".zarray", ".zattrs"))]
        return len(chunks) == self.array.nchunks


def _array(found: zarr.Array | zarr.Group, place: Place) -> zarr.Array:
    if not isinstance(found, zarr.Array):
        raise InputError(f"{place}: {found.path} is a group, an array was expected; copy it again")
    return found


@contextmanager
def _reading(path: str, name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, IndexError) as error:
        raise InputError(
            f"{path}: {name} cannot be read ({error}); the file may be cut off or damaged, copy "
            "it again"
        ) from error
