"""What is in these files, and will they train: a report from metadata and a few frames."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import xarray as xr

from mpp.data.mapping import Mapping
from mpp.data.open import Reading, problems_of, read
from mpp.data.recognise import Paths
from mpp.data.report import AxisReport, FieldReport, Report, TimeReport
from mpp.data.sampled import SAMPLED_BYTES, examine_field, sampled_frames, seam_ratios
from mpp.data.seam import judge
from mpp.schema import BOUNDARY_KINDS, fields, is_even, names, role, space_axes, validate

WINDOW = 2
"""Frames that training needs at least: one to start from and one to predict."""

HISTORY = 8
"""Frames that the default model looks back on: its training windows have one more."""

_DOUBTS = {
    "does not wrap": "a field jumps from its last point to its first",
    "equal at both sides": "the fields are equal at both sides, as if the last point were repeated",
}


def examine(
    paths: Paths,
    mapping: Mapping | None = None,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Look at files without reading more than a few frames.

    Args:
        paths: Files, a folder or a glob, of one system.
        mapping: What the user states.
        on_file: Called with the number of files opened so far and of all files.

    Raises:
        InputError: They cannot be read, or their time and space axes cannot be told.
    """
    mapping = mapping or Mapping()
    reading = read(paths, mapping, on_file)
    frames = sampled_frames(reading.ds)
    found = tuple(examine_field(reading, field, frames) for field in fields(reading.ds))
    ratios = seam_ratios(reading.ds, frames)
    axes = tuple(
        replace(_axis(reading, axis), sides=judge(ratios[axis])) for axis in space_axes(reading.ds)
    )
    time = _time(reading)
    shown = (paths,) if not isinstance(paths, (list, tuple)) else paths
    return Report(
        paths=tuple(str(path) for path in shown),
        files=len(reading.files),
        format=reading.format,
        joined=reading.joined,
        system=str(reading.ds.attrs.get("system", "")),
        samples=reading.ds.sizes["sample"],
        sample_source=reading.plan.sample or "",
        time=time,
        axes=axes,
        fields=found,
        others=_others(reading.ds),
        left_out=reading.plan.left_out,
        nbytes=sum(reading.ds[name].nbytes for name in names(reading.ds)),
        sampled=sum(len(places) for places in frames.values()),
        problems=(*problems_of(reading.ds), *_value_problems(reading.ds, found)),
        warnings=tuple(_warnings(reading, axes, time, found)),
        mapping=suggest(mapping, reading, axes),
        needs_mapping=bool(mapping.to_dict()) or any(not axis.boundary for axis in axes),
    )


def _axis(reading: Reading, axis: str) -> AxisReport:
    coordinate = reading.ds[axis]
    values = np.asarray(coordinate.values, dtype=np.float64)
    source = reading.plan.space.get(axis, axis)
    return AxisReport(
        name=axis,
        source=source,
        size=values.size,
        low=float(values[0]),
        high=float(values[-1]),
        spacing=float(np.ptp(values)) / max(1, values.size - 1),
        even=is_even(values),
        units=str(coordinate.attrs.get("units", "")),
        numbered=source not in reading.plan.coordinates,
        boundary=str(coordinate.attrs.get("boundary", "")),
    )


def _time(reading: Reading) -> TimeReport:
    values = np.asarray(reading.ds["time"].values, dtype=np.float64)
    source = reading.plan.time or ""
    return TimeReport(
        source=source,
        size=values.size,
        low=float(values[0]),
        high=float(values[-1]),
        step=float(np.ptp(values)) / max(1, values.size - 1),
        even=is_even(values),
        units=str(reading.ds["time"].attrs.get("units", "")),
        numbered=bool(source) and source not in reading.plan.coordinates,
    )


def _others(ds: xr.Dataset) -> dict[str, str]:
    found = {}
    for name, variable in ds.data_vars.items():
        kind = role(variable)
        if kind in ("field", "truth"):
            continue
        if variable.nbytes > SAMPLED_BYTES:
            found[str(name)] = kind
            continue
        values = variable.values
        low, high = np.nanmin(values), np.nanmax(values)
        numbers = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        varies = [str(dim) for dim in variable.dims if dim in ("sample", "time")]
        by = f", by {' and '.join(varies)}" if varies else ""
        found[str(name)] = f"{kind} {numbers}{by}"
    return found


def _value_problems(ds: xr.Dataset, found: tuple[FieldReport, ...]) -> list[str]:
    problems = [
        f"{field.name}: {field.missing:.2%} of the values read are NaN or infinite; fill them, or "
        "give a variable with role mask that is 0 there"
        for field in found
        if field.missing
    ]
    if ds.sizes["time"] < WINDOW:
        problems.append("time: only one frame a run; join later times, or choose another time dim")
    if found and all(field.constant for field in found):
        problems.append("all fields are constant in the frames read; is this the right file?")
    return problems


def _warnings(
    reading: Reading, axes: tuple[AxisReport, ...], time: TimeReport, found: tuple[FieldReport, ...]
) -> list[str]:
    told = [str(v) for v in validate(reading.ds) if v.severity == "warning"]
    told += [f"{f.name} is constant in the frames read; leave it out" for f in found if f.constant]
    for axis in axes:
        if axis.suspect:
            told.append(f"{axis.name} is declared periodic, but {_DOUBTS[axis.sides]}; check it")
        if axis.numbered:
            told.append(f"{axis.name} has no coordinate; its points are numbered from 0")
    if time.numbered:
        told.append("time has no coordinate; its frames are numbered from 0")
    if WINDOW <= time.size <= HISTORY:
        told.append(
            f"only {time.size} frames a run: a model that looks back on {HISTORY}, as by default, "
            f"trains on windows of {HISTORY + 1}"
        )
    if reading.ds.sizes["sample"] == 1:
        told.append("only one run: nothing is left to hold out; add runs to be able to validate")
    return told


def suggest(mapping: Mapping, reading: Reading, axes: tuple[AxisReport, ...]) -> str:
    """The mapping that was used, guesses included, with a boundary proposed where none is known.

    A proposal from the fields is marked as such: it is for the user to confirm.
    """
    plan = reading.plan
    stated = {
        "sample": plan.sample,
        "time": plan.time,
        "space": dict(plan.space),
        "names": {old: new for old, new in plan.names.items() if old != new},
        "system": str(reading.ds.attrs.get("system", "")),
    }
    entries = {key: value for key, value in stated.items() if value}
    lines = Mapping.from_dict({**mapping.to_dict(), **entries, "boundary": {}}).to_yaml()
    sides = []
    for axis in axes:
        guess = "periodic" if axis.sides == "wraps" else "wall"
        rest = ", ".join(kind for kind in BOUNDARY_KINDS if kind != guess)
        why = f"  # a guess, the fields say '{axis.sides}'; else {rest}"
        sides.append(f"  {axis.name}: {axis.boundary or guess + why}")
    return lines + "boundary:\n" + "\n".join(sides) + "\n"
