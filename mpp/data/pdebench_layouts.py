"""The layouts of PDEBench's files: what is where, read into one kind of contents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import h5py
import numpy as np

from mpp.data import hdf5
from mpp.data import pdebench_sets as sets
from mpp.data.hdf5 import Hdf5Array
from mpp.errors import InputError

FLOW = {"Vx": "velocity_x", "Vy": "velocity_y", "Vz": "velocity_z"}
FLOW_ARRAYS = (*FLOW, "density", "pressure")
GRIDS_COMPARED = 32
"""Trajectories, spread over a file, whose grids are compared; all their shapes are."""


@dataclass(frozen=True)
class Contents:
    """What a layout holds, before it has names.

    Args:
        known: The published set it belongs to, if that is clear.
        channels: One array a field, over (sample, time, *space).
        axes: Points along each space axis.
        time: Time of every frame.
        static: Maps by name.
        parameters: Numbers by name, one a sample.
        samples: Names of the samples, if they have any.
        configs: Text of the configuration of every sample, if they have any.
    """

    known: sets.PublishedSet | None
    channels: list[Hdf5Array]
    axes: dict[str, np.ndarray]
    time: np.ndarray
    static: dict[str, Hdf5Array] = field(default_factory=dict)
    parameters: dict[str, np.ndarray] = field(default_factory=dict)
    samples: np.ndarray | None = None
    configs: list[str] | None = None

    def repeated(self, numbers: Mapping[str, float]) -> dict[str, np.ndarray]:
        """Numbers that hold for the whole file, once a sample."""
        return {name: np.full(self.channels[0].shape[0], n) for name, n in numbers.items()}

    def as_of(self, path: str, file: h5py.File, known: sets.PublishedSet) -> "Contents":
        """The contents as of a set, with the parameters that the file gives for it."""
        if self.configs is not None:
            parameters = _config_parameters(self.configs, known)
        else:
            parameters = self.repeated(sets.from_attrs_or_name(path, file.attrs, known))
        return replace(self, known=known, parameters=parameters)


def layout_of(file: h5py.File) -> Callable[[str, h5py.File], Contents] | None:
    """How to read the file, or ``None`` if it has none of the layouts; looks at names alone."""
    if all(name in file for name in ("Vx", "density", "pressure", "x-coordinate")):
        return _compressible
    if all(name in file for name in ("velocity", "particles", "t")):
        return _incompressible
    if "tensor" in file and "x-coordinate" in file:
        return _tensor
    first = next(iter(file), None)
    group = file.get(first) if first is not None else None
    if isinstance(group, h5py.Group) and "data" in group and "grid/t" in group:
        return _trajectories
    return None


def _trajectories(path: str, file: h5py.File) -> Contents:
    """A group for each trajectory: ``0000/data [t, x, y, c]`` with ``0000/grid/{t, x, y}``."""
    groups = sorted(map(str, file), key=lambda name: (len(name) if name.isdigit() else 0, name))
    first = hdf5.dataset(file, f"{groups[0]}/data")
    axes = tuple(axis for axis in "xyz" if f"{groups[0]}/grid/{axis}" in file)
    if not axes or first.ndim != len(axes) + 2:
        raise InputError(
            f"{path}: {groups[0]}/data has the shape {first.shape} and grid the axes "
            f"{', '.join(axes) or 'none'}; expected (time, *axes, channel)"
        )
    configs = [_sound(path, file, name, first.shape) for name in groups]
    grid = _common_grid(path, file, groups)
    points = {axis: grid[axis] for axis in axes}
    order = _stored_order(path, f"{groups[0]}/data", first.shape[1:-1], points)
    sizes = {"sample": len(groups), "time": first.shape[0], **{a: grid[a].size for a in axes}}
    dtype = hdf5.real_dtype(first.dtype, f"{path}: {groups[0]}/data")
    names, dims = [f"{name}/data" for name in groups], ("time", *order, "channel")
    known = sets.trajectory_set(path, configs[0], len(axes), first.shape[-1])
    contents = Contents(
        known=None,
        channels=[
            Hdf5Array(path, names, dims, sizes, {"channel": channel}, dtype)
            for channel in range(first.shape[-1])
        ],
        axes=points,
        time=_times(path, "grid/t", grid["t"], first.shape[0]),
        samples=np.array(groups),
        configs=configs,
    )
    return contents if known is None else contents.as_of(path, file, known)


def _sound(path: str, file: h5py.File, name: str, shape: tuple[int, ...]) -> str:
    """The trajectory's configuration, after a look at the shape of its data."""
    item = hdf5.group(file, name)
    found = hdf5.dataset(item, "data").shape
    if found != shape:
        raise InputError(
            f"{path}: {name}/data has the shape {found}, the first trajectory {shape}; put "
            "trajectories of different shapes into different files"
        )
    return sets.config_of(item)


