"""Uneven axes and times brought to even steps, lazily."""

from typing import Any

import numpy as np
import xarray as xr

from mpp.data.interpolate import interpolated, weights
from mpp.data.mapping import Mapping, line
from mpp.data.plan import Plan
from mpp.errors import InputError
from mpp.schema import is_even, role, space_axes


def make_even(ds: xr.Dataset, mapping: Mapping, plan: Plan, source: str) -> xr.Dataset:
    """Interpolate to even steps what ``even`` names.

    Args:
        ds: A dataset in the schema, all files together.
        mapping: What the user states.
        plan: What the dims of the first file were taken for.
        source: What to call it in errors.

    Raises:
        InputError: A name that is no axis, or an axis whose new points cannot be told.
    """
    for name, options in mapping.even.items():
        axis = plan.axis(name)
        if axis not in ("time", *space_axes(ds)):
            raise InputError(
                f"{source}: even: {name} is none of its axes (time, {', '.join(space_axes(ds))})"
            )
        ds = _even(ds, axis, options, f"{source}: even: {name}")
    return ds


def _even(ds: xr.Dataset, axis: str, options: dict[str, Any], where: str) -> xr.Dataset:
    given = np.asarray(ds[axis].values, np.float64)
    if given.size < 2:
        raise InputError(f"{where}: it has a single point; nothing can be interpolated")
    if not np.all(np.diff(given) > 0):
        rule = f"; {line(join='time')} drops what a restart wrote again" if axis == "time" else ""
        raise InputError(f"{where}: its values do not increase{rule or '; sort them first'}")
    around = axis != "time" and ds[axis].attrs.get("boundary") == "periodic"
    period = _period(ds, axis, options, where) if around else 0.0
    if not around and "period" in options:
        raise InputError(
            f"{where}: a period is given but the axis is not periodic; state "
            f"{line(boundary={axis: 'periodic'})} or leave it out"
        )
    wanted = _points(given, options, axis == "time", period)
    made = weights(given, wanted, where, period)
    told = f"interpolated linearly to {wanted.size} even points along {axis}"
    data = {}
    for name, variable in ds.data_vars.items():
        if axis not in variable.dims:
            continue
        new = interpolated(variable.variable, axis, made, axis, told, mask=role(variable) == "mask")
        data[name] = new if variable.ndim > 2 else new.copy(data=new.values)
    others = [name for name in ds.coords if axis in ds[name].dims]
    coordinate = xr.Variable((axis,), wanted, ds[axis].attrs)
    return (
        ds.drop_vars([*data, *others])
        .assign(data)
        .assign_coords({axis: coordinate})[list(ds.data_vars)]
    )


def _points(given: np.ndarray, options: dict[str, Any], time: bool, period: float) -> np.ndarray:
    """New points between the first and the last, or once around a periodic axis."""
    length = period or float(given[-1] - given[0])
    if "points" in options or not (time or "step" in options):
        points = int(options.get("points", given.size))
        return given[0] + length * np.arange(points) / (points if period else points - 1)
    step = float(options.get("step", np.median(np.diff(given))))
    count = int(np.floor(length / step + 1e-6))
    if period:
        # Around an axis only whole numbers of steps fit; the step is the nearest that does.
        return given[0] + period * np.arange(max(count, 1)) / max(count, 1)
    return given[0] + step * np.arange(count + 1)


def _period(ds: xr.Dataset, axis: str, options: dict[str, Any], where: str) -> float:
    if "period" in options:
        return float(options["period"])
    given = np.asarray(ds[axis].values, np.float64)
    if is_even(given):
        return float(given[-1] - given[0]) * given.size / (given.size - 1)
    if str(ds[axis].attrs.get("units", "")).startswith("degree"):
        return 360.0
    raise InputError(
        f"{where}: it is periodic and uneven, so that its length is not known; state it, such as "
        f"{line(even={axis: {'period': round(float(given[-1] - given[0]) * 1.01, 6)}})}"
    )
