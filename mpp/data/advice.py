"""What to write in a mapping where a file cannot be read without one."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from mpp.data.guess import (
    coordinate_of,
    field_name,
    letter,
    lines_along,
    looks_like_time,
    words,
)
from mpp.data.mapping import Mapping as Stated
from mpp.data.mapping import line
from mpp.errors import InputError

NAMELESS = ("phony_dim_", "dim_")
"""How readers call dims that have no name."""
CENTRES = {"rho", "c", "t", "center", "centre", "xc", "yc", "zc", "xt", "yt", "zt"}
SIMULATED = ("sim_time", "time", "t")
SHOWN = 6
Dims = tuple[str, ...]


def nameless(dims: object) -> bool:
    """Whether there are dims, none of which has a name in the file."""
    listed = [str(dim) for dim in dims]  # type: ignore[union-attr]
    return bool(listed) and all(dim.startswith(NAMELESS) for dim in listed)


def no_time(ds: xr.Dataset) -> str:
    """That no dim counts the frames, and how to say which does."""
    if any(nameless(variable.dims) and variable.ndim > 1 for variable in ds.variables.values()):
        return f"no time axis, for its dims have no names; {_naming(ds)}"
    if not ds.variables:
        return "it holds no arrays of numbers; name the file with the fields"
    return (
        f"no time axis among its dims ({_list(ds.dims)}); name it with time='...' (in a mapping "
        "file, time: ...), or give runs with several frames"
    )


def _naming(ds: xr.Dataset) -> str:
    name, largest = max(ds.variables.items(), key=lambda item: (item[1].ndim, item[1].size))
    shape = ", ".join(map(str, largest.shape))
    return (
        f"name the dims of {name} ({shape}) in their order, such as "
        f"{line(dims=_usual_dims(largest.shape))}, with sample for the one that counts runs"
    )


def _usual_dims(shape: tuple[int, ...]) -> list[str]:
    """What the dims of an array of a simulation may be, by its sizes alone."""
    last = ["component"] if len(shape) > 3 and shape[-1] <= 4 < min(shape[-3:-1]) else []
    rest = shape[: len(shape) - len(last)]
    cube = len(rest) > 4 or (len(rest) == 4 and len(set(rest[1:])) == 1)
    axes = ["x", "y", "z"] if cube else ["x", "y"][: max(1, len(rest) - 1)]
    lead = ["sample", "time"][-(len(rest) - len(axes)) :] if len(rest) > len(axes) else []
    return [*lead, *axes, *last]


def unreal(variables: Mapping[Any, xr.Variable], rank: int = 2) -> str:
    """That the likeliest fields hold no real numbers, and what to write; nothing where they do."""
    fields = {name: v for name, v in variables.items() if v.ndim >= rank}
    if not fields or any(variable.dtype.kind in "fiub" for variable in fields.values()):
        return ""
    name, field = next(iter(fields.items()))
    parts = "; write its real and its imaginary part as two variables"
    return (
        f"{name} holds {field.dtype}, expected real numbers"
        f"{parts if field.dtype.kind == 'c' else '; write them as numbers'}"
    )


def channels(ds: xr.Dataset, dim: str) -> str:
    """That a dim holds different fields, and how to name them."""
    names = [f"field_{number}" for number in range(ds.sizes[dim])]
    return (
        f"dim {dim!r} looks like components of a field; name them, such as "
        f"{line(channels={dim: names})}, or read one of them with {line(select={dim: 0})}"
    )


def other_dims(ds: xr.Dataset, name: str, axes: set[str], more: set[str | None]) -> str:
    """Why a variable is left out whose dims are not those of the fields, and how to read it."""
    dims = [str(dim) for dim in ds[name].dims]
    why = f"its dims ({', '.join(dims)}) are not those of the fields"
    others = [dim for dim in dims if dim not in axes | more]
    if others and axes <= set(dims):
        why += f"; {line(select=dict.fromkeys(others, 0))} reads one point of it"
    return why


def no_field(
    ds: xr.Dataset, time: str | None, space: dict[str, str], left_out: dict[str, str]
) -> str:
    """That nothing can be a field, and why the likeliest variable is none."""
    dims = ", ".join([*([time] if time else []), *space.values()])
    largest = max(left_out, key=lambda name: ds[name].ndim, default=None)
    why = f"; {largest} is left out: {left_out[largest]}" if largest else ""
    return f"no variable has the dims ({dims}) of a field{why}"


def kept(ds: xr.Dataset, mapping: Stated) -> list[str]:
    """The variables that a mapping keeps, by whichever name; all if it says nothing."""
    keep, new = mapping.keep, mapping.names
    return [
        str(name)
        for name in ds.data_vars
        if keep is None or {name, new.get(str(name)), field_name(ds, str(name))} & set(keep)
    ]


def require_axes(ds: xr.Dataset, dims: Dims, source: str) -> None:
    """Refuse a list of points in space that is no axis.

    Raises:
        InputError: A dim whose points have positions in two directions or more.
    """
    for dim in dims:
        alone = [str(k) for k, v in ds.variables.items() if v.dims == (dim,) and k != dim]
        if nameless([dim]) and len(alone) > 1:
            raise InputError(
                f"{source}: {', '.join(alone)} are as long as each other, so that nothing tells "
                f"where they belong; {_naming(ds)}"
            )
        found = {letter(ds, name): name for name in alone if ds[name].dtype.kind == "f"}
        listed = [name for axis, name in found.items() if axis]
        if len(listed) > 1 and dim not in ds.variables and letter(ds, dim) is None:
            raise InputError(
                f"{source}: {dim} is a list of {ds.sizes[dim]} points with {' and '.join(listed)}, "
                "as in a mesh or a cloud of particles, but fields must stand on a grid; "
                "interpolate them to one first"
            )


def require_one_time(ds: xr.Dataset, dim: str, source: str) -> None:
    """Refuse frames with times of several kinds, such as the model's and the wall clock's.

    Raises:
        InputError: With the line that chooses one.
    """
    times = [name for name in lines_along(ds, dim) if looks_like_time(ds, name)]
    if len(times) > 1 and coordinate_of(ds, dim) is None:
        raise InputError(
            f"{source}: its frames along {dim} have several times, {', '.join(times)}; choose one, "
            f"such as {line(time=min(times, key=lambda name: (name not in SIMULATED, name)))}"
        )


def require_one_grid(
    ds: xr.Dataset, mapping: Stated, time: str, sample: str | None, source: str
) -> None:
    """Refuse fields that stand on different points of the same cells.

    Raises:
        InputError: With the lines that bring them together.
    """
    grids = _grids(ds, kept(ds, mapping), time, sample)
    moves = staggered(ds, grids)
    if not moves:
        return
    shown = [f"{_some(names)} on ({', '.join(dims)})" for dims, names in grids.items()]
    side = " (low, high or same: where they are from the centre of the same number)"
    unsure = side if any(" " in centre for centre in moves.values()) else ""
    one = max(grids, key=lambda dims: (not set(dims) & set(moves), len(grids[dims])))
    raise InputError(
        f"{source}: its fields stand on different points of the cells, {'; '.join(shown)}; bring "
        f"them together with {line(regrid=moves)}{unsure}, or read some alone with "
        f"{line(keep=grids[one])}"
    )


def _grids(
    ds: xr.Dataset, names: list[str], time: str, sample: str | None
) -> dict[Dims, list[str]]:
    """Fields by their dims in space, of those with as many dims as most have."""
    rows: dict[Dims, list[str]] = {}
    for name in names:
        dims = tuple(str(dim) for dim in ds[name].dims if dim not in (time, sample))
        framed = time in ds[name].dims or time not in ds.dims
        if dims and framed and ds[name].dtype.kind in "fiub":
            rows.setdefault(dims, []).append(name)
    rank = Counter(len(dims) for dims, found in rows.items() for _ in found)
    common = max(rank, key=lambda n: (rank[n], n), default=0)
    return {dims: found for dims, found in rows.items() if len(dims) == common}


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" * (len(names) > SHOWN))


def staggered(ds: xr.Dataset, grids: dict[Dims, list[str]]) -> dict[str, str]:
    """Dims to bring to others, told by their places in the fields, their sizes and their names.

    Of dims that differ by at most one point, that of most fields holds the centres, else one that
    is called so, else the shortest, else the first.

    Args:
        ds: As a file gives it.
        grids: Names of fields by their dims in space, as many dims for each.
    """
    listed = []
    for place in zip(*grids, strict=True):
        counts = Counter()
        for dim, names in zip(place, grids.values(), strict=True):
            counts[dim] += len(names)
        order = {dim: (-counts[dim], not words(dim) & CENTRES, ds.sizes[dim]) for dim in counts}
        listed.append(sorted(order, key=lambda dim: order[dim]))
    centres = {dims[0] for dims in listed}
    return {
        dim: _target(ds, dim, dims)
        for dims in listed
        for dim in dims[1:]
        if dim not in centres and _near(ds, dim, dims[0])
    }


def _near(ds: xr.Dataset, dim: str, centre: str) -> bool:
    axes = [letter(ds, coordinate_of(ds, d) or d) or letter(ds, d) for d in (dim, centre)]
    alike = axes[0] == axes[1] or None in axes
    return alike and abs(ds.sizes[dim] - ds.sizes[centre]) <= 1


def _target(ds: xr.Dataset, dim: str, dims: list[str]) -> str:
    """The centres, with the side of the faces where neither coordinates nor sizes tell it."""
    centre, sizes = dims[0], {ds.sizes[other] for other in dims}
    known = [coordinate_of(ds, d) for d in (dim, centre)]
    told = all(name is not None and np.issubdtype(ds[name].dtype, np.number) for name in known)
    if told or ds.sizes[dim] != ds.sizes[centre]:
        return centre
    # Where the faces are the dim of another length, one of equal length is the centres again.
    return f"{centre} {'same' if len(sizes) > 1 else 'low'}"


def _list(names: object) -> str:
    return ", ".join(str(name) for name in names) or "none"  # type: ignore[union-attr]
