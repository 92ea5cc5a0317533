"""A file's dataset in the schema, lazily, as a plan says."""

from typing import Any

import numpy as np
import xarray as xr

from mpp.data.guess import single_time
from mpp.data.lazy import view
from mpp.data.mapping import Mapping
from mpp.data.plan import Plan, in_schema, make_plan
from mpp.errors import InputError
from mpp.fields import Field
from mpp.schema import BOUNDARY_KINDS, format_boundary, parse_boundary

UNIT_NAMES = {"seconds": "s", "second": "s", "sec": "s"}
ELSEWHERE = {"system", "join", "split", "group", "select", "missing", "even"}
"""Entries of a mapping that change no name, axis or unit of a dataset."""


def apply(ds: xr.Dataset, mapping: Mapping, source: str = "dataset") -> tuple[xr.Dataset, Plan]:
    """Bring a dataset into the schema without reading its fields.

    Args:
        ds: As a file gives it.
        mapping: What the user states; the rest is guessed.
        source: What to call it in errors; its default for the name of the system.

    Returns:
        The dataset, and what each of its parts was taken for. Boundaries that neither the file nor
        the mapping gives are missing in it.

    Raises:
        InputError: As `make_plan` does, or the mapping speaks of axes or variables that are not
            there.
    """
    plan = make_plan(ds, mapping, source)
    if in_schema(ds) and not set(mapping.to_dict()) - ELSEWHERE:
        return ds.assign_attrs(system=mapping.system or ds.attrs["system"]), plan
    _require_known(mapping, plan, source)
    boundary = _by_axis(mapping.boundary, plan)
    units = {plan.axis(name) or plan.names.get(name, name): u for name, u in mapping.units.items()}
    data = {new: _variable(ds, old, plan, units.get(new)) for old, new in plan.names.items()}
    for name, number in mapping.parameters.items():
        attrs = Field(name, units.get(name, "1"), role="parameter").attrs()
        data[name] = xr.Variable((), float(number), attrs)
    for vector, parts in mapping.vectors.items():
        for axis, part in parts.items():
            data[plan.names.get(part, part)].attrs.update(vector=vector, component=axis)
    coords = {"time": _time(ds, plan, units.get("time"), mapping.time)}
    for axis, dim in plan.space.items():
        coords[axis] = _axis(ds, axis, dim, plan, units.get(axis), boundary.get(axis))
    if plan.sample and plan.sample in plan.coordinates:
        runs = ds.variables[plan.coordinates[plan.sample]]
        if runs.dtype.kind in "fiu":
            coords["sample"] = xr.Variable(("sample",), runs.values, runs.attrs)
    attrs = {**ds.attrs, "system": mapping.system or ds.attrs.get("system", source)}
    return _ascending(xr.Dataset(data, coords, attrs), plan), plan


def _ascending(ds: xr.Dataset, plan: Plan) -> xr.Dataset:
    """Axes that run downwards, such as latitude from north to south, turned around."""
    falling = {
        axis: slice(None, None, -1)
        for axis in plan.space
        if ds.sizes[axis] > 1 and np.all(np.diff(ds[axis].values) < 0)
    }
    return ds.isel(falling)


def _require_known(mapping: Mapping, plan: Plan, source: str) -> None:
    axes = () if isinstance(mapping.boundary, str) else mapping.boundary
    for name in axes:
        if plan.axis(name) not in plan.space:
            raise InputError(
                f"{source}: a boundary is given for {name!r}, but its axes are "
                f"{', '.join(plan.space)}; name one of them"
            )
    known = {*plan.names, *plan.names.values(), *mapping.parameters}
    for name in mapping.units:
        if name not in known and plan.axis(name) is None:
            raise InputError(
                f"{source}: units are given for {name!r}, which it does not hold; it has "
                f"time, {', '.join((*plan.space, *plan.names.values()))}"
            )
    for vector, parts in mapping.vectors.items():
        for part in parts.values():
            if part not in known:
                raise InputError(f"{source}: vector {vector}: no variable {part!r} among its own")


