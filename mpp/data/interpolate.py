r"""Linear interpolation along one axis, of arrays that are read only where they are needed.

Between neighbours :math:`x_i \le x \le x_{i+1}` the value is :math:`(1-w) u_i + w u_{i+1}` with
:math:`w = (x - x_i) / (x_{i+1} - x_i)`: exact for linear functions, with an error of at most
:math:`h^2 |u''| / 8` otherwise. xarray's ``interp`` gives the same numbers but reads everything.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from mpp.data.lazy import LazyArray, compact, lazy
from mpp.errors import InputError

REACH = 0.5 + 1e-6
"""Share of a step up to which values are continued beyond the outermost points."""
ROUNDING = 1e-9
"""Share of a step by which a wanted point may miss a given one and still be it."""


@dataclass(frozen=True)
class Weights:
    """The neighbours of every wanted point, by number, and the share of the upper one."""

    low: np.ndarray
    high: np.ndarray
    share: np.ndarray


def weights(given: np.ndarray, wanted: np.ndarray, where: str, period: float = 0) -> Weights:
    """Neighbours and shares for points between, or up to half a step beyond, the given ones.

    Args:
        given: Positions of the values, rising or falling.
        wanted: Positions to interpolate to.
        where: What to call the axis in errors.
        period: Length after which the values repeat; 0 where they do not.

    Raises:
        InputError: The positions do not rise or fall, or do not reach the wanted ones.
    """
    given, wanted = np.asarray(given, np.float64), np.asarray(wanted, np.float64)
    order = np.argsort(given, kind="stable")
    x = given[order]
    steps = np.diff(x)
    if x.size < 2 or not np.all(np.isfinite(x)) or not np.all(steps > 0):
        raise InputError(
            f"{where}: expected two or more different positions to interpolate between"
        )
    if not np.all(np.diff(given) > 0) and not np.all(np.diff(given) < 0):
        raise InputError(f"{where}: its positions neither rise nor fall; sort them first")
    if period:
        if period <= x[-1] - x[0]:
            raise InputError(
                f"{where}: its points go over {x[-1] - x[0]:.6g}, which is not below its period "
                f"{period:.6g}; leave out the repeated points, or correct the period"
            )
        wanted = x[0] + np.mod(wanted - x[0], period)
        x, order = np.append(x, x[0] + period), np.append(order, order[0])
        steps = np.diff(x)
    beyond = max((x[0] - wanted.min()) / steps[0], (wanted.max() - x[-1]) / steps[-1])
    if beyond > REACH:
        raise InputError(
            f"{where}: its positions go from {x[0]:.6g} to {x[-1]:.6g}, too short for "
            f"{wanted.min():.6g} to {wanted.max():.6g}"
        )
    low = np.clip(np.searchsorted(x, wanted, side="right") - 1, 0, x.size - 2)
    share = (wanted - x[low]) / steps[low]
    near = np.abs(share - np.round(share)) < ROUNDING
    share = np.where(near, np.round(share), share)
    # A point that is a given one needs no neighbour, which may be missing.
    low, share = np.where(share == 1, low + 1, low), np.where(share == 1, 0, share)
    high = np.where(share == 0, low, low + 1)
    return Weights(order[low], order[high], share)


def blend(values: np.ndarray, axis: int, made: Weights) -> np.ndarray:
    """Values at the wanted points along one axis."""
    shape = [1] * values.ndim
    shape[axis] = made.share.size
    share = made.share.reshape(shape)
    low, high = values.take(made.low, axis), values.take(made.high, axis)
    return np.where(share == 0, low, (1 - share) * low + share * high)


class Interpolated(LazyArray):
    """A variable at other points along one of its dims; each read takes their neighbours only."""

    def __init__(self, source: xr.Variable, dim: str, made: Weights) -> None:
        self.source, self.axis, self.made = source, source.dims.index(dim), made
        single = source.dtype.kind == "f" and source.dtype.itemsize <= 4
        self.dtype = np.dtype("float32" if single else "float64")
        shape = list(source.shape)
        shape[self.axis] = made.share.size
        self.shape = tuple(shape)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        wanted = key[self.axis]
        numbers = np.atleast_1d(np.arange(self.shape[self.axis])[wanted])
        low, high = self.made.low[numbers], self.made.high[numbers]
        needed = np.unique(np.concatenate([low, high]))
        inner = list(key)
        inner[self.axis] = needed
        values = np.asarray(self.source[tuple(compact(part) for part in inner)].values)
        axis = sum(not isinstance(part, (int, np.integer)) for part in key[: self.axis])
        here = Weights(
            np.searchsorted(needed, low), np.searchsorted(needed, high), self.made.share[numbers]
        )
        out = blend(values.astype(np.float64), axis, here).astype(self.dtype)
        return out.take(0, axis) if isinstance(wanted, (int, np.integer)) else out


def interpolated(
    source: xr.Variable, dim: str, made: Weights, to: str, told: str, *, mask: bool = False
) -> xr.Variable:
    """A variable with ``dim`` replaced by ``to``, lazily, and ``told`` in its history.

    Args:
        source: The variable, lazy or not.
        dim: The dim to interpolate along.
        made: From `weights`.
        to: What the dim is called then.
        told: What was done, in words.
        mask: Whether it is true or false: a point is inside if what it is made of is.
    """
    dims = [to if name == dim else str(name) for name in source.dims]
    attrs = noted(source.attrs, told)
    if not mask:
        return lazy(dims, Interpolated(source, dim, made), attrs)
    inside = blend(source.values.astype(np.float64), source.dims.index(dim), made)
    return xr.Variable(dims, (inside > 1 - ROUNDING).astype(source.dtype), attrs)


def noted(attrs: dict[Any, Any], told: str) -> dict[Any, Any]:
    """Attributes with a line added to what was done to the variable."""
    before = attrs.get("history")
    return {**attrs, "history": f"{before}; {told}" if before else told}
