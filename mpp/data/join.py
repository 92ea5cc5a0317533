"""Several files of one system as one dataset: further runs, later times, or other fields."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import cftime
import numpy as np
import xarray as xr

from mpp.data.lazy import join as join_variables
from mpp.data.lazy import view
from mpp.data.mapping import Join, line
from mpp.errors import InputError
from mpp.schema import names, role, space_axes


@dataclass(frozen=True)
class Part:
    """One file's dataset in the schema, with the name to call it by."""

    name: str
    ds: xr.Dataset

    @cached_property
    def times(self) -> np.ndarray:
        return np.asarray(self.ds["time"].values, dtype=np.float64)

    @cached_property
    def start(self) -> float:
        return float(self.times[0])

    @cached_property
    def tolerance(self) -> float:
        """Difference between times that still count as the same."""
        return 1e-6 * max(float(np.ptp(self.times)), float(np.abs(self.times).max()), 1e-300)


def join(parts: Sequence[Part], how: Join | None = None) -> tuple[xr.Dataset, str]:
    """Join files without reading their fields.

    Files with the same times hold further runs; files whose times follow each other hold one
    run each in pieces. Both may be at once, run by run and piece by piece in the order of names.
    Files that share no field hold different fields of the same runs and times.

    Args:
        parts: The files' datasets, in the order of their names.
        how: States what they hold where the times would tell otherwise.

    Returns:
        The dataset, and in words how it was joined.

    Raises:
        InputError: The files differ in fields or grid, or their times fit neither way.
    """
    if how == "time":
        parts = [Part(part.name, _without_repeats(part)) for part in parts]
    if len(parts) == 1:
        return parts[0].ds, ""
    parts = [_rebase(part, parts[0]) for part in parts]
    kinds: dict[frozenset[str], list[Part]] = {}
    for part in parts:
        kinds.setdefault(frozenset(names(part.ds)), []).append(part)
    apart = sum(map(len, kinds)) == len(frozenset().union(*kinds))
    if len(kinds) > 1 and apart and how in (None, "fields"):
        return _along_fields([_join(kind, None) for kind in kinds.values()])
    joined, words = _join(parts, None if how == "fields" else how)
    return joined.ds, words


def _join(parts: Sequence[Part], how: Join | None) -> tuple[Part, str]:
    """Files with the same fields."""
    if len(parts) == 1:
        return parts[0], ""
    for part in parts[1:]:
        _require_alike(parts[0], part)
    groups = _by_time(parts, how)
    runs = [_along_sample(group) for group in groups]
    if len(groups) == 1:
        return runs[0], f"{len(parts)} files, each further runs"
    joined = Part(parts[0].name, _along_time(runs))
    each = len(groups[0])
    return joined, f"{len(groups)} pieces in time" + (f" of {each} files each" if each > 1 else "")


def _rebase(part: Part, first: Part) -> Part:
    """Times counted from the same date as the first file's."""
    time, wanted = part.ds["time"], first.ds["time"].attrs
    since, calendar = time.attrs.get("since"), str(time.attrs.get("calendar", "standard"))
    same = time.attrs.get("units") == wanted.get("units")
    if same and since == wanted.get("since"):
        return part
    if since is None or wanted.get("since") is None:
        raise InputError(
            f"{part.name}: its time is in {time.attrs.get('units')!r} but that of {first.name} in "
            f"{wanted.get('units')!r}; write both alike"
        )
    target = f"{wanted['units']} since {wanted['since']}"
    try:
        dates = cftime.num2date(time.values, f"{time.attrs['units']} since {since}", calendar)
        values = np.asarray(cftime.date2num(dates, target, calendar), dtype=np.float64)
    except ValueError as error:
        raise InputError(
            f"{part.name}: its time counts {time.attrs['units']} since {since}, that of "
            f"{first.name} {target}; cannot bring both together ({error}), write both alike"
        ) from error
    coordinate = xr.Variable(("time",), values, dict(wanted))
    return Part(part.name, part.ds.assign_coords(time=coordinate))


