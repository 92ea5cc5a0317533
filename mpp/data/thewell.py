"""The Well's HDF5 files as an xarray engine: the whole published format in the canonical schema.

- ``t0_fields`` are fields, ``t1_fields`` vectors and ``t2_fields`` tensors, one variable for each
  component, named by the file's axes (``velocity_x``, ``velocity_theta``, ``d_xy``); a symmetric
  tensor gives its upper triangle, an antisymmetric one what is above the diagonal;
- a field that does not vary in time becomes a static map, scalars become parameters;
- ``boundary_conditions`` become the kinds at both sides of each axis, and walls drawn inside the
  domain a mask (1 inside the domain): see `mpp.data.thewell_sides`.

Names are written in lower case with underscores. The format has no units: all are ``"1"``.

Source: Ohana et al., The Well, NeurIPS 2024 (datasets and benchmarks).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from mpp.data import boundary as sides
from mpp.data import hdf5
from mpp.data import thewell_sides as well_sides
from mpp.data.links import require_own
from mpp.data.thewell_contents import FIELD_GROUPS, WellFile, canonical_name, variables
from mpp.errors import InputError
from mpp.fields import Field
from mpp.schema import EVEN_TOLERANCE, coordinate


class TheWellBackend(BackendEntrypoint):
    """``xr.open_dataset(path, engine="thewell")``: a file of The Well in the canonical schema."""

    description = "The Well's HDF5 files in the canonical schema of mpp"

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Sequence[str] | None = None,
        boundary: str | Mapping[str, str] | None = None,
        names: Mapping[str, str] | None = None,
        samples: Sequence[int] | None = None,
        system: str | None = None,
    ) -> xr.Dataset:
        """Open a file; values are read when they are asked for, in any process.

        A side that no boundary condition covers is open, as The Well has it. A time axis for each
        trajectory is merged into one when all are the same.

        Args:
            filename_or_obj: Path of the file.
            drop_variables: Variables to leave out.
            boundary: Boundary of every axis, or by axis: ``{"x": "wall open"}``; takes the place of
                the file's.
            names: Other names for variables, by the names that they would get.
            samples: Trajectories to keep, all by default.
            system: Name of the physical system, ``dataset_name`` by default.

        Raises:
            InputError: No HDF5, cut off, not The Well's format, different times or grids from
                trajectory to trajectory, or boundary conditions that contradict each other.
        """
        path = hdf5.local_path(filename_or_obj)
        with hdf5.inspecting(path) as file:
            require_own(path)
            if not _is_well(file):
                raise InputError(_unknown(path, file))
            well = _describe(path, file, samples)
            data = dict(variables(well))
            coords, mask = _coordinates(well, boundary)
            attrs = _attributes(file, system)
        if mask is not None:
            data["obstacles" if "mask" in data else "mask"] = mask
        ds = xr.Dataset(data, coords, attrs)
        ds = ds if samples is None else ds.isel(sample=list(samples))
        return hdf5.finished(_renamed(ds, names, path), path, drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether the file has the format's groups; no values are read."""
        return hdf5.matches(filename_or_obj, _is_well)


def _is_well(file: h5py.File) -> bool:
    dimensions = file.get("dimensions")
    if not isinstance(dimensions, h5py.Group) or "spatial_dims" not in dimensions.attrs:
        return False
    return "time" in dimensions and any(name in file for name in FIELD_GROUPS)


def _unknown(path: str, file: h5py.File) -> str:
    found = ", ".join(sorted(map(str, file))[:6]) or "nothing"
    return (
        f"{path}: not The Well's format: expected the groups dimensions (with spatial_dims and "
        f"time) and t0_fields, t1_fields or t2_fields; found {found}; for another format leave out "
        "engine='thewell'"
    )


