"""The canonical schema: what an ``xarray.Dataset`` of runs looks like, and how to check it.

- dims ``sample``, ``time``, then one to three space axes; ``time`` and every space axis carry a
  numeric coordinate with ``units``;
- one variable a field over ``(sample, time, *space)``, float32 or float64; the components of a
  vector are separate variables that name it in their attributes;
- every space coordinate carries ``boundary``: one kind for both sides (``"periodic"``) or a pair,
  low side first (``"wall open"``);
- other variables say what they are in ``role``: ``static`` maps and ``mask`` over
  ``([sample], *space)``, ``parameter`` over ``()``, ``(sample)`` or ``(sample, time)``, and in a
  rollout ``truth``, named ``truth_FIELD``, what a solver gave for a predicted field;
- the attribute ``system`` names the physical system.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import xarray as xr

from mpp.errors import InputError
from mpp.fields import ROLES, Field, Role

BoundaryKind = Literal["periodic", "wall", "open", "no-flux", "fixed"]
BOUNDARY_KINDS: tuple[BoundaryKind, ...] = get_args(BoundaryKind)
Boundary = tuple[BoundaryKind, BoundaryKind]
MAX_SPACE_AXES = 3
EVEN_TOLERANCE = 1e-3
"""Largest relative deviation of a spacing from the mean spacing that still counts as even."""


@dataclass(frozen=True)
class Violation:
    """One departure from the schema.

    Args:
        where: Variable, coordinate or dimension concerned.
        problem: What was expected and what came instead.
        fix: What to do about it.
        severity: An ``error`` stops training and rollouts, a ``warning`` is worth knowing.
    """

    where: str
    problem: str
    fix: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}; {self.fix}"


def parse_boundary(text: str) -> Boundary:
    """Kinds at the low and high side from ``"periodic"`` or ``"wall open"``.

    Raises:
        InputError: An unknown kind, more than two kinds, or an axis periodic on one side only.
    """
    words = str(text).split()
    known = ", ".join(BOUNDARY_KINDS)
    if len(words) not in (1, 2) or any(word not in BOUNDARY_KINDS for word in words):
        raise InputError(f"boundary {text!r} is not one or two of: {known}")
    low, high = words[0], words[-1]
    if (low == "periodic") != (high == "periodic"):
        raise InputError(f"boundary {text!r}: an axis is periodic on both sides or on neither")
    return low, high  # type: ignore[return-value]  # membership was checked above


def format_boundary(boundary: Boundary) -> str:
    """The inverse of `parse_boundary`."""
    low, high = boundary
    return low if low == high else f"{low} {high}"


def role(variable: xr.DataArray) -> str:
    """The variable's role, ``field`` unless its attributes say otherwise."""
    return str(variable.attrs.get("role", "field"))


def names(ds: xr.Dataset, wanted: Role = "field") -> tuple[str, ...]:
    """Names of the variables with a role, in the order of the dataset."""
    return tuple(str(name) for name, variable in ds.data_vars.items() if role(variable) == wanted)


def fields(ds: xr.Dataset, wanted: Role = "field") -> tuple[Field, ...]:
    """The variables with a role, as `Field` descriptions."""
    return tuple(Field.from_attrs(name, ds[name].attrs) for name in names(ds, wanted))


def system(ds: xr.Dataset) -> str:
    """The name of the physical system, ``unknown`` where the dataset has none."""
    return str(ds.attrs.get("system", "unknown"))


def space_axes(ds: xr.Dataset) -> tuple[str, ...]:
    """Names of the space axes, in the order of the first field."""
    for name in names(ds):
        return tuple(str(dim) for dim in ds[name].dims if dim not in ("sample", "time"))
    return ()


def boundaries(ds: xr.Dataset) -> tuple[Boundary, ...]:
    """Kinds at the low and high side of every space axis."""
    return tuple(parse_boundary(ds[axis].attrs["boundary"]) for axis in space_axes(ds))


def is_even(values: np.ndarray) -> bool:
    """Whether successive values differ by the same amount, within `EVEN_TOLERANCE`."""
    steps = np.diff(np.asarray(values, dtype=np.float64))
    return steps.size < 2 or bool(
        np.all(np.abs(steps - steps.mean()) <= EVEN_TOLERANCE * np.abs(steps.mean()))
    )


