"""NetCDF and Zarr as xarray reads them, but safe in worker processes and with times as numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import netCDF4
import numpy as np
import xarray as xr
import zarr

from mpp.data.classic import least_size
from mpp.data.hdf5 import Hdf5Array
from mpp.data.lazy import LazyArray, lazy
from mpp.errors import InputError

Plain = Literal["netcdf4", "netcdf3", "zarr"]


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
    """One array of a Zarr store; it holds no handle, so every process may read it.

    Args:
        path: The store.
        name: The array's name in it.
    """

    def __init__(self, path: str, name: str) -> None:
        self.path, self.name = path, name
        array = zarr.open_group(path, mode="r")[name]
        assert isinstance(array, zarr.Array)
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        with _reading(self.path, self.name):
            return np.asarray(self.array.oindex[key])


@contextmanager
def _reading(path: str, name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, IndexError) as error:
        raise InputError(
            f"{path}: {name} cannot be read ({error}); the file may be cut off or damaged, copy "
            "it again"
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
    if kind == "netcdf3":
        _require_whole(path)
    with _raw(path, kind) as raw:
        # A Zarr store lists its arrays in the order of the file system, which is none.
        listed = [str(name) for name in raw.variables]
        order = sorted(listed) if kind == "zarr" else listed
        found = {name: _reread(path, kind, name, raw) for name in order}
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


def _require_whole(path: Path) -> None:
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            least = least_size(file)
    except (EOFError, KeyError, IndexError) as error:
        raise InputError(
            f"{path}: the header of this NetCDF file is damaged or cut off; copy or write it again"
        ) from error
    if size < least:
        raise InputError(
            f"{path}: this NetCDF file is cut off ({size} bytes of {least}); copy or write it again"
        )


def _reread(path: Path, kind: Plain, name: str, raw: xr.Dataset) -> xr.Variable:
    """The variable with its data replaced by one that each process reads for itself."""
    variable = raw.variables[name]
    if variable.dtype.kind not in "fiub" or variable.ndim == 0:
        return variable.copy(data=variable.values)
    dims, file = [str(dim) for dim in variable.dims], str(path.resolve())
    if kind == "netcdf4":
        sizes = dict(zip(dims, variable.shape, strict=True))
        array: LazyArray = Hdf5Array(file, name, dims, sizes, {}, variable.dtype)
    elif kind == "netcdf3":
        array = ClassicArray(file, name, variable.shape, variable.dtype)
    else:
        array = ZarrArray(file, name)
    made = lazy(dims, array, dict(variable.attrs))
    made.encoding = dict(variable.encoding)
    return made