def _require_alike(first: Part, other: Part) -> None:
    names, found = set(first.ds.data_vars), set(other.ds.data_vars)
    if names != found:
        differ = ", ".join(sorted(str(name) for name in names ^ found))
        raise InputError(
            f"{first.name} and {other.name} differ in variables: only one of them has {differ}; "
            "leave it out with keep=[...], or open the files apart"
        )
    _require_grid(first, other)


def _require_grid(first: Part, other: Part) -> None:
    axes, others = space_axes(first.ds), space_axes(other.ds)
    if axes != others:
        raise InputError(
            f"{first.name} has the axes {', '.join(axes)} but {other.name} {', '.join(others)}; "
            "open them apart"
        )
    for axis in axes:
        here, there = first.ds[axis], other.ds[axis]
        if here.size != there.size:
            raise InputError(
                f"mixed grids: {axis} has {here.size} points in {first.name} but {there.size} in "
                f"{other.name}; interpolate them to one grid, or open them apart"
            )
        span = float(np.ptp(here.values)) or 1.0
        if not np.allclose(here.values, there.values, rtol=0, atol=1e-6 * span):
            raise InputError(
                f"mixed grids: {axis} goes from {here.values[0]:.6g} to {here.values[-1]:.6g} in "
                f"{first.name} but from {there.values[0]:.6g} to {there.values[-1]:.6g} in "
                f"{other.name}; interpolate them to one grid, or open them apart"
            )
        for key in ("units", "boundary"):
            if here.attrs.get(key) != there.attrs.get(key):
                raise InputError(
                    f"{axis} has {key} {here.attrs.get(key)!r} in {first.name} but "
                    f"{there.attrs.get(key)!r} in {other.name}; open them apart"
                )


def _by_time(parts: Sequence[Part], how: Join | None) -> list[list[Part]]:
    groups: list[list[Part]] = []
    for part in parts:
        known = () if how == "time" else groups
        fits = next((group for group in known if _same_times(group[0], part)), None)
        if fits is None:
            groups.append([part])
        else:
            fits.append(part)
    if how == "sample" and len(groups) > 1:
        _refuse(groups[0][0], groups[1][0], "runs joined along sample must share their times")
    groups.sort(key=lambda group: group[0].times[0])
    if how == "time":
        groups = [[part] for part in _without_overlap([group[0] for group in groups])]
    for before, after in pairwise(groups):
        if before[0].times[-1] >= after[0].times[0]:
            restart = f"neither the same nor one after the other; {line(join='time')} lets the"
            _refuse(before[0], after[0], f"{restart} later file win, as after a restart")
        if len(before) != len(after):
            raise InputError(
                f"{len(before)} files start at time {before[0].times[0]:.6g} but {len(after)} at "
                f"{after[0].times[0]:.6g} ({after[0].name}); every run needs every piece"
            )
    return groups


def _without_overlap(parts: Sequence[Part]) -> list[Part]:
    """Pieces in time, each up to where the next one starts: a restart writes frames again."""
    cut = []
    for part, after in pairwise([*parts, None]):
        assert part is not None
        if after is not None and after.times[0] > part.times[0]:
            reach = after.times[0] - 1e-6 * float(np.ptp([*part.times, *after.times]))
            part = Part(part.name, part.ds.isel(time=slice(int((part.times < reach).sum()))))
        cut.append(part)
    return cut


def _without_repeats(part: Part) -> xr.Dataset:
    """A file without the frames that a restart wrote again behind them."""
    times = part.times
    later = np.minimum.accumulate(times[::-1])[::-1]
    kept = np.append(times[:-1] < later[1:], True)
    return part.ds if kept.all() else part.ds.isel(time=np.flatnonzero(kept))


def _same_times(one: Part, other: Part) -> bool:
    # The first times alone tell most files of a long run apart, which each meets every other.
    if one.times.shape != other.times.shape or abs(one.start - other.start) > one.tolerance:
        return False
    return bool(np.allclose(one.times, other.times, rtol=0, atol=one.tolerance))


def _refuse(one: Part, other: Part, why: str) -> None:
    def told(part: Part) -> str:
        times = part.times
        return f"{part.name} has {times.size} times from {times[0]:.6g} to {times[-1]:.6g}"

    raise InputError(
        f"{told(one)}, {told(other)}: {why}; cut them to the same times, or open apart"
    )