def validate(ds: xr.Dataset) -> list[Violation]:
    """Every departure from the schema at once, each with its fix, without reading field values.

    Returns:
        An empty list for a valid dataset. `check_values` looks at the numbers themselves.
    """
    found = [*_check_roles(ds)]
    if any("member" in ds[name].dims for name in names(ds)):
        return [*found, ensemble(ds)]
    if not names(ds):
        fix = "give the fields' variables the dims (sample, time, space...) and no other role"
        return [*found, Violation("dataset", "no variable has the role 'field'", fix)]
    axes = space_axes(ds)
    if not 1 <= len(axes) <= MAX_SPACE_AXES:
        fix = f"keep one to {MAX_SPACE_AXES} space axes, for instance with ds.isel(...)"
        found.append(Violation(names(ds)[0], f"expected 1 to 3 space axes, got {list(axes)}", fix))
    found += _check_shapes(ds, axes)
    for axis in ("time", *axes):
        found += _check_coordinate(ds, axis)
    for axis in axes:
        found += _check_boundary(ds, axis)
    return found


def ensemble(ds: xr.Dataset) -> Violation:
    """What to say of several members, as a rollout may have."""
    problem = f"an ensemble of {ds.sizes['member']} members, one run each was expected"
    fix = (
        "take one with ds.isel(member=0) or --set 'select: {member: 0}' (mpp convert), or their "
        "mean with mpp.rollouts.ensemble_mean(ds)"
    )
    return Violation("member", problem, fix)


def _check_roles(ds: xr.Dataset) -> Iterator[Violation]:
    for name, variable in ds.data_vars.items():
        if role(variable) not in ROLES:
            fix = f"use one of {', '.join(ROLES)}"
            yield Violation(str(name), f"unknown role {role(variable)!r}", fix)


def _check_shapes(ds: xr.Dataset, axes: tuple[str, ...]) -> Iterator[Violation]:
    allowed: dict[str, tuple[tuple[str, ...], ...]] = {
        "field": (("sample", "time", *axes),),
        "truth": (("sample", "time", *axes),),
        "static": (axes, ("sample", *axes)),
        "mask": (axes, ("sample", *axes)),
        "parameter": ((), ("sample",), ("sample", "time")),
    }
    for name, variable in ds.data_vars.items():
        dims = tuple(str(dim) for dim in variable.dims)
        shapes = allowed.get(role(variable))
        if shapes and dims not in shapes:
            expected = " or ".join(f"({', '.join(shape)})" for shape in shapes)
            problem = f"expected the dims {expected}, got ({', '.join(dims)})"
            fix = "transpose or expand it, or set its role (field, static, mask, parameter)"
            yield Violation(str(name), problem, fix)
        kind = variable.dtype.kind
        if role(variable) == "field" and not (kind == "f" and variable.dtype.itemsize in (4, 8)):
            problem = f"expected float32 or float64, got {variable.dtype}"
            yield Violation(str(name), problem, f"ds['{name}'] = ds['{name}'].astype('float32')")
        elif role(variable) != "field" and kind not in "fiub":
            fix = "give it as real numbers"
            yield Violation(str(name), f"expected real numbers, got {variable.dtype}", fix)
        if 0 in variable.shape:
            sizes = dict(zip(dims, variable.shape, strict=True))
            yield Violation(
                str(name), f"it is empty: {sizes}", "leave out empty files and selections"
            )


def _check_coordinate(ds: xr.Dataset, axis: str) -> Iterator[Violation]:
    if axis not in ds.dims:
        return
    if axis not in ds.coords:
        fix = f"ds = ds.assign_coords({axis}=...) with values in physical units"
        yield Violation(axis, "no coordinate", fix)
        return
    values = ds[axis].values
    if values.dtype.kind not in "fiu":
        fix = "give it as numbers with units in its attributes"
        yield Violation(axis, f"expected numbers, got {values.dtype}", fix)
        return
    if "units" not in ds[axis].attrs:
        fix = f"ds['{axis}'].attrs['units'] = 's' (or '1' when dimensionless)"
        yield Violation(axis, "no units", fix)
    if not np.all(np.isfinite(values)):
        yield Violation(axis, "it holds NaN or infinity", "give every point a finite coordinate")
    elif not np.all(values[1:] > values[:-1]):
        fix = f"ds = ds.sortby('{axis}'), and drop repeated points"
        yield Violation(axis, "its values do not increase", fix)
    elif not is_even(values):
        steps = np.diff(values)
        problem = f"uneven spacing, from {steps.min():.4g} to {steps.max():.4g}"
        fix = f"interpolate to an even axis, ds.interp({axis}=np.linspace(...))"
        yield Violation(axis, problem, fix, "error" if axis == "time" else "warning")


def _check_boundary(ds: xr.Dataset, axis: str) -> Iterator[Violation]:
    fix = f"ds['{axis}'].attrs['boundary'] = 'periodic', or a pair such as 'wall open'"
    if axis not in ds.coords:
        return
    if "boundary" not in ds[axis].attrs:
        yield Violation(axis, "no boundary condition", fix)
        return
    try:
        parse_boundary(ds[axis].attrs["boundary"])
    except InputError as error:
        yield Violation(axis, str(error), fix)