def _by_axis(boundary: str | dict[str, str], plan: Plan) -> dict[str, str]:
    if isinstance(boundary, str):
        return dict.fromkeys(plan.space, boundary)
    return {str(plan.axis(name)): kind for name, kind in boundary.items()}


def _variable(ds: xr.Dataset, name: str, plan: Plan, units: str | None) -> xr.Variable:
    """One variable with its dims renamed and in order, as floating-point numbers."""
    source = ds.variables[name]
    renames = {dim: axis for axis, dim in plan.space.items() if dim in source.dims}
    if plan.time in source.dims:
        renames[str(plan.time)] = "time"
    if plan.sample is not None and plan.sample in source.dims:
        renames[plan.sample] = "sample"
    renamed = source.copy(deep=False)
    renamed.dims = [renames.get(str(dim), dim) for dim in source.dims]
    role, encoding = plan.roles[name], dict(source.encoding)
    order = [dim for dim in ("sample", "time", *plan.space) if dim in renamed.dims]
    if role in ("field", "truth"):
        order = ["sample", "time", *plan.space]
    elif order == ["time"]:
        order = ["sample", "time"]
    order += [str(dim) for dim in renamed.dims if dim not in order]
    floating = source.dtype.kind == "f" and source.dtype.itemsize >= 4
    dtype = source.dtype.newbyteorder("=") if floating or role == "mask" else np.dtype("float32")
    made = view(renamed, order, dtype)
    if order == ["sample", "time"] and plan.sample:
        made = _repeat(made, ds.sizes[plan.sample])
    described = Field.from_attrs(plan.names[name], {**source.attrs, "role": role}).attrs()
    made.attrs = {**source.attrs, **described, **({"units": units} if units else {})}
    made.encoding = {key: encoding[key] for key in ("chunksizes", "chunks") if key in encoding}
    return made


def _repeat(variable: xr.Variable, samples: int) -> xr.Variable:
    if variable.sizes["sample"] == samples:
        return variable
    return variable.copy(data=np.broadcast_to(variable.values, (samples, variable.shape[1])))


def _time(ds: xr.Dataset, plan: Plan, units: str | None, stated: str | None) -> xr.Variable:
    found = plan.coordinates.get(str(plan.time)) or stated or single_time(ds)
    if plan.time is not None and plan.time not in plan.coordinates:
        return xr.Variable(("time",), np.arange(float(ds.sizes[plan.time])), _attrs({}, units))
    variable = ds.variables[str(found)]
    values, attrs = np.atleast_1d(variable.values), dict(variable.attrs)
    if values.dtype.kind in "mM":
        origin = values[0] if values.dtype.kind == "M" else np.timedelta64(0)
        if values.dtype.kind == "M":
            attrs["since"] = str(origin)
        values = (values - origin) / np.timedelta64(1, "s")
        attrs["units"] = "s"
    unit, _, since = str(attrs.get("units", "1")).partition(" since ")
    if since:
        attrs.update(units=unit, since=since, calendar=str(attrs.get("calendar", "standard")))
    attrs["units"] = UNIT_NAMES.get(str(attrs.get("units", "1")), attrs.get("units", "1"))
    return xr.Variable(("time",), values.astype(np.float64), _attrs(attrs, units))


def _axis(
    ds: xr.Dataset, axis: str, dim: str, plan: Plan, units: str | None, boundary: str | None
) -> xr.Variable:
    if dim not in plan.coordinates:
        values, attrs = np.arange(float(ds.sizes[dim])), {}
    else:
        variable = ds.variables[plan.coordinates[dim]]
        values, attrs = variable.values, dict(variable.attrs)
    if axis != dim:
        attrs["source_name"] = plan.coordinates.get(dim, dim)
    kinds = boundary or attrs.pop("boundary", None)
    attrs = _attrs(attrs, units)
    if kinds is not None and set(str(kinds).split()) <= set(BOUNDARY_KINDS):
        attrs["boundary"] = format_boundary(parse_boundary(str(kinds)))
    return xr.Variable((axis,), values, attrs)


def _attrs(attrs: dict[Any, Any], units: str | None) -> dict[Any, Any]:
    return {**attrs, "units": units or attrs.get("units", "1")}
