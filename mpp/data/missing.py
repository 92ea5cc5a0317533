"""What stands where a file has no values: a number, the nearest value, or a mask."""

from typing import Any

import numpy as np
import xarray as xr

from mpp.data.interpolate import noted
from mpp.data.lazy import LazyArray, lazy
from mpp.data.mapping import Mapping
from mpp.data.plan import Plan
from mpp.errors import InputError
from mpp.schema import boundaries, names, space_axes

LAYERS = ("sample", "time")
WORDS = ("nearest", "mask")
BLOCK_BYTES = 2**24
"""Bytes of a field that are looked at together for what is missing."""


def fill(ds: xr.Dataset, mapping: Mapping, plan: Plan, source: str) -> xr.Dataset:
    """A dataset whose missing values are filled as ``missing`` says, lazily.

    Static maps are filled from the nearest value where the fields get a mask.

    Raises:
        InputError: A variable that it does not hold.
    """
    ways = _ways(ds, mapping, plan, source)
    made = {}
    for name, way in ways.items():
        if way == "mask" and name not in names(ds, "static"):
            continue
        variable = ds.variables[name]
        told = f"missing values filled with {'the nearest' if way in WORDS else way}"
        number = None if way in WORDS else float(way)
        round_ = {a: b[0] == "periodic" for a, b in _sides(ds).items()}
        made[name] = lazy(
            [str(dim) for dim in variable.dims],
            Filled(variable, number, round_),
            noted(variable.attrs, told),
        )
    return ds.assign(made)


def mask(ds: xr.Dataset, mapping: Mapping, plan: Plan, source: str) -> xr.Dataset:
    """A dataset with a mask that is false where fields are missing always, if that is asked for.

    Each run has its own, told by all its frames, a block at a time, when it is asked for.

    Raises:
        InputError: A variable that it does not hold.
    """
    ways = _ways(ds, mapping, plan, source)
    chosen = [name for name in names(ds) if ways.get(name) == "mask"]
    if not chosen:
        return ds
    axes = space_axes(ds)
    array = Inside([ds.variables[name] for name in chosen], f"{source}: missing: mask")
    told = f"true where {', '.join(chosen)} are given"
    variable = lazy(["sample", *axes], array, {"role": "mask", "history": told})
    if ds.sizes["sample"] == 1:
        variable = variable.isel(sample=0)
    free = next(name for name in ("mask", "inside", "given") if name not in ds.variables)
    return ds.assign({free: variable})


def _ways(ds: xr.Dataset, mapping: Mapping, plan: Plan, source: str) -> dict[str, Any]:
    stated = mapping.missing
    filled = (*names(ds), *names(ds, "static"))
    if stated is None:
        return {}
    if not isinstance(stated, dict):
        return dict.fromkeys(filled, stated)
    ways = {plan.names.get(name, name): way for name, way in stated.items()}
    for name in ways:
        if name not in filled:
            raise InputError(
                f"{source}: missing: {name} is none of its fields ({', '.join(filled)}); name one"
            )
    return ways


def _sides(ds: xr.Dataset) -> dict[str, tuple[str, str]]:
    stated = all("boundary" in ds[axis].attrs for axis in space_axes(ds))
    return dict(zip(space_axes(ds), boundaries(ds), strict=True)) if stated else {}


class Filled(LazyArray):
    """A variable without missing values.

    Args:
        source: The variable, over space and perhaps runs and frames.
        number: What stands for them; ``None`` for the nearest value, which takes whole frames.
        periodic: Whether an axis goes on at its other side, by axis.
    """

    def __init__(
        self, source: xr.Variable, number: float | None, periodic: dict[str, bool]
    ) -> None:
        self.source, self.number, self.periodic = source, number, periodic
        self.shape, self.dtype = source.shape, source.dtype

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        if self.number is not None:
            values = np.asarray(self.source[key].values)
            return np.where(np.isnan(values), self.dtype.type(self.number), values)
        pairs = list(zip(self.source.dims, key, strict=True))
        layers = tuple(part if dim in LAYERS else slice(None) for dim, part in pairs)
        whole = self.source[layers]
        values = np.array(whole.values)
        lead = sum(dim in LAYERS for dim in whole.dims)
        rounds = [self.periodic.get(str(dim), False) for dim in whole.dims[lead:]]
        for place in np.ndindex(values.shape[:lead]):
            values[place] = nearest(values[place], rounds)
        inner = {dim: part for dim, part in pairs if dim not in LAYERS}
        return np.asarray(xr.Variable(whole.dims, values).isel(inner).values)


