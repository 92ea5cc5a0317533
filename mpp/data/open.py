"""Any readable input as one dataset in the schema, lazily."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from mpp.data.canonical import apply
from mpp.data.join import Part, join
from mpp.data.mapping import Mapping
from mpp.data.plain import open_plain
from mpp.data.plan import Plan
from mpp.data.recognise import Format, Paths, find_files, format_of
from mpp.errors import InputError
from mpp.schema import BOUNDARY_KINDS, space_axes, validate


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
    files: tuple[Path, ...]
    format: Format
    joined: str


def open_dataset(
    path: Paths, *, mapping: Mapping | Path | str | None = None, **overrides: Any
) -> xr.Dataset:
    """Open simulations of one system in the canonical schema, without reading their fields.

    Args:
        path: A file (PDEBench or The Well HDF5, NetCDF, Zarr, or what ``mpp convert`` and ``mpp
            generate`` write), a folder of them, a glob, or a list. What a file is, its content
            tells. Files with the same times are joined as further runs, files whose times follow
            each other as pieces in time.
        mapping: How the file's names translate, or a YAML file that says so.
        **overrides: Single entries of the mapping, such as ``sample``, ``time``, ``space``,
            ``names``, ``boundary``, ``units``, ``system``; see `mpp.data.mapping.Mapping`.

    Raises:
        InputError: Nothing to read there, or what is there cannot be brought into the schema.

    Example:
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
    if isinstance(path, (str, Path)):
        return str(path)
    return str(path[0]) + (f" and {len(path) - 1} more" if len(path) > 1 else "")


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
    parts, plans, formats = [], [], []
    for number, file in enumerate(files):
        formats.append(format_of(file))
        ds = _open(file, formats[-1], mapping.system)
        made, plan = apply(ds, mapping, str(file))
        if mapping.system is None and "system" not in ds.attrs:
            made.attrs["system"] = system
        parts.append(Part(str(file), made))
        plans.append(plan)
        on_file(number + 1, len(files))
    ds, joined = join(parts, mapping.join)
    return Reading(ds, plans[0], tuple(files), formats[0], joined)


def _open(path: Path, kind: Format, system: str | None) -> xr.Dataset:
    if kind in ("pdebench", "thewell"):
        return xr.open_dataset(path, engine=kind, cache=False, system=system)
    return open_plain(path, kind)


def _system(path: Paths, files: list[Path]) -> str:
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
    told = [str(error) for error in errors if error.problem != "no boundary condition"]
    if open_sides:
        example = " ".join(f"--boundary {axis}=KIND" for axis in open_sides)
        told.insert(
            0,
            f"no boundary condition along {', '.join(open_sides)}; state {example} (in Python "
            f"boundary={{...}}, or save the mapping that mpp doctor prints) with KIND one of "
            f"{', '.join(BOUNDARY_KINDS)}",
        )
    return told
