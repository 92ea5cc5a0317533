"""NetCDF and Zarr as xarray reads them, but safe in worker processes and with times as numbers."""

import json
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import xarray as xr
from numcodecs.errors import UnsafeDecodeError

from mpp.data.bare import bare_hdf5, bare_zarr
from mpp.data.classic import least_size
from mpp.data.hdf5 import Hdf5Array
from mpp.data.lazy import LazyArray, lazy
from mpp.data.recognise import is_zarr, looking
from mpp.data.remote import Place, Remote, open_group, reaching
from mpp.data.stores import ClassicArray, ZarrArray
from mpp.errors import InputError

Plain = Literal["netcdf4", "netcdf3", "zarr"]


def open_plain(path: Place, kind: Plain, group: str = "", gaps: bool = False) -> xr.Dataset:
    """Open a NetCDF file or a Zarr store lazily, packed values unpacked and fill values as NaN.

    Times stay numbers with their units, so that ``t_star`` or ``Myr`` are as good as ``days since
    2000-01-01``. The result may be pickled, and read in processes that were forked or spawned.

    Args:
        path: File or folder, or a Zarr store behind a URL.
        kind: What it holds.
        group: The group to read, by its path inside; the outermost when left out.
        gaps: Whether chunks that a Zarr store lacks are read as NaN; otherwise they are refused.

    Raises:
        InputError: The file is damaged.
    """
    if isinstance(path, Path):
        _require_sound(path, kind, group)
    try:
        with reaching(path), _raw(path, kind, group) as raw:
            # A Zarr store lists its arrays in the order of the file system, which is none.
            listed = [str(name) for name in raw.variables]
            order = sorted(listed) if kind == "zarr" else listed
            found = {name: _reread(path, kind, group, name, raw, gaps) for name in order}
            ds = xr.Dataset(found, attrs=dict(raw.attrs))
    except _NoDims as error:
        ds = _bare(path, kind, group, str(error.__cause__), gaps)
    except UnsafeDecodeError:
        raise InputError(
            f"{path}: an array in this store is a Python pickle, which could run code and is not "
            "read; write it again without that codec, or leave it out"
        ) from None
    coords = [name for name in ds.data_vars if ds[name].dims == (name,)]
    try:
        return xr.decode_cf(ds.set_coords(coords), decode_times=False, decode_timedelta=False)
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        raise InputError(f"{path}: its attributes contradict each other ({error})") from error


def _require_sound(path: Path, kind: Plain, group: str) -> None:
    if kind == "zarr":
        with looking(path):
            _require_described(path / group)
    if kind == "netcdf3":
        _require_whole(path)


def _bare(path: Place, kind: Plain, group: str, reason: str, gaps: bool) -> xr.Dataset:
    try:
        if isinstance(path, Remote) or kind == "zarr":
            return bare_zarr(path, group, gaps)
        return bare_hdf5(path, group)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise _unreadable(path, kind, reason) from error


def _unreadable(path: Place, kind: Plain, reason: str) -> InputError:
    what = "Zarr" if kind == "zarr" else "NetCDF"
    return InputError(
        f"{path}: cannot be read as {what} ({reason}); it may be cut off or damaged, write or copy "
        "it again"
    )


class _NoDims(Exception):
    """xarray cannot tell the dims of this file."""


def _raw(path: Place, kind: Plain, group: str) -> xr.Dataset:
    options: dict[str, Any] = {"decode_cf": False, "cache": False, "create_default_indexes": False}
    inside = {**options, "group": group or None}
    if isinstance(path, Remote):
        whole = open_group(path)
        told = whole.metadata.consolidated_metadata is not None
        source: Any = path.store()
    else:
        told, source = False, path
    try:
        if kind == "zarr":
            return xr.open_dataset(source, engine="zarr", consolidated=told, chunks=None, **inside)
        if kind == "netcdf3":
            return xr.open_dataset(source, engine="netcdf4", **options)
        return xr.open_dataset(source, engine="h5netcdf", phony_dims="access", **inside)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        # What has dims in no form that xarray knows stands in a sound file all the same.
        if kind != "netcdf3" and isinstance(error, (KeyError, ValueError)):
            raise _NoDims from error
        raise _unreadable(path, kind, str(error)) from error


def _require_described(group: Path) -> None:
    """Refuse a group that lacks an array, or the description of one, which Zarr would leave out."""
    if (group / ".zarray").is_file() or (group / "c").is_dir():
        return  # an array itself, which is told elsewhere
    for entry in group.iterdir() if group.is_dir() else ():
        if entry.is_dir() and not is_zarr(entry) and any(entry.iterdir()):
            raise InputError(
                f"{entry}: part of a Zarr store without its zarr.json or .zarray; copy it again"
            )
    for name in _consolidated(group):
        if not (group / name).is_dir():
            raise InputError(f"{group}: this Zarr store lists {name} but lacks it; copy it again")


def _consolidated(group: Path) -> list[str]:
    """What a group says that it holds, where it says so; what it says may be damaged."""
    for name, path in (("zarr.json", ("consolidated_metadata", "metadata")), (".zmetadata", ())):
        with suppress(OSError, ValueError, AttributeError):
            found = json.loads((group / name).read_text(encoding="utf-8"))
            for key in path or ("metadata",):
                found = found.get(key) or {}
            return [str(PurePosixPath(key).parent) if not path else key for key in found]
    return []


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


def _reread(
    path: Place, kind: Plain, group: str, name: str, raw: xr.Dataset, gaps: bool
) -> xr.Variable:
    """The variable with its data replaced by one that each process reads for itself."""
    variable = raw.variables[name]
    if variable.dtype.kind not in "fiub" or variable.ndim == 0:
        return variable.copy(data=variable.values)
    dims, place = [str(dim) for dim in variable.dims], path.resolve()
    inside = f"{group}/{name}" if group else name
    if kind == "netcdf4":
        sizes = dict(zip(dims, variable.shape, strict=True))
        array: LazyArray = Hdf5Array(str(place), inside, dims, sizes, {}, variable.dtype)
    elif kind == "netcdf3":
        array = ClassicArray(str(place), name, variable.shape, variable.dtype)
    else:
        array = ZarrArray(place, inside, gaps, masked="_FillValue" in variable.attrs)
    made = lazy(dims, array, dict(variable.attrs))
    made.encoding = dict(variable.encoding)
    return made
