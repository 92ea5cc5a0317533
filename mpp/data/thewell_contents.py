"""What a file of The Well holds: its fields by component, and its scalars."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import h5py
import numpy as np
import xarray as xr

from mpp.data import hdf5
from mpp.data.hdf5 import Hdf5Array
from mpp.errors import InputError
from mpp.fields import Field, Role, known_field

FIELD_GROUPS = ("t0_fields", "t1_fields", "t2_fields")
ROW, COLUMN, BOTH = "first index", "second index", "both indices"
"""Stored dims of a vector's or tensor's components, which no axis of a file is called."""


@dataclass(frozen=True)
class WellFile:
    """An open file with what every part of it refers to.

    Args:
        path: Where it is.
        file: The open file.
        samples: Number of trajectories.
        time: Time of every frame.
        axes: Points along each space axis.
    """

    path: str
    file: h5py.File
    samples: int
    time: np.ndarray
    axes: dict[str, np.ndarray]

    @property
    def space(self) -> dict[str, int]:
        return {axis: points.size for axis, points in self.axes.items()}

    @property
    def sizes(self) -> dict[str, int]:
        return {"sample": self.samples, "time": self.time.size, **self.space}


def variables(well: WellFile) -> Iterator[tuple[str, xr.Variable]]:
    """Fields, static maps and parameters, by names of which no two are the same."""
    taken = set(well.sizes)
    for order, group in enumerate(FIELD_GROUPS):
        for source in _listed(well, group):
            for field, array in _components(well, group, source, order):
                name = _free(field.name, taken, f"{field.name}_{group[:2]}")
                yield name, array.variable(replace(field, name=name).attrs())
    for name, variable in _scalars(well):
        yield _free(name, taken, f"{name}_parameter"), variable


def _free(name: str, taken: set[str], other: str) -> str:
    """The name, or the other one if it is taken; what is returned is taken from then on."""
    chosen = other if name in taken else name
    taken.add(chosen)
    return chosen


def _listed(well: WellFile, group: str) -> list[str]:
    """The datasets of a group, in the order of ``field_names`` where the file has it."""
    if group not in well.file:
        return []
    item = hdf5.group(well.file, group)
    named = hdf5.texts(item.attrs["field_names"]) if "field_names" in item.attrs else list(item)
    return [str(name) for name in named]


def canonical_name(name: str) -> str:
    """A name in lower case, with underscores in place of blanks and signs."""
    return re.sub(r"\W+", "_", name.strip()).strip("_").lower()


def _components(
    well: WellFile, group: str, source: str, order: int
) -> Iterator[tuple[Field, Hdf5Array]]:
    """Each component of a field with what it is and where it is read from."""
    item = hdf5.dataset(hdf5.group(well.file, group), source)
    where = f"{well.path}: {group}/{source}"
    dtype = hdf5.real_dtype(item.dtype, where)
    steady = not item.attrs.get("time_varying", True)
    per_sample = bool(item.attrs.get("sample_varying", True))
    sizes = {dim: n for dim, n in well.sizes.items() if not (steady and dim == "time")}
    if steady and not per_sample:
        sizes.pop("sample")
    stored, pick = _stored(well, item, order, where)
    role: Role = "static" if steady else "field"
    vector = canonical_name(source)
    for component, place in _places(tuple(well.axes), order, item, stored):
        letters = "".join(component)
        name = f"{vector}_{letters}" if letters else vector
        known = known_field(name)
        part = Field(name, "1", known.symbol, vector if letters else "", letters, role)
        array = Hdf5Array(well.path, f"{group}/{source}", stored, sizes, {**pick, **place}, dtype)
        yield part, array


def _stored(
    well: WellFile, item: h5py.Dataset, order: int, where: str
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Dims of a dataset as it is stored, and the place along those of them that are not wanted.

    Axes along which a field does not vary are left out, or stored with length 1. Components lie
    along ``order`` last axes, or flattened along one.
    """
    leading = [
        dim
        for dim, flag in (("sample", "sample_varying"), ("time", "time_varying"))
        if item.attrs.get(flag, True)
    ]
    varying = np.broadcast_to(item.attrs.get("dim_varying", True), len(well.axes))
    used = [axis for axis, varies in zip(well.axes, varying, strict=True) if varies]
    ranks = len(well.axes)
    ends = {0: [()], 1: [(ROW,)], 2: [(ROW, COLUMN), (BOTH,)]}[order]
    single = {axis: f"single {axis}" for axis in well.axes if axis not in used}
    lengths = {**well.sizes, ROW: ranks, COLUMN: ranks, BOTH: ranks**2}
    lengths |= dict.fromkeys(single.values(), 1)
    for end in ends:
        for space in (used, [single.get(axis, axis) for axis in well.axes]):
            stored = (*leading, *space, *end)
            if item.shape == tuple(lengths[dim] for dim in stored):
                return stored, {dim: 0 for dim in space if dim not in used}
    expected = (*leading, *used, *ends[0])
    raise InputError(
        f"{where}: has the shape {item.shape}, expected the dims ({', '.join(expected)}) with the "
        f"lengths {tuple(lengths[dim] for dim in expected)}; the file is damaged or incomplete"
    )


def _places(
    axes: tuple[str, ...], order: int, item: h5py.Dataset, stored: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, int]]]:
    """Components to give, as words for their axes, with their place along the last stored axes."""
    repeats: Callable[[int, int], bool] | None = None
    if order == 2 and item.attrs.get("symmetric"):
        repeats = operator.gt
    if order == 2 and item.attrs.get("antisymmetric"):
        repeats = operator.ge
    for places in product(range(len(axes)), repeat=order):
        if repeats is not None and repeats(*places):
            continue
        names = tuple(axes[place] for place in places)
        if BOTH in stored:
            yield names, {BOTH: places[0] * len(axes) + places[1]}
        else:
            yield names, dict(zip((ROW, COLUMN), places, strict=False))


def _scalars(well: WellFile) -> Iterator[tuple[str, xr.Variable]]:
    """Scalars as parameters over (sample) or (sample, time), so that files can be joined."""
    group = hdf5.group(well.file, "scalars") if "scalars" in well.file else None
    names = _listed(well, "scalars")
    for name in names:
        item = hdf5.dataset(well.file, f"scalars/{name}")
        yield canonical_name(name), _parameter(well, f"scalars/{name}", item[()], item.attrs)
    for name in hdf5.texts(well.file.attrs.get("simulation_parameters", [])):
        value = np.asarray(well.file.attrs.get(name, np.zeros(0)))
        if (group is None or name not in names) and value.dtype.kind in "fiu" and value.size == 1:
            yield canonical_name(name), _parameter(well, name, value.reshape(()), {})


def _parameter(
    well: WellFile, where: str, values: np.ndarray, flags: Mapping[str, Any]
) -> xr.Variable:
    varying = [dim for dim in ("sample", "time") if flags.get(f"{dim}_varying")]
    dims = ("sample", "time") if "time" in varying else ("sample",)
    values = np.asarray(values)
    dtype = hdf5.real_dtype(values.dtype, f"{well.path}: {where}")
    expected = tuple(well.sizes[dim] for dim in varying)
    if values.size != int(np.prod(expected)):
        raise InputError(
            f"{well.path}: {where} has the shape {values.shape}, expected {expected} for "
            f"({', '.join(varying)}); correct its sample_varying and time_varying"
        )
    values = values.reshape([well.sizes[dim] if dim in varying else 1 for dim in dims])
    values = np.broadcast_to(values, [well.sizes[dim] for dim in dims]).astype(dtype)
    return xr.Variable(dims, values, Field("", role="parameter").attrs())