def check_values(ds: xr.Dataset) -> list[Violation]:
    """Missing, infinite and constant values, one field and sample in memory at a time.

    Points outside a mask may hold anything. Expects a dataset that `validate` finds nothing in.
    """
    found: list[Violation] = []
    for name in names(ds):
        bad, low, high, size = 0, np.inf, -np.inf, 0
        for sample in range(ds.sizes["sample"]):
            values = ds[name].isel(sample=sample).values
            inside = np.broadcast_to(_inside(ds, sample), values.shape)
            finite = np.isfinite(values) & inside
            bad += int(np.count_nonzero(inside & ~finite))
            size += int(np.count_nonzero(inside))
            if finite.any():
                low = min(low, float(values.min(where=finite, initial=np.inf)))
                high = max(high, float(values.max(where=finite, initial=-np.inf)))
        if bad:
            problem = f"{bad} of {size} values are NaN or infinite"
            fix = "fill them, or give a mask variable that is 0 there"
            found.append(Violation(name, problem, fix))
        elif size == 0:
            fix = "a mask is true where the fields are defined"
            found.append(Violation(name, "no point is inside the mask", fix))
        elif low == high:
            problem = f"constant, {low:.6g} everywhere"
            found.append(Violation(name, problem, "leave it out or make it a parameter", "warning"))
    return found


def _inside(ds: xr.Dataset, sample: int) -> np.ndarray:
    inside = np.array(True)
    for name in names(ds, "mask"):
        mask = ds[name]
        inside = inside & (
            mask.isel(sample=sample) if "sample" in mask.dims else mask
        ).values.astype(bool)
    return inside


def require_valid(ds: xr.Dataset, source: str = "dataset") -> xr.Dataset:
    """Return ``ds`` if it can be used, else say everything that is wrong with it.

    Raises:
        InputError: With every violation of severity ``error``.
    """
    errors = [violation for violation in validate(ds) if violation.severity == "error"]
    if errors:
        raise InputError(f"{source}: " + " | ".join(str(violation) for violation in errors))
    return ds


def coordinate(
    values: np.ndarray, dim: str, units: str, boundary: str | None = None
) -> xr.Variable:
    """A coordinate variable with its units and, for a space axis, its boundary."""
    attrs: dict[Hashable, str] = {"units": units}
    if boundary is not None:
        attrs["boundary"] = format_boundary(parse_boundary(boundary))
    return xr.Variable((dim,), np.asarray(values), attrs)


def example(
    shape: tuple[int, ...] = (8, 6),
    samples: int = 2,
    frames: int = 5,
    boundary: tuple[str, ...] = ("periodic", "wall open"),
) -> xr.Dataset:
    """A tiny valid dataset: a tracer blob carried along the first axis by a steady wind.

    Args:
        shape: Grid points along each space axis, one to three axes.
        samples: Number of runs; each starts the blob elsewhere.
        frames: Number of output times, one second apart.
        boundary: Kinds for each axis; the last one serves the axes that are left.
    """
    axes = ("x", "y", "z")[: len(shape)]
    kinds = [boundary[min(i, len(boundary) - 1)] for i in range(len(shape))]
    coords: dict[str, xr.Variable] = {
        "time": coordinate(np.arange(frames, dtype=np.float64), "time", "s")
    }
    for axis, points, kind in zip(axes, shape, kinds, strict=True):
        coords[axis] = coordinate(np.arange(points) / points, axis, "m", kind)
    phase = np.arange(samples)[:, None] / samples - np.arange(frames)[None, :] / 16
    grid = np.meshgrid(*(np.arange(points) / points for points in shape), indexing="ij")
    angle = 2 * np.pi * (grid[0] - phase.reshape(samples, frames, *([1] * len(shape))))
    spread = sum(np.cos(2 * np.pi * position) for position in grid[1:])
    dims = ("sample", "time", *axes)
    tracer = Field.from_attrs("tracer", {"units": "kg m-3"}).attrs()
    wind = Field.from_attrs("velocity_x", {"units": "m s-1"}).attrs()
    number = Field("diffusivity", "m2 s-1", role="parameter").attrs()
    data = {
        "tracer": xr.Variable(dims, np.exp(np.cos(angle) + spread), tracer),
        "velocity_x": xr.Variable(dims, 1 + 0.1 * np.sin(angle + 0 * spread), wind),
        "diffusivity": xr.Variable(("sample",), np.linspace(0.1, 0.2, samples), number),
    }
    return xr.Dataset(data, coords, {"system": "example"})