def _common_grid(path: str, file: h5py.File, groups: list[str]) -> dict[str, np.ndarray]:
    first = hdf5.group(file, f"{groups[0]}/grid")
    grid = {str(name): hdf5.values(first, str(name)) for name in first}
    places = np.linspace(0, len(groups) - 1, min(len(groups), GRIDS_COMPARED)).astype(int)
    for other in (groups[place] for place in places[1:]):
        for axis, points in grid.items():
            found = hdf5.values(file, f"{other}/grid/{axis}")
            if found.shape != points.shape or not np.allclose(
                found, points, rtol=1e-5, equal_nan=True
            ):
                raise InputError(
                    f"{path}: grid/{axis} of {other} and of {groups[0]} differ; put trajectories "
                    "on different grids into different files"
                )
    return grid


def _stored_order(
    path: str, where: str, shape: Sequence[int], points: Mapping[str, np.ndarray]
) -> tuple[str, ...]:
    """Space axes as the file orders them: by name, or the other way round where only that fits."""
    for order in (tuple(points), tuple(points)[::-1]):
        if all(n == points[axis].size for n, axis in zip(shape, order, strict=True)):
            return order
    lengths = {axis: values.size for axis, values in points.items()}
    raise InputError(
        f"{path}: {where} has {tuple(shape)} points along its axes, their coordinates {lengths}; "
        "the lengths must agree"
    )


def _config_parameters(configs: Sequence[str], known: sets.PublishedSet) -> dict[str, np.ndarray]:
    """Parameters that the configuration of every trajectory gives."""
    rows = [sets.from_config(config, known) for config in configs]
    shared = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: np.array([row[name] for row in rows]) for name in shared}


def _compressible(path: str, file: h5py.File) -> Contents:
    """Arrays ``Vx, Vy, Vz, density, pressure [n, t, x, y, z]`` with ``x-coordinate`` and so on."""
    arrays = [name for name in FLOW_ARRAYS if name in file]
    contents = _arrays(path, file, arrays)
    missing = [f"V{axis}" for axis in contents.axes if f"V{axis}" not in file]
    if missing:
        raise InputError(f"{path}: no {missing[0]} beside the other fields; the file is incomplete")
    known = replace(
        sets.COMPRESSIBLE_FLOW,
        names=tuple(FLOW.get(name, name) for name in arrays),
        boundary=sets.compressible_boundary(path),
    )
    return contents.as_of(path, file, known)


def _tensor(path: str, file: h5py.File) -> Contents:
    """One array ``tensor [n, t, x]``: advection, Burgers or reaction-diffusion."""
    if "nu" in file or "t-coordinate" not in file:
        raise InputError(
            f"{path}: it has no time axis (Darcy flow is steady), so there is nothing to step "
            "forward; expected tensor [sample, time, x] with t-coordinate"
        )
    contents = _arrays(path, file, ["tensor"])
    known = sets.tensor_set(path, file.attrs)
    return contents if known is None else contents.as_of(path, file, known)


def _arrays(path: str, file: h5py.File, names: Sequence[str]) -> Contents:
    """Arrays of one shape over ([sample], time, *space), with their coordinates."""
    shape = hdf5.dataset(file, names[0]).shape
    axes = tuple(axis for axis in "xyz" if f"{axis}-coordinate" in file)
    stored = ("sample", "time", *axes) if len(shape) == len(axes) + 2 else ("time", *axes)
    if len(shape) != len(stored) or "t-coordinate" not in file:
        have = ", ".join(name for name in map(str, file) if name.endswith("-coordinate"))
        raise InputError(
            f"{path}: {names[0]} has the shape {shape}, expected (sample, time, *space) with a "
            f"coordinate for time and every axis, got {have}; the file is incomplete"
        )
    _require_shape(path, file, names, shape)
    sizes = {"sample": 1, **dict(zip(stored, shape, strict=True))}
    dtypes = [hdf5.real_dtype(hdf5.dataset(file, name).dtype, f"{path}: {name}") for name in names]
    time = hdf5.values(file, "t-coordinate")
    return Contents(
        known=None,
        channels=[
            Hdf5Array(path, name, stored, sizes, {}, dtype)
            for name, dtype in zip(names, dtypes, strict=True)
        ],
        axes={
            axis: _points(path, axis, hdf5.values(file, f"{axis}-coordinate"), sizes[axis])
            for axis in axes
        },
        time=_times(path, "t-coordinate", time, sizes["time"]),
    )


