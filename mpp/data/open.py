"""Any readable input as one dataset in the schema, lazily."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from mpp.data.bare import name_dims
from mpp.data.canonical import apply
from mpp.data.even import make_even
from mpp.data.groups import open_groups, unread
from mpp.data.guess import coordinate_of, goes_round, round_axes
from mpp.data.join import Part, join
from mpp.data.mapping import Mapping, line
from mpp.data.missing import fill, mask
from mpp.data.plan import Plan, by_coordinates
from mpp.data.recognise import Format, Paths, find_files, format_of
from mpp.data.regrid import to_centres
from mpp.data.remote import Place, Remote
from mpp.data.select import take_parts, take_points
from mpp.errors import InputError
from mpp.schema import BOUNDARY_KINDS, Violation, ensemble, space_axes, validate
from mpp.urls import shown


@dataclass(frozen=True)
class Reading:
    """What was found at a path.

    Args:
        ds: The dataset; it may still break the schema, for instance lack a boundary.
        plan: What the parts of the first file were taken for.
        files: The files, in order.
        format: What the first of them is.
        joined: In words, how several files became one.
    """

    ds: xr.Dataset
    plan: Plan
    files: tuple[Place, ...]
    format: Format
    joined: str


def open_dataset(
    path: Paths, *, mapping: Mapping | Path | str | None = None, **overrides: Any
) -> xr.Dataset:
    """Open simulations of one system in the canonical schema, without reading their fields.

    Args:
        path: A file (PDEBench or The Well HDF5, NetCDF, Zarr, or what ``mpp convert`` and ``mpp
            generate`` write), a folder of them, a glob, the URL of a Zarr store (``https``, ``s3``,
            ``gs``), or a list. What a file is, its content
            tells. Files with the same times are joined as further runs, files whose times follow
            each other as pieces in time.
        mapping: How the file's names translate, or a YAML file that says so.
        **overrides: Single entries of the mapping, such as ``sample``, ``time``, ``space``,
            ``names``, ``boundary``, ``units``, ``system``; see `mpp.data.mapping.Mapping`.

    Raises:
        InputError: Nothing to read there, or what is there cannot be brought into the schema.

    Examples:
        >>> ds = open_dataset("runs/*.nc", boundary={"x": "periodic", "y": "wall"})
    """
    reading = read(path, as_mapping(mapping, overrides))
    require_usable(reading.ds, describe(path))
    return reading.ds


def as_mapping(mapping: Mapping | Path | str | None, overrides: dict[str, Any]) -> Mapping:
    """A mapping from any of the ways to state one; the single entries win."""
    if mapping is None or isinstance(mapping, Mapping):
        base = mapping or Mapping()
    else:
        base = Mapping.from_yaml(mapping)
    return base.over({key: value for key, value in overrides.items() if value is not None})


def describe(path: Paths) -> str:
    """What to call the input in errors."""
    if isinstance(path, (str, Path, Remote)):
        return shown(str(path))
    return shown(str(path[0])) + (f" and {len(path) - 1} more" if len(path) > 1 else "")


def read(
    path: Paths, mapping: Mapping, on_file: Callable[[int, int], None] = lambda done, total: None
) -> Reading:
    """Open and join, but leave it to the caller what to make of departures from the schema.

    Args:
        path: As in `open_dataset`.
        mapping: What the user states.
        on_file: Called with the number of files opened so far and of all files.

    Raises:
        InputError: Nothing to read there, or no dims that could be time and space.
    """
    files = find_files(path, mapping.split)
    system = _system(path, files)
    parts, plans, formats, seen = [], [], [], set()
    for number, file in enumerate(files):
        formats.append(format_of(file))
        for name, ds in _open(file, formats[-1], mapping):
            ds = name_dims(ds, mapping.dims, name) if mapping.dims else ds
            seen |= set(ds.dims) | (set(ds.variables) & set(mapping.regrid))
            seen |= {coordinate_of(ds, str(dim)) for dim in ds.dims}
            made, plan = apply(_prepared(ds, mapping, name), mapping, name)
            if mapping.system is None and "system" not in ds.attrs:
                made.attrs["system"] = system
            parts.append(Part(name, made))
            plans.append(plan)
        on_file(number + 1, len(files))
    _require_seen(mapping, seen, plans[0], describe(path))
    if parts[0].name == str(files[0]):
        plans[0].left_out.update(unread(files[0], formats[0], mapping))
    ds, joined = join(parts, mapping.join)
    ds = _finished(ds, mapping, plans[0], describe(path))
    return Reading(ds, plans[0], tuple(files), formats[0], joined)


def _open(path: Place, kind: Format, mapping: Mapping) -> list[tuple[str, xr.Dataset]]:
    """The datasets in a file, each with the name to call it by: one, or one for each group."""
    if kind in ("pdebench", "thewell"):
        ds = xr.open_dataset(str(path), engine=kind, cache=False, system=mapping.system)
        return [(str(path), ds)]
    return open_groups(path, kind, mapping)


def _require_seen(mapping: Mapping, seen: set[Any], plan: Plan, source: str) -> None:
    for key in ("select", "regrid"):
        for name in getattr(mapping, key):
            axis = key == "select" and (plan.axis(name) or name == "sample")
            if name not in seen and not axis:
                raise InputError(
                    f"{source}: {key}: {name!r} is none of its dims "
                    f"({', '.join(sorted(str(dim) for dim in seen if dim))}); name one of them"
                )


def _prepared(ds: xr.Dataset, mapping: Mapping, source: str) -> xr.Dataset:
    """A file without the dims that are not wanted, whose fields share one grid."""
    ds = take_points(ds, mapping, source)
    if {"sample", "member"} <= set(ds.dims):
        raise InputError(f"{source}: {ensemble(ds)}")
    return by_coordinates(to_centres(ds, mapping, source), mapping)


def _finished(ds: xr.Dataset, mapping: Mapping, plan: Plan, source: str) -> xr.Dataset:
    """All files together without what is not asked for, on even axes and without gaps."""
    ds = round_axes(take_parts(ds, mapping, plan, source))
    ds = fill(ds, mapping, plan, source)
    ds = make_even(ds, mapping, plan, source)
    return mask(ds, mapping, plan, source)


def _system(path: Paths, files: list[Place]) -> str:
    """A name for a system that the files do not name: the file's, or the folder's for several."""
    if len(files) == 1:
        return files[0].stem
    if isinstance(path, (str, Path)) and Path(path).is_dir():
        return Path(path).resolve().name
    return files[0].resolve().parent.name


def require_usable(ds: xr.Dataset, source: str) -> None:
    """Refuse a dataset that breaks the schema, in the words of a mapping.

    Raises:
        InputError: With everything that is wrong.
    """
    problems = problems_of(ds)
    if problems:
        raise InputError(f"{source}: " + " | ".join(problems))


def problems_of(ds: xr.Dataset) -> list[str]:
    """Everything that keeps a dataset from training, each with what to do about it."""
    errors = [violation for violation in validate(ds) if violation.severity == "error"]
    open_sides = [axis for axis in space_axes(ds) if "boundary" not in ds[axis].attrs]
    told = [_told(error, ds) for error in errors if error.problem != "no boundary condition"]
    if open_sides:
        example = " ".join(f"--boundary {axis}=KIND" for axis in open_sides)
        lines = line(boundary=dict.fromkeys(open_sides, "KIND"))
        told.insert(
            0,
            f"no boundary condition along {', '.join(open_sides)}; state {example} (in a mapping "
            f"{lines}, as mpp doctor proposes it) with KIND one of {', '.join(BOUNDARY_KINDS)}",
        )
    told += [
        f"{axis}: its last point is the first one again, 360 degrees on; leave it out with "
        f"{line(select={axis: {'stop': -1}})}"
        for axis in open_sides
        if goes_round(ds, axis, twice=True)
    ]
    return told


def _told(error: Violation, ds: xr.Dataset) -> str:
    if error.where == "time" and error.problem.startswith("uneven"):
        return f"time: {error.problem}; interpolate to even steps with {line(even=('time',))}"
    if error.where == "time" and "do not increase" in error.problem:
        if np.all(np.diff(ds["time"].values) < 0):
            return "time: its values fall throughout; write the frames in the order of their times"
        rule = "drops what is written again later, as after a restart"
        return f"time: {error.problem}; {line(join='time')} {rule}"
    return str(error)
