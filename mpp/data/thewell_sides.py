"""The Well's boundary conditions: kinds at the sides and obstacles inside, out of their masks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import h5py
import numpy as np
from jaxtyping import Bool

from mpp.data import hdf5
from mpp.errors import InputError

KINDS = {
    "PERIODIC": "periodic",
    "WALL": "wall",
    "OPEN": "open",
    "NEUMANN": "no-flux",
    "DIRICHLET": "fixed",
}
"""Boundary kinds by ``bc_type``; the published files have the first three."""
ELSEWHERE = "open"
"""What The Well takes a side to be that no boundary condition covers."""


@dataclass(frozen=True)
class Condition:
    """One group of ``boundary_conditions``: its kind, and where on which axes it holds.

    The mask has one row for all samples, or one for each.
    """

    name: str
    kind: str
    axes: tuple[str, ...]
    mask: Bool[np.ndarray, "sample *axes"]

    def side(self, axis: str, place: int) -> tuple[slice | int, ...]:
        """Index of the first (0) or last (-1) points along an axis."""
        return (*[slice(None)] * (1 + self.axes.index(axis)), place)

    def covers(self, axis: str, place: int) -> bool:
        """Whether it holds on the side: a wall on all of it, another kind on any part of it.

        A mask over one axis that is empty says nothing about the side, so it means both.
        """
        if len(self.axes) == 1 and not self.mask.any():
            return True
        side = self.mask[self.side(axis, place)]
        return bool(side.all() if self.kind == "wall" else side.any())


def conditions(file: h5py.File, sizes: Mapping[str, int], skip: Sequence[str]) -> list[Condition]:
    """The boundary conditions of a file.

    Args:
        file: The file.
        sizes: Length of every space axis.
        skip: Axes whose boundary the user gives; conditions on these alone are not looked at.

    Raises:
        InputError: A kind, an axis or a mask that is not The Well's.
    """
    if "boundary_conditions" not in file:
        return []
    groups = hdf5.group(file, "boundary_conditions")
    found = []
    for name in groups:
        item = hdf5.group(groups, str(name))
        axes = tuple(hdf5.texts(item.attrs.get("associated_dims", [])))
        if set(axes) <= set(skip):
            continue
        found.append(_condition(item, str(name), axes, sizes))
    return found


def _condition(
    item: h5py.Group, name: str, axes: tuple[str, ...], sizes: Mapping[str, int]
) -> Condition:
    source = f"{item.file.filename}: boundary_conditions/{name}"
    kind = KINDS.get(hdf5.text(item.attrs.get("bc_type", "")).upper())
    if kind is None or not set(axes) <= set(sizes):
        raise InputError(
            f"{source}: expected bc_type {', '.join(KINDS)} on the axes {', '.join(sizes)}, got "
            f"{hdf5.text(item.attrs.get('bc_type', 'none'))} on {', '.join(axes)}; give boundary="
        )
    shape = tuple(sizes[axis] for axis in axes)
    mask = hdf5.values(item, "mask").astype(bool) if "mask" in item else np.zeros(shape, bool)
    if mask.shape[mask.ndim - len(shape) :] != shape:
        raise InputError(f"{source}: its mask has the shape {mask.shape}, expected {shape}")
    rows = mask.reshape(mask.shape[0] if item.attrs.get("sample_varying") else 1, -1, *shape)
    same = (rows == rows[:1]).all()
    if not (rows == rows[:, :1]).all() or not (same or len(axes) > 1):
        raise InputError(
            f"{source}: its mask moves in time or puts sides elsewhere in each sample, which the "
            "schema cannot hold; write one file for each geometry, or give boundary="
        )
    return Condition(name, kind, axes, rows[:1, 0] if same else rows[:, 0])


def kinds(found: Sequence[Condition], sizes: Mapping[str, int], source: str) -> dict[str, str]:
    """The boundary of every axis, low side first.

    Raises:
        InputError: Two conditions on one side.
    """
    return {
        axis: f"{_side(found, axis, 0, source)} {_side(found, axis, -1, source)}" for axis in sizes
    }


def _side(found: Sequence[Condition], axis: str, place: int, source: str) -> str:
    here = [item for item in found if axis in item.axes]
    if any(item.kind == "periodic" for item in here):
        others = [item.name for item in here if item.kind != "periodic" and len(item.axes) == 1]
        if others:
            raise InputError(
                f"{source}: {axis} is periodic and has {others[0]}; give boundary={{{axis!r}: ...}}"
            )
        return "periodic"
    covering = {item.kind: item for item in here if item.covers(axis, place)}
    alone = {kind for kind, item in covering.items() if len(item.axes) == 1}
    chosen = sorted(alone or covering)
    if len(chosen) > 1:
        side = "low" if place == 0 else "high"
        raise InputError(
            f"{source}: the {side} side of {axis} is {' and '.join(chosen)}; give "
            f"boundary={{{axis!r}: ...}}"
        )
    return chosen[0] if chosen else ELSEWHERE


def obstacles(
    found: Sequence[Condition], sizes: Mapping[str, int]
) -> Bool[np.ndarray, "sample *space"] | None:
    """Where the domain is: false on walls inside it, which masks over several axes draw.

    A side that is a wall as a whole is a boundary and no obstacle. The result has one row for all
    samples, or one for each.
    """
    solid = np.zeros((1, *sizes.values()), bool)
    for item in _drawn(found):
        mask = item.mask.copy()
        for axis in item.axes:
            for place in (0, -1):
                if item.covers(axis, place):
                    mask[item.side(axis, place)] = False
        order = [1 + item.axes.index(axis) for axis in sizes if axis in item.axes]
        shape = [n if axis in item.axes else 1 for axis, n in sizes.items()]
        solid = solid | mask.transpose(0, *order).reshape(-1, *shape)
    return ~solid if solid.any() else None


def _drawn(found: Sequence[Condition]) -> Iterator[Condition]:
    return (item for item in found if item.kind == "wall" and len(item.axes) > 1)
