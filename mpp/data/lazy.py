"""Arrays that are read only when indexed: a view with other dims, and several joined into one.

xarray's own ``transpose``, ``astype`` and ``concat`` read a lazy array whole, or turn its index
into one entry a value; these do neither, so memory follows what is asked for and nothing else.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing


class LazyArray(BackendArray):
    """An array that xarray indexes as far as `support` says; a subclass writes `_read`."""

    support = indexing.IndexingSupport.OUTER
    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, self.support, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        raise NotImplementedError


def lazy(dims: Sequence[str], array: LazyArray, attrs: dict[Any, Any]) -> xr.Variable:
    """A variable that reads from ``array`` when its values are asked for."""
    return xr.Variable(tuple(dims), indexing.LazilyIndexedArray(array), attrs)


class View(LazyArray):
    """A variable with its dims in another order, new dims of length 1, and another dtype.

    Args:
        source: The variable to look at, lazy or not.
        dims: Every dim of ``source`` once, in any order, and any number of new ones.
        dtype: What values are converted to on the way out.
    """

    def __init__(self, source: xr.Variable, dims: Sequence[str], dtype: np.dtype) -> None:
        self.source, self.dims, self.dtype = source, tuple(dims), dtype
        self.shape = tuple(source.sizes.get(dim, 1) for dim in dims)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        wanted = dict(zip(self.dims, key, strict=True))
        inner = {dim: part for dim, part in wanted.items() if dim in self.source.dims}
        part = self.source.isel(inner)
        part = part.transpose(*(dim for dim in self.dims if dim in part.dims))
        values = np.asarray(part.values).astype(self.dtype, copy=False)
        # Dims that the source lacks are put in with length 1, then indexed as the others were.
        rank = [dim for dim in self.dims if dim in part.dims or dim not in self.source.dims]
        values = values[tuple(slice(None) if dim in part.dims else None for dim in rank)]
        for place in reversed(range(len(rank))):
            if rank[place] not in self.source.dims:
                values = values[(slice(None),) * place + (wanted[rank[place]],)]
        return values


class Joined(LazyArray):
    """Variables of equal dims behind each other along one of them.

    Args:
        parts: The variables, in order; they may differ in length along ``dim`` only.
        dim: The dim to join along.
    """

    def __init__(self, parts: Sequence[xr.Variable], dim: str) -> None:
        first = parts[0]
        self.parts, self.axis = list(parts), first.dims.index(dim)
        lengths = [part.sizes[dim] for part in parts]
        self.starts = np.concatenate([[0], np.cumsum(lengths)])
        self.dtype = np.result_type(*(part.dtype for part in parts))
        shape = list(first.shape)
        shape[self.axis] = sum(lengths)
        self.shape = tuple(shape)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        wanted = key[self.axis]
        if isinstance(wanted, (int, np.integer)):
            return self._part(key, int(wanted) % self.shape[self.axis])
        places = np.arange(self.shape[self.axis])[wanted]
        owners = self._owner(places)
        axis = sum(not isinstance(part, (int, np.integer)) for part in key[: self.axis])
        if not places.size:
            kinds = zip(self.shape, key, strict=True)
            sizes = [np.arange(n)[k].size for n, k in kinds if not isinstance(k, (int, np.integer))]
            return np.empty(sizes, self.dtype)
        cuts = np.flatnonzero(np.diff(owners)) + 1
        runs = [self._part(key, run) for run in np.split(places, cuts)]
        return np.concatenate(runs, axis)

    def _owner(self, places: Any) -> Any:
        return np.searchsorted(self.starts, places, side="right") - 1

    def _part(self, key: tuple[Any, ...], places: Any) -> np.ndarray:
        owner = int(self._owner(np.ravel(places)[0]))
        inside = list(key)
        inside[self.axis] = places - self.starts[owner]
        values = self.parts[owner][tuple(compact(part) for part in inside)].values
        return np.asarray(values).astype(self.dtype, copy=False)


def compact(part: Any) -> Any:
    """An index of neighbours as the slice it is, which every format reads fastest."""
    if isinstance(part, np.ndarray) and part.size and np.all(np.diff(part) == 1):
        return slice(int(part[0]), int(part[-1]) + 1)
    return part


def join(parts: Sequence[xr.Variable], dim: str) -> xr.Variable:
    """The parts behind each other along ``dim``, lazily; attributes are the first one's."""
    if len(parts) == 1:
        return parts[0]
    return lazy([str(name) for name in parts[0].dims], Joined(parts, dim), dict(parts[0].attrs))


def view(source: xr.Variable, dims: Sequence[str], dtype: np.dtype) -> xr.Variable:
    """``source`` with other dims and dtype, lazily; itself where nothing changes."""
    if tuple(source.dims) == tuple(dims) and source.dtype == dtype:
        return source
    return lazy(dims, View(source, dims, dtype), dict(source.attrs))
