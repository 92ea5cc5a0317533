"""Write a dataset in the schema to NetCDF or Zarr, a few frames in memory at a time."""

import math
import socket
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr
import zarr

from mpp import __version__
from mpp.data.mapping import Mapping
from mpp.data.open import describe, read, require_usable
from mpp.data.recognise import Paths
from mpp.data.spread import in_order
from mpp.errors import InputError
from mpp.files import make_folder, written_beside
from mpp.schema import role
from mpp.urls import require_local

CHUNK_BYTES = 4 * 2**20
"""A chunk holds frames of one run, as many as fit: a window then reads little more than itself."""
TASK_BYTES = 2**24
"""What a process does at once: enough to make up for sending it, little enough to wait for."""
AHEAD = {".nc": 16, ".zarr": 256}
"""Tasks that are begun before their results are taken, which are values only for NetCDF."""
EVERY_CHUNK: Any = {"write_empty_chunks": True}
"""Zarr then leaves out no chunk, so that one that is not there is a lost one."""
LISTED_SOURCES = 20
Report = Callable[[int, int], None]
Place = tuple[slice, ...]
"""Where a chunk stands in its variable."""
Batch = tuple[str, list[Place]]
"""A variable's name, and chunks of it that follow each other."""
Task = tuple[str, list[Place], list[xr.Variable], np.dtype]


def convert(
    path: Paths,
    out: Path | str,
    mapping: Mapping | None = None,
    *,
    overwrite: bool = False,
    on_chunk: Report = lambda done, total: None,
    pool: Executor | None = None,
) -> Path:
    """Bring any readable input into the schema, as one NetCDF file or Zarr store.

    Fields are written as float32, with light compression, a chunk never holding more than one run.
    The output appears whole or not at all.

    Args:
        path: A file, a folder, a glob or a list, as `mpp.data.open.open_dataset` takes it.
        out: A name that ends in ``.nc`` or ``.zarr``.
        mapping: How the names in the files translate.
        overwrite: Replace an output that is there.
        on_chunk: Called with the number of chunks written and of all chunks.
        pool: Processes to spread the work over, as `write` takes them.

    Returns:
        The output's path.

    Raises:
        InputError: The input cannot be used, or the output must not be written.
    """
    out = require_free(Path(out), overwrite)
    mapping = mapping or Mapping()
    reading = read(path, mapping)
    require_usable(reading.ds, describe(path))
    sources = [file.name for file in reading.files]
    more = [f"and {len(sources) - LISTED_SOURCES} more"] if len(sources) > LISTED_SOURCES else []
    attrs = {
        **reading.ds.attrs,
        "source_files": ", ".join([*sources[:LISTED_SOURCES], *more]),
        "source_format": reading.format,
        "converter": f"mpp {__version__}, mpp convert",
    }
    if mapping.to_dict():
        attrs["mapping"] = mapping.to_yaml()
    ds = reading.ds.assign_attrs(attrs)
    return write(ds, out, overwrite=overwrite, on_chunk=on_chunk, pool=pool)


def require_free(out: Path, overwrite: bool) -> Path:
    """The path if it can be written to.

    Raises:
        InputError: Another ending than ``.nc`` or ``.zarr``, or something is there already.
    """
    require_local(out)
    if out.suffix not in (".nc", ".zarr"):
        raise InputError(f"{out}: end the output's name in .nc (NetCDF) or .zarr (Zarr)")
    if out.suffix == ".nc" and out.is_dir():
        raise InputError(f"{out} is a folder; name a file")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; choose another name, or replace it with --overwrite")
    return out