def _along_sample(group: Sequence[Part]) -> Part:
    if len(group) == 1:
        return group[0]
    first = group[0].ds
    runs = sum(part.ds.sizes["sample"] for part in group)
    data = {}
    for name, variable in first.variables.items():
        found = [part.ds.variables[name] for part in group]
        if name in first.coords:
            continue
        shared = "sample" not in variable.dims and all(
            np.array_equal(variable.values, other.values, equal_nan=True) for other in found[1:]
        )
        data[name] = variable if shared else _stack(group, str(name), runs)
    coords = {name: first.variables[name] for name in first.coords if name != "sample"}
    return Part(group[0].name, xr.Dataset(data, coords, first.attrs))


def _stack(group: Sequence[Part], name: str, runs: int) -> xr.Variable:
    first = group[0].ds.variables[name]
    dims = ["sample", *(str(dim) for dim in first.dims if dim != "sample")]
    pieces = []
    for part in group:
        variable, count = part.ds.variables[name], part.ds.sizes["sample"]
        made = view(variable, dims, variable.dtype)
        pieces += [made] if "sample" in variable.dims else [made] * count
    assert sum(piece.sizes["sample"] for piece in pieces) == runs
    stacked = join_variables(pieces, "sample")
    return stacked if first.ndim > 1 else stacked.copy(data=stacked.values)


def _along_fields(kinds: Sequence[tuple[Part, str]]) -> tuple[xr.Dataset, str]:
    first, words = kinds[0]
    data = dict(first.ds.data_vars)
    for other, _ in kinds[1:]:
        _require_grid(first, other)
        if not _same_times(first, other):
            _refuse(first, other, "files of different fields must share their times")
        counts = [part.ds.sizes["sample"] for part in (first, other)]
        if counts[0] != counts[1]:
            raise InputError(
                f"{first.name} and other files with its fields hold {counts[0]} runs, {other.name} "
                f"and others with its own {counts[1]}; every field needs every run"
            )
        for name, variable in other.ds.data_vars.items():
            known = data.setdefault(name, variable)
            if known is not variable and not known.variable.equals(variable.variable):
                raise InputError(
                    f"{name} is {role(variable)} but differs between {first.name} and "
                    f"{other.name}; leave it out with keep=[...]"
                )
    fields = f"{len(kinds)} sets of files with different fields"
    return first.ds.assign(data), fields + (f", each {words}" if words else "")


def _along_time(runs: Sequence[Part]) -> xr.Dataset:
    first = runs[0].ds
    counts = {part.ds.sizes["sample"] for part in runs}
    if len(counts) > 1:
        raise InputError(
            f"{runs[0].name} and the files after it in time hold different numbers of runs "
            f"({', '.join(map(str, sorted(counts)))}); every piece needs every run"
        )
    data = {}
    for name, variable in first.data_vars.items():
        found = [part.ds.variables[name] for part in runs]
        if "time" in variable.dims:
            data[name] = join_variables(found, "time")
        elif all(np.array_equal(found[0].values, v.values, equal_nan=True) for v in found[1:]):
            data[name] = found[0]
        elif role(variable) == "parameter":
            data[name] = _spread(runs, str(name))
        else:
            raise InputError(
                f"{name} is {role(variable)} but changes from {runs[0].name} to later files; "
                "leave it out with keep=[...]"
            )
    times = np.concatenate([part.times for part in runs])
    time = xr.Variable(("time",), times, first["time"].attrs)
    coords = {name: first.variables[name] for name in first.coords if name != "time"}
    return xr.Dataset(data, {**coords, "time": time}, first.attrs)


def _spread(runs: Sequence[Part], name: str) -> xr.Variable:
    """A number that changes from piece to piece as one that changes in time."""
    pieces = []
    for part in runs:
        value = part.ds[name].values
        shape = (part.ds.sizes["sample"], part.ds.sizes["time"])
        pieces.append(np.broadcast_to(value[:, None] if value.ndim else value, shape))
    attrs = runs[0].ds[name].attrs
    return xr.Variable(("sample", "time"), np.concatenate(pieces, 1), attrs)