def nearest(values: np.ndarray, periodic: list[bool]) -> np.ndarray:
    """A frame whose missing points take the mean of the nearest known ones, counted in steps.

    A frame without any value stays as it is.
    """
    values = values.copy()
    missing = np.isnan(values)
    while missing.any() and not missing.all():
        total, count = np.zeros(values.shape), np.zeros(values.shape, int)
        for axis, goes_on in enumerate(periodic):
            for step in (1, -1):
                near = np.roll(values, step, axis)
                if not goes_on:
                    edge: list[Any] = [slice(None)] * values.ndim
                    edge[axis] = 0 if step == 1 else -1
                    near[tuple(edge)] = np.nan
                known = ~np.isnan(near)
                total += np.where(known, near, 0)
                count += known
        found = missing & (count > 0)
        values[found] = total[found] / count[found]
        missing &= ~found
    return values


class Inside(LazyArray):
    """Where fields are given, by run: false where any of them is NaN in all frames.

    Args:
        fields: The fields over sample, time and space.
        where: What to call it in errors.

    Attributes:
        glances: Whether the first and the last frame of a run tell for all.
    """

    dtype = np.dtype("int8")
    glances = False

    def __init__(self, fields: list[xr.Variable], where: str) -> None:
        self.fields, self.where = fields, where
        self.shape = tuple(n for d, n in fields[0].sizes.items() if d != "time")
        self.known: dict[int, np.ndarray] = {}

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        runs = np.arange(self.shape[0])[key[0]]
        layers = [self._run(int(run)) for run in np.atleast_1d(runs)]
        stack = np.stack(layers) if layers else np.empty((0, *self.shape[1:]), self.dtype)
        whole = xr.Variable([str(axis) for axis in range(stack.ndim)], stack)
        first = 0 if np.ndim(runs) == 0 else slice(None)
        return np.asarray(whole[(first, *key[1:])].values)

    def _run(self, run: int) -> np.ndarray:
        if run not in self.known:
            inside = np.ones(self.shape[1:], bool)
            for field in self.fields:
                inside &= self._given(field.isel(sample=run), run)
            self.known[run] = inside.astype(self.dtype)
        return self.known[run]

    def _given(self, field: xr.Variable, run: int) -> np.ndarray:
        """Where a field of one run has values, in every frame.

        Raises:
            InputError: Points that have values in some frames alone.
        """
        frames = field.sizes["time"]
        first = ~np.isnan(field.isel(time=0).values)
        each = max(1, BLOCK_BYTES // max(1, first.size * field.dtype.itemsize))
        starts = [frames - 1] if self.glances else range(0, frames, each)
        for start in starts:
            there = ~np.isnan(field.isel(time=slice(start, start + each)).values)
            differs = (there != first).reshape(len(there), -1).sum(1)
            if differs.any():
                frame = start + int(differs.argmax())
                raise InputError(
                    f"{self.where} is for points that are missing always, but run {run} has "
                    f"{differs[frame - start]} that are in its frame 0 or its frame {frame} "
                    "alone; fill them with `missing: nearest` or a number"
                )
        return first


def glance(ds: xr.Dataset) -> None:
    """Let the masks that `mask` made of this dataset be told by two frames of a run.

    For a first look at files that are too large to be read whole.
    """
    for name in names(ds, "mask"):
        array: Any = ds.variables[name]._data
        while not isinstance(array, Inside) and hasattr(array, "array"):
            array = array.array
        if isinstance(array, Inside):
            array.glances = True
