"""HDF5 groups and Zarr stores whose dims stand in no form that NetCDF has.

Dedalus, for one, labels the dims of its tasks and keeps the positions in another group.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from zarr.errors import ContainsArrayError

from mpp.data.advice import unreal
from mpp.data.hdf5 import Hdf5Array, inspecting, text
from mpp.data.hdf5 import group as inner
from mpp.data.lazy import LazyArray, lazy
from mpp.data.remote import Place, open_group
from mpp.data.stores import ZarrArray
from mpp.errors import InputError

KINDS = "fiub"


def bare_hdf5(path: Path, group: str) -> xr.Dataset:
    """The arrays of a group, lazily, with dims by their labels, else by the scales behind them."""
    file = str(path.resolve())
    found: dict[str, xr.Variable] = {}
    scales: dict[tuple[str, str], h5py.Dataset] = {}
    with inspecting(file) as opened:
        for name, item in (inner(opened, group) if group else opened).items():
            if isinstance(item, h5py.Dataset) and item.dtype.kind in KINDS:
                dims = _dims(item, scales)
                found[name] = _hdf5(file, item, dims)
        for dim, scale in ((dim, item) for (dim, _), item in scales.items()):
            found.setdefault(_last(scale), _hdf5(file, scale, [dim]))
    return _dataset(found, path)


def _dims(item: h5py.Dataset, scales: dict[tuple[str, str], h5py.Dataset]) -> list[str]:
    dims: list[str] = []
    taken: set[str] = set()
    for size, dim in zip(item.shape, item.dims, strict=True):
        attached = [scale for scale in dim.values() if scale.shape == (size,)]
        named = text(dim.label) or (_last(attached[0]) if attached else "")
        name = named if named and named not in taken else _nameless(size, taken)
        taken.add(name)
        dims.append(name)
        scales |= {(name, _last(scale)): scale for scale in attached if named == name}
    return dims


def _nameless(size: int, taken: set[str]) -> str:
    """A name by size, as netCDF has it: dims of one size are one, unless one array has both."""
    name = f"phony_dim_{size}"
    return name if name not in taken else f"{name}_{len(taken)}"


def _last(item: h5py.Dataset) -> str:
    return str(item.name).rpartition("/")[2]


def _hdf5(file: str, item: h5py.Dataset, dims: list[str]) -> xr.Variable:
    sizes = dict(zip(dims, item.shape, strict=True))
    if not dims:
        return xr.Variable((), item[()])
    return lazy(dims, Hdf5Array(file, str(item.name).strip("/"), dims, sizes, {}, item.dtype), {})


def bare_zarr(path: Place, group: str, gaps: bool = False) -> xr.Dataset:
    """The arrays of a group, lazily, with dims by the names they have, else by size."""
    try:
        store: Any = open_group(path, group)
    except ContainsArrayError as error:
        raise InputError(
            f"{path}: a single array; put it into a Zarr group, with arrays for time and axes"
        ) from error
    found = {}
    for name, array in sorted(store.arrays()):
        if array.dtype.kind not in KINDS:
            continue
        known: Any = array.metadata.to_dict().get("dimension_names")
        named = known or [None] * array.ndim
        dims: list[str] = []
        taken: set[str] = set()
        for dim, size in zip(named, array.shape, strict=True):
            dims.append(dim or _nameless(size, taken))
            taken.add(dims[-1])
        inside = f"{group}/{name}" if group else name
        data: LazyArray = ZarrArray(path.resolve(), inside, gaps)
        attrs = dict(array.attrs)
        found[name] = (
            lazy(dims, data, attrs) if dims else xr.Variable((), np.asarray(array[()]), attrs)
        )
    return _dataset(found, path)


def _dataset(found: dict[str, xr.Variable], path: Place) -> xr.Dataset:
    if not found:
        raise InputError(f"{path}: it holds no arrays of numbers; name the file with the fields")
    try:
        return xr.Dataset(found)
    except (ValueError, xr.MergeError) as error:
        raise InputError(f"{path}: its dims contradict each other ({error})") from error


def name_dims(ds: xr.Dataset, names: tuple[str, ...], source: str) -> xr.Dataset:
    """Give names to the dims of arrays that have none.

    An array of as many dims as there are names has these, one of fewer dims the last ones if its
    sizes are theirs, and a line of numbers that of its own name, else that of its size. Arrays
    that differ in size have a dim of their own, such as ``x_65``.

    Args:
        ds: As a file gives it.
        names: Names of the dims, in order.
        source: What to call the file in errors.

    Raises:
        InputError: No array of numbers has as many dims.
    """
    fields = [v for v in ds.variables.values() if v.ndim == len(names) and v.dtype.kind in KINDS]
    if not fields:
        if other := unreal(ds.variables, len(names)):
            raise InputError(f"{source}: {other}")
        ranks = sorted({v.ndim for v in ds.variables.values()})
        raise InputError(
            f"{source}: dims names {len(names)} ({', '.join(names)}), but its arrays have "
            f"{', '.join(map(str, ranks))}; name as many as the fields have"
        )
    sizes = {}
    for place, name in enumerate(names):
        lengths = [v.shape[place] for v in fields]
        sizes[name] = max(sorted(set(lengths)), key=lengths.count)
    data = {str(k): _named(str(k), v, names, sizes, source) for k, v in ds.variables.items()}
    return _dataset(data, Path(source)).assign_attrs(ds.attrs)


def _named(
    key: str, variable: xr.Variable, names: tuple[str, ...], sizes: dict[str, int], source: str
) -> xr.Variable:
    shape, known = variable.shape, list(sizes.values())
    if variable.ndim == len(names):
        dims = [n if sizes[n] == s else f"{n}_{s}" for n, s in zip(names, shape, strict=True)]
    elif variable.ndim == 1 and key in sizes:
        if sizes[key] != shape[0]:
            raise InputError(
                f"{source}: {key} has {shape[0]} points, the fields {sizes[key]} along their dim "
                f"called so; write both alike, or give the dim another name in `dims: [...]`"
            )
        dims = [key]
    elif variable.ndim == 1 and known.count(shape[0]) == 1:
        dims = [names[known.index(shape[0])]]
    elif variable.ndim and shape == tuple(known[-variable.ndim :]):
        dims = list(names[-variable.ndim :])
    else:
        dims = [f"{key}_{place}" for place in range(variable.ndim)]
    renamed = variable.copy(deep=False)
    renamed.dims = dims
    return renamed
