"""Groups inside a file: which there are, and several of them as one dataset."""

from collections import Counter
from fnmatch import fnmatchcase

import h5py
import numpy as np
import xarray as xr
import zarr

from mpp.data.hdf5 import inspecting
from mpp.data.mapping import Mapping, line
from mpp.data.plain import Plain, open_plain
from mpp.data.recognise import natural
from mpp.data.remote import Place, open_group, reaching
from mpp.errors import InputError

SHOWN = 6


def open_groups(path: Place, kind: Plain, mapping: Mapping) -> list[tuple[str, xr.Dataset]]:
    """The groups that are wanted as datasets, each with the name to call it by.

    Groups with the same variables stay apart, as files would; others become one. Where the file
    has variables in one group alone, that is read without being asked for.

    Args:
        path: File or folder.
        kind: What it holds.
        mapping: What the user states, of which ``group`` and ``join`` count here.

    Raises:
        InputError: A group that is not there, or variables in several groups with none chosen.
    """
    wanted, there, gaps = mapping.group, [], mapping.missing is not None
    if wanted is None:
        whole = open_plain(path, kind, gaps=gaps)
        if not any(variable.ndim > 1 for variable in whole.variables.values()):
            there = list_groups(path, kind)
        wanted = _only_one(path, there)
        if not wanted:
            return [(str(path), whole)]
    there = there or list_groups(path, kind)
    chosen = [group for name in wanted for group in _matching(name, there, path)]
    opened = [(name, _with_surroundings(path, kind, name, there, gaps)) for name in chosen]
    held = [{str(key) for key in ds.data_vars} for _, ds in opened]
    alike = len(opened) > 1 and all(other == held[0] for other in held[1:])
    if len(opened) == 1 or (alike and mapping.join != "fields"):
        return [(f"{path}/{name}", ds) for name, ds in opened]
    return [(str(path), together(opened, str(path)))]


def list_groups(path: Place, kind: Plain) -> list[str]:
    """The groups that hold variables, by their paths inside the file; the root has none."""
    found: list[str] = []
    if kind == "zarr":
        for name, item in _members(path):
            if isinstance(item, zarr.Array) and "/" in name:
                found.append(name.rpartition("/")[0])
    elif kind == "netcdf4":
        with inspecting(str(path)) as file:

            def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
                if isinstance(item, h5py.Dataset) and "/" in name:
                    found.append(name.rpartition("/")[0])

            file.visititems(note)
    return sorted(set(found), key=natural)


def _members(path: Place) -> tuple[tuple[str, zarr.Array | zarr.Group], ...]:
    with reaching(path):
        return open_group(path).members(max_depth=None)


def _matching(name: str, there: list[str], path: Place) -> list[str]:
    name = name.strip("/")
    found = [name] if name in ("", *there) else [g for g in there if fnmatchcase(g, name)]
    if not found:
        raise InputError(f"{path}: no group {name!r}; it has {_shown(there)}")
    return found


def unread(path: Place, kind: str, mapping: Mapping) -> dict[str, str]:
    """Why groups of a file are left out, by name, where what is outside of them is read."""
    if mapping.group is not None or kind not in ("netcdf4", "zarr"):
        return {}
    listed = list_groups(path, kind)[:SHOWN]
    return {f"{name}/": f"a group; {line(group=name)} reads it" for name in listed}


def _only_one(path: Place, there: list[str]) -> tuple[str, ...]:
    if len(there) < 2:
        return tuple(there)
    stem = there[0].rstrip("0123456789")
    numbered = bool(stem) and all(name.startswith(stem) for name in there)
    several = f"{stem}*" if numbered else there[:SHOWN]
    raise InputError(
        f"{path}: its variables are in the groups {_shown(there)}; read one with "
        f"{line(group=there[0])}, or several with {line(group=several)}, as further runs "
        "where they hold the same variables"
    )


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more


def _with_surroundings(
    path: Place, kind: Plain, name: str, there: list[str], gaps: bool
) -> xr.Dataset:
    """A group with the coordinates of its dims and the numbers in the groups around it."""
    ds = open_plain(path, kind, name, gaps)
    parts = name.split("/") if name else []
    for depth in reversed(range(len(parts))):
        outer = "/".join(parts[:depth])
        if outer and outer not in there:
            continue
        for key, variable in open_plain(path, kind, outer, gaps).variables.items():
            if key in ds.variables:
                continue
            if variable.ndim == 0:
                ds = ds.assign({key: variable})
            elif variable.ndim == 1 and variable.sizes.items() <= ds.sizes.items():
                ds = ds.assign_coords({key: variable})
    return ds


def together(parts: list[tuple[str, xr.Dataset]], source: str) -> xr.Dataset:
    """Datasets with different variables as one; what they call alike but differs has both names.

    A dim or a variable of a group whose size, positions or values differ from another's of the
    same name is called ``group/name``.
    """
    counts = Counter(str(name) for _, ds in parts for name in ds.data_vars)
    for name in [name for name, count in counts.items() if count > 1]:
        found = [ds[name].variable for _, ds in parts if name in ds.data_vars]
        if found[0].ndim == 0 and all(found[0].equals(other) for other in found[1:]):
            counts[name] = 1
    first: dict[str, xr.Dataset] = {}
    out: list[xr.Dataset] = []
    for group, ds in parts:
        renames = {name: f"{group}/{name}" for name in ds.data_vars if counts[str(name)] > 1}
        for dim in map(str, ds.dims):
            other = first.setdefault(dim, ds)
            if not _same_dim(other, ds, dim):
                renames[dim] = f"{group}/{dim}"
        out.append(ds.rename(renames))
    try:
        return xr.merge(out, compat="override", join="override", combine_attrs="drop_conflicts")
    except (ValueError, xr.MergeError) as error:
        raise InputError(f"{source}: its groups do not go together ({error})") from error


def _same_dim(one: xr.Dataset, other: xr.Dataset, dim: str) -> bool:
    if one.sizes[dim] != other.sizes[dim]:
        return False
    if dim not in one.coords or dim not in other.coords:
        return True
    return bool(np.array_equal(one[dim].values, other[dim].values))