def _describe(path: str, file: h5py.File, samples: Sequence[int] | None) -> WellFile:
    dimensions = hdf5.group(file, "dimensions")
    names = hdf5.texts(dimensions.attrs["spatial_dims"])
    count = _trajectories(path, file)
    bad = [number for number in samples or () if not -count <= number < count]
    if bad or (samples is not None and not len(samples)):
        what = f"trajectory {bad[0]}" if bad else "no trajectory"
        raise InputError(f"{path}: samples= asks for {what}; the file has 0 to {count - 1}")
    time = _common(path, dimensions, "time", samples)
    axes = {name: _common(path, dimensions, name, samples) for name in names}
    return WellFile(path, file, count, time, axes)


def _trajectories(path: str, file: h5py.File) -> int:
    """Number of trajectories: the attribute, else the length of what varies with them."""
    if "n_trajectories" in file.attrs:
        return int(np.asarray(file.attrs["n_trajectories"]).item())
    for name in FIELD_GROUPS:
        for item in hdf5.group(file, name).values() if name in file else ():
            if item.attrs.get("sample_varying"):
                return item.shape[0]
    raise InputError(f"{path}: no attribute n_trajectories; write it on the root group")


def _common(
    path: str, dimensions: h5py.Group, name: str, samples: Sequence[int] | None
) -> np.ndarray:
    """Points along an axis that hold for all the trajectories to keep."""
    rows = hdf5.values(dimensions, name)
    if dimensions[name].attrs.get("time_varying"):
        raise InputError(f"{path}: {name} moves in time; interpolate to a grid that does not")
    if rows.ndim == 2:
        rows = rows if samples is None else rows[list(samples)]
        step = np.abs(np.diff(rows)).mean() if rows.shape[1] > 1 else 1.0
        if not np.all(np.abs(rows - rows[:1]) <= EVEN_TOLERANCE * step):
            raise InputError(
                f"{path}: {name} differs from trajectory to trajectory; open those that agree "
                "together, with samples=[0] and so on"
            )
        rows = rows[0]
    if rows.ndim != 1:
        raise InputError(
            f"{path}: {name} has the shape {rows.shape}, expected one axis; grids that are not "
            "products of axes must be interpolated first"
        )
    return rows


def _coordinates(
    well: WellFile, boundary: str | Mapping[str, str] | None
) -> tuple[dict[str, xr.Variable], xr.Variable | None]:
    """Coordinates with their boundaries, and the mask if there are obstacles."""
    stated = tuple(well.axes) if isinstance(boundary, str) else tuple(boundary or ())
    found = well_sides.conditions(well.file, well.space, stated)
    free = {axis: n for axis, n in well.space.items() if axis not in stated}
    known = well_sides.kinds(found, free, well.path)
    chosen = sides.choose(tuple(well.axes), known, boundary, well.path)
    coords = {axis: coordinate(x, axis, "1", chosen[axis]) for axis, x in well.axes.items()}
    coords["time"] = coordinate(well.time, "time", "1")
    inside = well_sides.obstacles(found, well.space)
    if inside is None:
        return coords, None
    dims = tuple(well.axes) if len(inside) == 1 else ("sample", *well.axes)
    values = (inside[0] if len(inside) == 1 else inside).astype(np.uint8)
    return coords, xr.Variable(dims, values, Field("mask", role="mask").attrs())


def _attributes(file: h5py.File, system: str | None) -> dict[str, str]:
    name = hdf5.text(file.attrs.get("dataset_name", "unknown"))
    grid = hdf5.text(file.attrs.get("grid_type", "cartesian"))
    return {"system": system or canonical_name(name), "dataset_name": name, "grid_type": grid}


def _renamed(ds: xr.Dataset, names: Mapping[str, str] | None, path: str) -> xr.Dataset:
    unknown = [name for name in names or () if name not in ds.data_vars]
    if unknown:
        have = ", ".join(map(str, ds.data_vars))
        raise InputError(f"{path}: names= has {unknown[0]!r}, which is not there; there are {have}")
    return ds.rename_vars(dict(names or {}))