def write(
    ds: xr.Dataset,
    out: Path | str,
    *,
    overwrite: bool = False,
    on_chunk: Report = lambda done, total: None,
    pool: Executor | None = None,
) -> Path:
    """Write a dataset in the schema beside ``out``, then rename.

    With a pool, its processes read the values and bring them into their form. Into a Zarr store
    they write them too, each chunk one of them; into a NetCDF file, which one process alone can
    write, this one does. The output is the same to the bit.

    Args:
        ds: The dataset; a lazy one is read a chunk at a time.
        out: A name that ends in ``.nc`` or ``.zarr``.
        overwrite: Replace an output that is there.
        on_chunk: Called with the number of chunks written and of all chunks.
        pool: Processes to use, of `mpp.data.generate.solver_pool` or
            `mpp.data.cluster.cluster_pool`; they must see the files at the same paths.

    Raises:
        InputError: The output must not be written, or the disk refuses.
    """
    out = require_free(Path(out), overwrite)
    make_folder(out.parent)
    with written_beside(out) as unfinished:
        if out.suffix == ".nc":
            _write_netcdf(ds, unfinished, on_chunk, pool)
        else:
            _write_zarr(ds, unfinished, on_chunk, pool)
    return out


def _write_netcdf(ds: xr.Dataset, path: Path, on_chunk: Report, pool: Executor | None) -> None:
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts(plain_attrs(ds.attrs))
        for dim, length in ds.sizes.items():
            file.createDimension(str(dim), length)
        for name, variable in ds.variables.items():
            chunks = _chunks(variable)
            dims = tuple(str(dim) for dim in variable.dims)
            made = file.createVariable(
                str(name),
                _dtype(ds, str(name)),
                dims,
                zlib=bool(dims),
                complevel=1,
                shuffle=bool(dims),
                chunksizes=chunks or None,
                fill_value=False,
            )
            made.setncatts(plain_attrs(variable.attrs))
        _stream(ds, file.variables.__getitem__, on_chunk, pool)


def _write_zarr(ds: xr.Dataset, path: Path, on_chunk: Report, pool: Executor | None) -> None:
    group = zarr.create_group(path, attributes=plain_attrs(ds.attrs))
    made = {}
    for name, variable in ds.variables.items():
        made[str(name)] = group.create_array(
            str(name),
            shape=variable.shape,
            dtype=_dtype(ds, str(name)),
            chunks=_chunks(variable) or "auto",
            dimension_names=[str(dim) for dim in variable.dims],
            attributes=plain_attrs(variable.attrs),
            config=EVERY_CHUNK,
        )
    if pool is None:
        _stream(ds, made.__getitem__, on_chunk, None)
    else:
        _spread(ds, path, on_chunk, pool)
    with warnings.catch_warnings():
        # xarray warns of stores without consolidated metadata, zarr of stores with it.
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(path)


def _stream(
    ds: xr.Dataset, target: Callable[[str], Any], on_chunk: Report, pool: Executor | None
) -> None:
    """Write every chunk here, read here or by the processes of a pool."""
    batches = list(_batches(ds))
    total, done = sum(len(places) for _, places in batches), 0
    with closing(_values(ds, batches, pool)) as values:
        for name, places in batches:
            for place in places:
                target(name)[place or ...] = next(values)
                done += 1
                on_chunk(done, total)


def _values(
    ds: xr.Dataset, batches: list[Batch], pool: Executor | None
) -> Generator[np.ndarray, None, None]:
    """The values of every chunk, in order."""
    if pool is None:
        for name, places in batches:
            for place in places:
                yield _cast(ds.variables[name][place].values, _dtype(ds, name), name)
        return
    with closing(in_order(pool, _take, _tasks(ds, batches), AHEAD[".nc"])) as taken:
        for values in taken:
            yield from values


def _spread(ds: xr.Dataset, path: Path, on_chunk: Report, pool: Executor) -> None:
    """Have every chunk written to a Zarr store by the processes of a pool."""
    batches = list(_batches(ds))
    total, done = sum(len(places) for _, places in batches), 0
    put = partial(_put, str(path.resolve()))
    with closing(in_order(pool, put, _tasks(ds, batches), AHEAD[".zarr"])) as written:
        for count in written:
            done += count
            on_chunk(done, total)


