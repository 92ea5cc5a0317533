"""How values lie in a file, and how much of it is read to get a part of them.

A chunk is read whole, or not at all. Of values stored in one piece, what lies next to each other
is read together, at least a page of the disk at a time.
"""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import xarray as xr

from mpp.data import hdf5
from mpp.data.hdf5 import Hdf5Array
from mpp.data.plain import ZarrArray
from mpp.schema import names

PAGE = 4096
"""Bytes that are read from a disk at least."""


@dataclass(frozen=True)
class Stored:
    """One array of a file.

    Args:
        dims: Its dims in the order of the file, by their names in the schema where they have one.
        shape: Its lengths.
        chunks: Lengths of a chunk; empty where it is stored in one piece.
        itemsize: Bytes of a number.
        compressed: Whether its chunks are compressed.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    itemsize: int
    compressed: bool = False

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one chunk, of everything where there are none."""
        return self.itemsize * prod(self.chunks or self.shape)

    def touched(self, wanted: Mapping[str, int]) -> int:
        """Bytes that must be read, on average over where it starts, for a block of values.

        Args:
            wanted: Length of the block along each dim; whole dims and single numbers may be left
                out, single ones being those that the schema does not know.
        """
        lengths = [
            min(size, wanted.get(dim, size))
            for dim, size in zip(self.dims, self.shape, strict=True)
        ]
        if self.chunks:
            covered = [
                _covered(*each) for each in zip(lengths, self.chunks, self.shape, strict=True)
            ]
            return int(self.itemsize * prod(covered))
        piece, apart = self.itemsize, 1
        together = True
        for length, size in zip(reversed(lengths), reversed(self.shape), strict=True):
            piece, apart = (piece * length, apart) if together else (piece, apart * length)
            together = together and length == size
        everything = self.itemsize * prod(self.shape)
        return min(everything, apart * (piece if apart == 1 else max(piece, PAGE)))


def _covered(length: int, chunk: int, size: int) -> float:
    """Points along one dim that the chunks under a block hold, averaged over where it starts."""
    if length >= size:
        return ceil(size / chunk) * chunk
    return min(chunk * (1 + (length - 1) / chunk), ceil(size / chunk) * chunk)


def stored(variable: xr.Variable) -> Stored | None:
    """The array of a file behind a lazy variable, the first where several are joined.

    ``None`` where values are in memory, or come from something that no chunks are known of.
    """
    dims = tuple(str(dim) for dim in variable.dims)
    array: Any = variable._data
    while True:
        if isinstance(array, xr.Variable):
            dims, array = tuple(str(dim) for dim in array.dims), array._data
        elif isinstance(array, (Hdf5Array, ZarrArray)) and len(array.shape) != len(dims):
            return None  # seen through an index that took a dim away
        elif isinstance(array, Hdf5Array):
            return _in_hdf5(array, dims)
        elif isinstance(array, ZarrArray):
            # Chunks in a shard are read one by one.
            chunks, packed = array.array.chunks, bool(array.array.compressors)
            return Stored(dims, array.shape, tuple(chunks), array.dtype.itemsize, packed)
        else:
            inner = next(
                (
                    getattr(array, key)
                    for key in ("array", "source", "parts")
                    if hasattr(array, key)
                ),
                None,
            )
            if inner is None:
                return None
            array = inner[0] if isinstance(inner, list) else inner


def _in_hdf5(array: Hdf5Array, dims: tuple[str, ...]) -> Stored:
    name = array.names if isinstance(array.names, str) else array.names[0]
    renamed = dict(zip(array.sizes, dims, strict=True))
    own = tuple(renamed.get(dim, dim) for dim in array.stored)
    return Stored(own, *_facts(array.path, name, os.stat(array.path).st_mtime_ns))


@functools.lru_cache(maxsize=1024)
def _facts(
    path: str, name: str, written: int
) -> tuple[tuple[int, ...], tuple[int, ...], int, bool]:
    """Shape, chunks and so on of a dataset; the same file is asked for each block of a report."""
    with hdf5.inspecting(path) as file:
        found = hdf5.dataset(file, name)
        return found.shape, found.chunks or (), found.dtype.itemsize, bool(found.compression)


def cost(ds: xr.Dataset, wanted: Mapping[str, int]) -> int:
    """Bytes read for a block of every field; of fields of which no layout is known, the block's."""
    total = 0
    for name in names(ds):
        lengths = {str(dim): min(n, wanted.get(str(dim), n)) for dim, n in ds[name].sizes.items()}
        block = ds[name].dtype.itemsize * prod(lengths.values())
        found = stored(ds[name].variable)
        total += block if found is None else max(block, found.touched(lengths))
    return total
