"""Write a dataset in the schema to NetCDF or Zarr, a few frames in memory at a time."""

import warnings
from collections.abc import Callable, Iterator
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
from mpp.errors import InputError
from mpp.files import written_beside
from mpp.schema import role

CHUNK_BYTES = 4 * 2**20
"""A chunk holds frames of one run, as many as fit: a window then reads little more than itself."""
LISTED_SOURCES = 20
Report = Callable[[int, int], None]


def convert(
    path: Paths,
    out: Path | str,
    mapping: Mapping | None = None,
    *,
    overwrite: bool = False,
    on_chunk: Report = lambda done, total: None,
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
    return write(reading.ds.assign_attrs(attrs), out, overwrite=overwrite, on_chunk=on_chunk)


def require_free(out: Path, overwrite: bool) -> Path:
    """The path if it can be written to.

    Raises:
        InputError: Another ending than ``.nc`` or ``.zarr``, or something is there already.
    """
    if out.suffix not in (".nc", ".zarr"):
        raise InputError(f"{out}: end the output's name in .nc (NetCDF) or .zarr (Zarr)")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; choose another name, or replace it with --overwrite")
    if out.suffix == ".nc" and out.is_dir():
        raise InputError(f"{out} is a folder; name a file")
    return out


def write(
    ds: xr.Dataset,
    out: Path | str,
    *,
    overwrite: bool = False,
    on_chunk: Report = lambda done, total: None,
) -> Path:
    """Write a dataset in the schema beside ``out``, then rename.

    Args:
        ds: The dataset; a lazy one is read a chunk at a time.
        out: A name that ends in ``.nc`` or ``.zarr``.
        overwrite: Replace an output that is there.
        on_chunk: Called with the number of chunks written and of all chunks.

    Raises:
        InputError: The output must not be written, or the disk refuses.
    """
    out = require_free(Path(out), overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(out) as unfinished:
            if out.suffix == ".nc":
                _write_netcdf(ds, unfinished, on_chunk)
            else:
                _write_zarr(ds, unfinished, on_chunk)
    except (OSError, RuntimeError) as error:  # as netCDF4 says that it takes no such name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{out}: cannot be written ({reason})") from error
    return out


def _write_netcdf(ds: xr.Dataset, path: Path, on_chunk: Report) -> None:
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
        _stream(ds, file.variables.__getitem__, on_chunk)


def _write_zarr(ds: xr.Dataset, path: Path, on_chunk: Report) -> None:
    group = zarr.create_group(path, attributes=plain_attrs(ds.attrs))
    for name, variable in ds.variables.items():
        group.create_array(
            str(name),
            shape=variable.shape,
            dtype=_dtype(ds, str(name)),
            chunks=_chunks(variable) or "auto",
            dimension_names=[str(dim) for dim in variable.dims],
            attributes=plain_attrs(variable.attrs),
        )
    _stream(ds, group.__getitem__, on_chunk)
    with warnings.catch_warnings():
        # xarray warns of stores without consolidated metadata, zarr of stores with it.
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(path)


def _stream(ds: xr.Dataset, target: Callable[[str], Any], on_chunk: Report) -> None:
    places = [(str(name), place) for name in ds.variables for place in _places(ds.variables[name])]
    for number, (name, place) in enumerate(places):
        values = ds.variables[name][place].values.astype(_dtype(ds, name), copy=False)
        target(name)[place or ...] = values
        on_chunk(number + 1, len(places))


def _places(variable: xr.Variable) -> Iterator[tuple[slice, ...]]:
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