def _batches(ds: xr.Dataset) -> Iterator[Batch]:
    """Chunks that follow each other in a variable, as many as make a task."""
    for name, variable in ds.variables.items():
        places = list(_places(variable))
        size = variable.dtype.itemsize * math.prod(_chunks(variable))
        together = max(1, TASK_BYTES // max(1, size))
        for start in range(0, len(places), together):
            yield str(name), places[start : start + together]


def _tasks(ds: xr.Dataset, batches: list[Batch]) -> Iterator[Task]:
    """What a process needs for a batch: of a lazy dataset where to read, else the values."""
    for name, places in batches:
        variable = ds.variables[name]
        yield name, places, [variable[place] for place in places], _dtype(ds, name)


def _take(
    name: str, places: list[Place], parts: list[xr.Variable], dtype: np.dtype
) -> list[np.ndarray]:
    return [_cast(part.values, dtype, name) for part in parts]


def _put(
    path: str, name: str, places: list[Place], parts: list[xr.Variable], dtype: np.dtype
) -> int:
    """Write a batch to the store that is there, and say how many chunks those are."""
    try:
        array = zarr.open_array(path, path=name, mode="r+", config=EVERY_CHUNK)
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: a worker on {socket.gethostname()} does not see this folder; give --out a "
            "place that all workers see at the same path"
        ) from error
    for place, part in zip(places, parts, strict=True):
        array[place or ...] = _cast(part.values, dtype, name)
    return len(places)


def _cast(values: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """Values in the precision of the output.

    Raises:
        InputError: Some become infinite.
    """
    with np.errstate(over="ignore"):
        made = values.astype(dtype, copy=False)
    if made.dtype.kind == "f" and np.any(np.isinf(made) & np.isfinite(values)):
        raise InputError(
            f"{name} holds values beyond float32 (3.4e38), which fields are written as; choose "
            "other units for it"
        )
    return made


def _places(variable: xr.Variable) -> Iterator[Place]:
    """Blocks of runs and frames that cover the variable, each a whole chunk in them."""
    chunks = _chunks(variable)
    lead = [place for place, dim in enumerate(variable.dims) if dim in ("sample", "time")]
    counts = [-(-variable.shape[place] // chunks[place]) for place in lead]
    for index in np.ndindex(*counts):
        block = [slice(None)] * variable.ndim
        for place, step in zip(lead, index, strict=True):
            block[place] = slice(step * chunks[place], (step + 1) * chunks[place])
        yield tuple(block)


def _chunks(variable: xr.Variable) -> tuple[int, ...]:
    """One run, whole frames, at most `CHUNK_BYTES` where a frame is smaller than that."""
    dims, chunks = variable.dims, [max(1, size) for size in variable.shape]
    if "time" not in dims or len(dims) < 3:
        return tuple(
            1 if d == "sample" and len(dims) > 1 else n for d, n in zip(dims, chunks, strict=True)
        )
    frame = 4 * int(
        np.prod([n for d, n in zip(dims, chunks, strict=True) if d not in ("sample", "time")])
    )
    frames = min(variable.sizes["time"], max(1, CHUNK_BYTES // frame))
    fixed = {"sample": 1, "time": frames}
    return tuple(fixed.get(str(dim), size) for dim, size in zip(dims, chunks, strict=True))


def _dtype(ds: xr.Dataset, name: str) -> np.dtype:
    """Coordinates keep their precision, masks are bytes, everything else is float32."""
    dtype = ds.variables[name].dtype
    if dtype.kind == "b" or (name in ds.data_vars and role(ds[name]) == "mask"):
        return np.dtype("i1")
    return dtype.newbyteorder("=") if name in ds.coords else np.dtype("float32")


def plain_attrs(attrs: dict[Any, Any]) -> dict[str, Any]:
    """Attributes that NetCDF and Zarr can both hold, without those on packing."""
    packing = ("_FillValue", "missing_value", "scale_factor", "add_offset", "coordinates", "dtype")
    kept = {str(key): value for key, value in attrs.items() if str(key) not in packing}
    return {key: _plain(value) for key, value in kept.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple, np.ndarray)):
        array = np.asarray(value)
        return array.tolist() if array.dtype.kind in "iuf" and array.ndim <= 1 else str(value)
    return value if isinstance(value, (str, int, float)) else str(value)
