"""Arrays of classic NetCDF files and Zarr stores that each process reads for itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import netCDF4
import numpy as np
import zarr

from mpp.data.lazy import LazyArray
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