def _require_shape(
    path: str, file: h5py.File, names: Sequence[str], shape: tuple[int, ...]
) -> None:
    for name in names:
        found = hdf5.dataset(file, name).shape
        if found != shape:
            raise InputError(
                f"{path}: {name} has the shape {found}, expected {shape} as the other fields; the "
                "file is incomplete"
            )


def _points(path: str, axis: str, points: np.ndarray, size: int) -> np.ndarray:
    """Points along an axis; one more than there are values means the faces of the cells."""
    if points.shape == (size + 1,):
        return (points[1:] + points[:-1]) / 2
    if points.shape != (size,):
        raise InputError(
            f"{path}: {axis}-coordinate has the shape {points.shape}, the fields {size} points "
            "along it; the lengths must agree"
        )
    return points


def _times(path: str, where: str, times: np.ndarray, frames: int) -> np.ndarray:
    """Time of every frame: the file's, without the one entry that it may have too many."""
    if times.shape not in ((frames,), (frames + 1,)):
        raise InputError(
            f"{path}: {where} has the shape {times.shape}, the fields {frames} frames; the "
            "lengths must agree"
        )
    return times[:frames]


def _incompressible(path: str, file: h5py.File) -> Contents:
    """``velocity [n, t, x, y, 2]``, ``particles [n, t, x, y, 1]``, ``force [n, x, y, 2]``, ``t``.

    The published files have no coordinates: the points are the centres of equal cells on the
    configuration's ``domain_size``, by default 1 along each axis.
    """
    velocity, particles = hdf5.dataset(file, "velocity"), hdf5.dataset(file, "particles")
    axes = tuple("xyz"[: velocity.ndim - 3])
    if velocity.shape[-1] != len(axes) or particles.shape != (*velocity.shape[:-1], 1):
        raise InputError(
            f"{path}: expected velocity [n, t, x, y, 2] and particles [n, t, x, y, 1], got the "
            f"shapes {velocity.shape} and {particles.shape}; the file is incomplete"
        )
    sizes = dict(zip(("sample", "time", *axes), velocity.shape[:-1], strict=True))
    config = sets.config_of(file)
    known = replace(
        sets.INCOMPRESSIBLE_FLOW,
        names=(*(f"velocity_{axis}" for axis in axes), "tracer"),
        boundary=sets.incompressible_boundary(config),
    )
    channels = [
        *_components(path, velocity, "velocity", sizes),
        *_components(path, particles, "particles", sizes),
    ]
    contents = Contents(
        known=known,
        channels=channels,
        axes=_cell_centres(config, {axis: sizes[axis] for axis in axes}),
        time=_times(path, "t", _equal_times(path, hdf5.values(file, "t")), sizes["time"]),
        static=_force(path, file, {dim: n for dim, n in sizes.items() if dim != "time"}),
    )
    return replace(contents, parameters=contents.repeated(sets.from_config(config, known)))


def _components(
    path: str, source: h5py.Dataset, name: str, sizes: Mapping[str, int]
) -> list[Hdf5Array]:
    """One array for each place along the last axis of a dataset."""
    dtype = hdf5.real_dtype(source.dtype, f"{path}: {name}")
    return [
        Hdf5Array(path, name, (*sizes, "component"), sizes, {"component": place}, dtype)
        for place in range(source.shape[-1])
    ]


def _force(path: str, file: h5py.File, sizes: Mapping[str, int]) -> dict[str, Hdf5Array]:
    """The components of the force, which does not change in time, by name."""
    if "force" not in file:
        return {}
    force = hdf5.dataset(file, "force")
    axes = [dim for dim in sizes if dim != "sample"]
    if force.shape != (*sizes.values(), len(axes)):
        raise InputError(
            f"{path}: force has the shape {force.shape}, expected {(*sizes.values(), len(axes))} "
            "for (sample, *space, component); leave it out or write it so"
        )
    parts = _components(path, force, "force", sizes)
    return {f"force_{axis}": part for axis, part in zip(axes, parts, strict=True)}


def _cell_centres(config: str, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    lengths = sets.domain_size(config, len(sizes))
    cells = zip(sizes.items(), lengths, strict=True)
    return {axis: (np.arange(n) + 0.5) * (length / n) for (axis, n), length in cells}


def _equal_times(path: str, times: np.ndarray) -> np.ndarray:
    """The times of all samples, given that they are the same."""
    if times.ndim == 1:
        return times
    if times.ndim != 2 or not np.allclose(times, times[:1], rtol=1e-5, equal_nan=True):
        raise InputError(
            f"{path}: its samples have different times (t of shape {times.shape}); put samples of "
            "different times into different files"
        )
    return times[0]
