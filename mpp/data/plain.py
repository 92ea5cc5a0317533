"""NetCDF and Zarr as xarray reads them, but safe in worker processes and with times as numbers."""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import h5py
import netCDF4
import numpy as np
import xarray as xr
import zarr
from xarray.backends import BackendArray
from xarray.core import indexing

from mpp.data.lazy import lazy
from mpp.errors import InputError

Plain = Literal["netcdf4", "netcdf3", "zarr"]
OPEN_FILES = 64
"""Files that one process keeps open; the one not used for longest is closed first."""

_handles: OrderedDict[tuple[int, str, int], Any] = OrderedDict()


def _open_netcdf3(path: str) -> Any:
    file = netCDF4.Dataset(path)
    file.set_auto_maskandscale(False)
    return file


_OPENERS: dict[Plain, Callable[[str], Any]] = {
    "netcdf4": lambda path: h5py.File(path, "r"),
    "netcdf3": _open_netcdf3,
    "zarr": lambda path: zarr.open_group(path, mode="r"),
}


def _handle(path: str, kind: Plain) -> Any:
    """The open file, one a process: a handle that crosses a fork would share its position."""
    key = (os.getpid(), path, os.stat(path).st_mtime_ns)
    if key not in _handles:
        _handles[key] = _OPENERS[kind](path)
        while len(_handles) > OPEN_FILES:
            _, old = _handles.popitem(last=False)
            if hasattr(old, "close"):
                old.close()
    _handles.move_to_end(key)
    return _handles[key]


class FileArray(BackendArray):
    """One variable of a file, read on indexing by whichever process asks.

    Args:
        path: File or Zarr store.
        kind: How to open it.
        name: The variable's name in it.
        shape: Its shape.
        dtype: Its dtype as stored.
    """

    def __init__(
        self, path: str, kind: Plain, name: str, shape: tuple[int, ...], dtype: np.dtype
    ) -> None:
        self.path, self.name = path, name
        self.kind: Plain = kind
        self.shape, self.dtype = shape, dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        try:
            variable = _handle(self.path, self.kind)[self.name]
            if self.kind == "zarr":
                return np.asarray(variable.oindex[key])
            return np.asarray(variable[key] if self.shape else variable[()])
        except (OSError, RuntimeError, IndexError) as error:
            raise InputError(
                f"{self.path}: {self.name} cannot be read ({error}); the file may be cut off or "
                "damaged, copy it again"
            ) from error


def open_plain(path: Path, kind: Plain) -> xr.Dataset:
    """Open a NetCDF file or a Zarr store lazily, packed values unpacked and fill values as NaN.

    Times stay numbers with their units, so that ``t_star`` or ``Myr`` are as good as ``days since
    2000-01-01``. The result may be pickled, and read in processes that were forked or spawned.

    Args:
        path: File or folder.
        kind: What it holds.

    Raises:
        InputError: The file is damaged, or its dims have no names.
    """
    with _raw(path, kind) as raw:
        if kind == "netcdf3":
            _require_whole(path, raw)
        found = {str(name): _reread(path, kind, str(name), raw) for name in raw.variables}
        ds = xr.Dataset(found, attrs=dict(raw.attrs))
    coords = [name for name in ds.data_vars if ds[name].dims == (name,)]
    try:
        return xr.decode_cf(ds.set_coords(coords), decode_times=False, decode_timedelta=False)
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        raise InputError(f"{path}: its attributes contradict each other ({error})") from error


def _raw(path: Path, kind: Plain) -> xr.Dataset:
    options: dict[str, Any] = {"decode_cf": False, "cache": False, "create_default_indexes": False}
    try:
        if kind == "zarr":
            return xr.open_dataset(path, engine="zarr", consolidated=False, chunks=None, **options)
        if kind == "netcdf3":
            return xr.open_dataset(path, engine="netcdf4", **options)
        return xr.open_dataset(path, engine="h5netcdf", phony_dims="access", **options)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: cannot be read as {'Zarr' if kind == 'zarr' else 'NetCDF'} ({error}); it may "
            "be cut off or damaged, write or copy it again"
        ) from error


def _require_whole(path: Path, raw: xr.Dataset) -> None:
    """The NetCDF library reads zeros behind the end of a classic file, without a word."""
    size, least = path.stat().st_size, sum(variable.nbytes for variable in raw.variables.values())
    if size < least:
        raise InputError(
            f"{path}: this NetCDF file is cut off ({size} bytes, its variables need {least}); copy "
            "or write it again"
        )


def _reread(path: Path, kind: Plain, name: str, raw: xr.Dataset) -> xr.Variable:
    """The variable with its data replaced by one that each process reads for itself."""
    variable = raw.variables[name]
    if variable.dtype.kind not in "fiub" or variable.ndim == 0:
        return variable.copy(data=variable.values)
    array = FileArray(str(path), kind, name, variable.shape, variable.dtype)
    made = lazy([str(dim) for dim in variable.dims], array, dict(variable.attrs))
    made.encoding = dict(variable.encoding)
    return made
