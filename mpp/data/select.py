"""What of each dim is read: one point of a level, every second frame, a part of an axis."""

from typing import Any

import numpy as np
import xarray as xr

from mpp.data.entries import Place
from mpp.data.guess import coordinate_of, time_dim
from mpp.data.interpolate import noted
from mpp.data.mapping import Mapping, line
from mpp.data.plan import Plan
from mpp.errors import InputError
from mpp.schema import space_axes


def take_points(ds: xr.Dataset, mapping: Mapping, source: str) -> xr.Dataset:
    """A file without the dims of which one point is read, and with channels as variables.

    Frames are left to `take_parts`, which counts them over all files.

    Args:
        ds: As a file gives it.
        mapping: What the user states.
        source: What to call the file in errors.

    Raises:
        InputError: A point that the dim has not.
    """
    for dim, names in mapping.channels.items():
        ds = _apart(ds, dim, names, source)
    time = mapping.time or time_dim(ds)
    for name, what in mapping.select.items():
        dim = _dim_of(ds, name)
        if dim is None or dim == time or not _single(what):
            continue
        number = _number(ds, dim, what, f"{source}: select: {name}")
        ds = _at(ds, dim, number)
    return ds


def take_parts(ds: xr.Dataset, mapping: Mapping, plan: Plan, source: str) -> xr.Dataset:
    """A dataset in the schema without the runs, frames and points that are not asked for.

    Args:
        ds: All files together.
        mapping: What the user states.
        plan: What the dims of the first file were taken for.
        source: What to call it in errors.

    Raises:
        InputError: A dim that is none of its axes, a part outside it, or a part of an axis that
            then would not be periodic any more.
    """
    for name, what in mapping.select.items():
        axis = "sample" if name in ("sample", plan.sample) else plan.axis(name)
        if axis is None or axis not in ds.dims:
            if _single(what):
                continue  # `take_points` has taken this dim away.
            raise InputError(
                f"{source}: select: {name} is none of its axes ({', '.join(map(str, ds.dims))}); "
                f"of other dims one point can be read, such as {line(select={name: 0})}"
            )
        where = f"{source}: select: {name}"
        if _single(what):
            number = _number(ds, axis, what, where)
            layer = axis in ("sample", "time")
            ds = ds.isel({axis: [number]}) if layer else _at(ds, axis, number)
            continue
        kept = np.arange(ds.sizes[axis])[_part(ds, axis, what, where)]
        if not kept.size:
            raise InputError(f"{where} leaves nothing of its {ds.sizes[axis]} points; widen it")
        _require_round(ds, axis, kept, where)
        ds = ds.isel({axis: _as_slice(kept)})
    return ds


def _at(ds: xr.Dataset, dim: str, number: int) -> xr.Dataset:
    """One point of a dim, which is gone then, with what is said of its points alone."""
    told = f"taken at {dim} {number}" + _position(ds, dim, number)
    alone = [name for name, variable in ds.variables.items() if variable.dims == (dim,)]
    kept = ds.drop_vars(alone).isel({dim: number})
    for name in kept.variables:
        if dim in ds.variables[name].dims:
            kept[name].attrs = noted(ds.variables[name].attrs, told)
    return kept


def _apart(ds: xr.Dataset, dim: str, names: tuple[str, ...], source: str) -> xr.Dataset:
    """Every variable over ``dim`` as one variable for each of its points."""
    if ds.sizes.get(dim) != len(names):
        size = ds.sizes.get(dim, "no")
        raise InputError(
            f"{source}: channels: {dim} is to have {len(names)} points ({', '.join(names)}), but "
            f"there are {size}; its dims are {', '.join(map(str, ds.dims))}"
        )
    over = [str(k) for k, v in ds.data_vars.items() if dim in v.dims and v.dims != (dim,)]
    made = {
        new if len(over) == 1 else f"{name}_{new}": ds[name].variable.isel({dim: number})
        for name in over
        for number, new in enumerate(names)
    }
    return ds.drop_dims(dim).assign(made)


def _dim_of(ds: xr.Dataset, name: str) -> str | None:
    """The dim of the file that is called so, or whose positions are."""
    named = (str(dim) for dim in ds.dims if name in (dim, coordinate_of(ds, str(dim))))
    return next(named, None)


def _single(what: Place) -> bool:
    return isinstance(what, int) or (isinstance(what, dict) and "value" in what)


def _number(ds: xr.Dataset, dim: str, what: Any, where: str) -> int:
    size = ds.sizes[dim]
    if isinstance(what, int):
        if not -size <= what < size:
            raise InputError(
                f"{where}: no point {what}; it has {size}, counted from 0; for a position write "
                f"{{value: {what}}}"
            )
        return what % size
    values = _positions(ds, dim, where)
    near = int(np.argmin(np.abs(values - what["value"])))
    if not np.isclose(values[near], what["value"], rtol=1e-5, atol=1e-9 * np.ptp(values)):
        listed = ", ".join(f"{value:.6g}" for value in values[:8])
        more = ", ..." if size > 8 else ""
        raise InputError(f"{where}: no point at {what['value']:.6g}; it has {listed}{more}")
    return near


def _positions(ds: xr.Dataset, dim: str, where: str) -> np.ndarray:
    name = coordinate_of(ds, dim)
    if name is None or ds[name].dtype.kind not in "fiu":
        raise InputError(f"{where}: it has no positions; say the number of the point, from 0")
    return np.asarray(ds[name].values, np.float64)


def _position(ds: xr.Dataset, dim: str, number: int) -> str:
    name = coordinate_of(ds, dim)
    if name is None or ds[name].dtype.kind not in "fiu":
        return ""
    units = ds[name].attrs.get("units", "")
    return f" at {float(ds[name][number]):.6g} {units}".rstrip()


def _part(ds: xr.Dataset, axis: str, what: Any, where: str) -> Any:
    size = ds.sizes[axis]
    if isinstance(what, tuple):
        if not all(-size <= number < size for number in what):
            raise InputError(f"{where} asks for {list(what)}; it has {size} points, from 0")
        return sorted({number % size for number in what})
    if set(what) & {"from", "to"}:
        values = _positions(ds, axis, where)
        low, high = what.get("from", -np.inf), what.get("to", np.inf)
        return (values >= low) & (values <= high)
    return slice(what.get("start"), what.get("stop"), what.get("every"))


def _require_round(ds: xr.Dataset, axis: str, kept: np.ndarray, where: str) -> None:
    size = ds.sizes[axis]
    if axis not in space_axes(ds) or ds[axis].attrs.get("boundary") != "periodic":
        return
    steps = np.diff(np.append(kept, kept[0] + size))
    repeated = np.array_equal(kept, np.arange(size - 1))  # The last point is the first again.
    if np.ptp(steps) and not repeated:
        raise InputError(
            f"{where} leaves a part of a periodic axis of {size} points; state what its sides are "
            f"then, {line(boundary={axis: 'open'})}, or take every point of a divisor of {size}"
        )


def _as_slice(kept: np.ndarray) -> Any:
    steps = np.unique(np.diff(kept))
    if steps.size > 1:
        return kept
    step = int(steps[0]) if steps.size else 1
    return slice(int(kept[0]), int(kept[-1]) + 1, step)
