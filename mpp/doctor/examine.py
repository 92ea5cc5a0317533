"""What is in these files, and will they train: a report from metadata and a few frames."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from mpp.data.mapping import Mapping
from mpp.data.missing import glance
from mpp.data.open import Reading, describe, read
from mpp.data.recognise import Paths
from mpp.data.seam import judge
from mpp.doctor.checks.table import CHECKS, checkpoint_checks, run_checks
from mpp.doctor.parts import AxisReport, MaskReport, TimeReport
from mpp.doctor.report import Precision, Report
from mpp.doctor.sampled import (
    SAMPLED_BYTES,
    Frames,
    choose_places,
    examine_field,
    inside,
    is_small,
    read_frames,
    seam_ratios,
)
from mpp.doctor.storage import examine_storage
from mpp.doctor.twins import find_twins
from mpp.errors import InputError
from mpp.schema import (
    BOUNDARY_KINDS,
    Violation,
    fields,
    is_even,
    names,
    role,
    space_axes,
    validate,
)
from mpp.urls import shown

if TYPE_CHECKING:
    from mpp.doctor.checkpoint import CheckpointReport


def examine(
    paths: Paths,
    mapping: Mapping | None = None,
    on_file: Callable[[int, int], None] = lambda done, total: None,
    checkpoint: str | Path | None = None,
    precision: Precision = "32-true",
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Look at files without reading more than a part of them, whatever their size.

    Args:
        paths: Files, a folder or a glob, of one system.
        mapping: What the user states.
        on_file: Called with the number of files opened so far and of all files.
        checkpoint: Folder or name of a checkpoint to finetune; the cost of that is measured.
        precision: Precision of the training.
        on_step: Called with the number of steps taken to measure a finetuning, and of all steps.

    Raises:
        InputError: They cannot be read, are empty, or their time and space axes cannot be told; or
            there is no such checkpoint.
    """
    mapping = mapping or Mapping()
    reading = read(paths, mapping, on_file)
    empty = [str(one) for one in validate(reading.ds) if one.problem.startswith("it is empty")]
    if empty:
        raise InputError(f"{describe(paths)}: {' | '.join(empty)}")
    with np.errstate(invalid="ignore", over="ignore"):  # of values that the report tells
        report = _look(reading, paths, mapping, precision)
    report = _with_entries(replace(report, findings=run_checks(report, CHECKS)))
    if checkpoint is None:
        return report
    report = replace(report, checkpoint=_prospects(reading.ds, report, checkpoint, on_step))
    return replace(report, findings=report.findings + run_checks(report, checkpoint_checks()))


def _look(reading: Reading, paths: Paths, mapping: Mapping, precision: Precision) -> Report:
    """The report before any check."""
    ds = reading.ds
    if not is_small(ds):
        glance(ds)
    places = choose_places(ds)
    frames, sampling = read_frames(ds, places)
    ratios = seam_ratios(ds, frames, places.part)
    axes = tuple(
        replace(_axis(reading, axis), sides=judge(ratios[axis])) for axis in space_axes(ds)
    )
    listed = (paths,) if not isinstance(paths, (list, tuple)) else paths
    return Report(
        paths=tuple(shown(str(path)) for path in listed),
        files=len(reading.files),
        format=reading.format,
        joined=reading.joined,
        system=str(ds.attrs.get("system", "")),
        samples=ds.sizes["sample"],
        sample_source=reading.plan.sample or "",
        time=_time(reading),
        axes=axes,
        fields=tuple(examine_field(reading, field, frames) for field in fields(ds)),
        masks=_masks(ds, frames, places.part),
        others=_others(ds),
        left_out=reading.plan.left_out,
        nbytes=sum(ds[name].nbytes for name in names(ds)),
        sampling=sampling,
        twins=find_twins(reading, paths, mapping),
        storage=examine_storage(ds),
        precision=precision,
        checkpoint=None,
        violations=tuple(_violations(ds)),
        findings=(),
        mapping=suggest(mapping, reading, axes),
        needs_mapping=bool(mapping.to_dict()) or any(not axis.boundary for axis in axes),
    )


def _with_entries(report: Report) -> Report:
    """The report with what may solve its problems as comments in the mapping, to be taken or not.

    A file in the schema whose problems a mapping may solve needs one as well.
    """
    entries = {f.entry: f"# {f.entry}  # for: {f.check}\n" for f in report.findings if f.entry}
    grave = any(f.entry for f in report.findings if f.level == "problem")
    mapping = report.mapping + "".join(entries.values())
    return replace(report, mapping=mapping, needs_mapping=report.needs_mapping or grave)


def _prospects(
    ds: xr.Dataset, report: Report, checkpoint: str | Path, on_step: Callable[[int, int], None]
) -> "CheckpointReport":
    from mpp.doctor.checkpoint import examine_checkpoint

    solved = ("boundary",)  # a mapping is all that these need, and cost does not depend on it
    sound = not any(f.level == "problem" and f.check not in solved for f in report.findings)
    return examine_checkpoint(checkpoint, ds, report.precision, sound, on_step)


def _violations(ds: xr.Dataset) -> list[Violation]:
    """Departures from the schema that no other check speaks of."""
    others = ("no boundary condition", "uneven spacing")
    return [v for v in validate(ds) if not v.problem.startswith(others)]


def _axis(reading: Reading, axis: str) -> AxisReport:
    coordinate = reading.ds[axis]
    values = np.asarray(coordinate.values, dtype=np.float64)
    source = reading.plan.space.get(axis, axis)
    return AxisReport(
        name=axis,
        source=source,
        spacing=_mean_step(values),
        **_extent(values),
        units=str(coordinate.attrs.get("units", "")),
        numbered=source not in reading.plan.coordinates,
        boundary=str(coordinate.attrs.get("boundary", "")),
    )


def _time(reading: Reading) -> TimeReport:
    values = np.asarray(reading.ds["time"].values, dtype=np.float64)
    source = reading.plan.time or ""
    return TimeReport(
        source=source,
        step=_mean_step(values),
        **_extent(values),
        units=str(reading.ds["time"].attrs.get("units", "")),
        numbered=bool(source) and source not in reading.plan.coordinates,
    )


def _mean_step(values: np.ndarray) -> float:
    return float(np.ptp(values)) / max(1, values.size - 1)


def _extent(values: np.ndarray) -> dict[str, Any]:
    """What is told alike of points along an axis and of times."""
    steps = np.diff(values) if values.size > 1 else np.zeros(1)
    return {
        "size": values.size,
        "low": float(values[0]),
        "high": float(values[-1]),
        "shortest": float(steps.min()),
        "longest": float(steps.max()),
        "even": is_even(values),
    }


def _masks(
    ds: xr.Dataset, frames: tuple[Frames, ...], part: dict[str, slice]
) -> tuple[MaskReport, ...]:
    """The share of the points that each mask lets count, in what was read of the runs."""
    found = []
    for name in names(ds, "mask"):
        maps = [inside(ds[[name]], each.run, part) for each in frames]
        shares = [float(each.mean()) for each in maps if each is not None]
        if shares:
            found.append(MaskReport(name, sum(shares) / len(shares)))
    return tuple(found)


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
    guessed = [axis for axis in axes if not axis.boundary]
    kinds = f"  # each one of {', '.join(BOUNDARY_KINDS)}" if guessed else ""
    sides = []
    for axis in axes:
        guess = "periodic" if axis.sides == "wraps" else "wall"
        why = f"  # a guess, the fields say '{axis.sides}'"
        sides.append(f"  {axis.name}: {axis.boundary or guess + why}")
    return lines + f"boundary:{kinds}\n" + "\n".join(sides) + "\n"
