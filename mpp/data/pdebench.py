"""PDEBench's HDF5 files as an xarray engine: each published layout in the canonical schema, lazily.

| layout                               | published sets                                           |
|--------------------------------------|----------------------------------------------------------|
| ``0000/data [t, x, y, c]``, ``grid`` | shallow water, diffusion-reaction, diffusion-sorption    |
| ``Vx, Vy, Vz, density, pressure``    | compressible flow in 1-D, 2-D and 3-D                    |
| ``velocity, particles, force, t``    | incompressible flow                                      |
| ``tensor [n, t, x]``                 | advection, Burgers, reaction-diffusion                   |

Darcy flow has no time, so there is nothing to step forward: its files are refused. Which set a file
belongs to follows from its configuration, attributes, name and shape, in this order: see
`mpp.data.pdebench_sets`. All sets are taken as dimensionless.

Source: Takamoto et al., PDEBench, NeurIPS 2022 (datasets and benchmarks).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import h5py
import xarray as xr
from xarray.backends import BackendEntrypoint

from mpp.data import boundary as sides
from mpp.data import hdf5
from mpp.data import pdebench_sets as sets
from mpp.data.links import require_own
from mpp.data.pdebench_layouts import Contents, layout_of
from mpp.errors import InputError
from mpp.fields import Field, known_field
from mpp.schema import coordinate


class PDEBenchBackend(BackendEntrypoint):
    """``xr.open_dataset(path, engine="pdebench")``: a PDEBench file in the canonical schema."""

    description = "PDEBench HDF5 files in the canonical schema of mpp"

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Sequence[str] | None = None,
        boundary: str | Mapping[str, str] | None = None,
        names: Sequence[str] | None = None,
        system: str | None = None,
    ) -> xr.Dataset:
        """Open a file; values are read when they are asked for, in any process.

        A time axis that is one longer than the data loses its last entry, as in the compressible
        sets. A space axis that is one longer holds the cells' faces and becomes their centres;
        other grids are kept as they are in the file.

        Boundaries follow the set: periodic for compressible flow (unless the file's name says
        otherwise), advection, Burgers and reaction-diffusion; open for shallow water; no-flux for
        diffusion-reaction; for diffusion-sorption the concentration is fixed at the low side and
        flows out at the high one; fixed for incompressible flow, whose velocity is held at zero
        around the domain (its tracer has no gradient there, but an axis carries one kind a side).

        Args:
            filename_or_obj: Path of the file.
            drop_variables: Variables to leave out.
            boundary: Boundary of every axis, or by axis: ``{"x": "wall open"}``.
            names: Names of the fields, in the order of the channels (velocities before density and
                pressure, velocities before the tracer).
            system: Name of the physical system; that of a published set, such as
                ``diffusion_reaction``, also brings the set's names and boundaries.

        Raises:
            InputError: No HDF5, cut off, none of the layouts, or something to be told by keywords.
        """
        path = hdf5.local_path(filename_or_obj)
        with hdf5.inspecting(path) as file:
            require_own(path)
            read = layout_of(file)
            if read is None:
                raise InputError(_unknown(path, file))
            contents = _as_told(read(path, file), system, path, file)
        ds = _dataset(contents, _names(contents, names, path), boundary, path)
        ds.attrs["system"] = system or (contents.known.system if contents.known else "unknown")
        return hdf5.finished(ds, path, drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether the file has one of the layouts; a look at a few names, no values are read."""
        return hdf5.matches(filename_or_obj, lambda file: layout_of(file) is not None)


def _unknown(path: str, file: h5py.File) -> str:
    found = ", ".join(sorted(file)[:6]) or "nothing"
    return (
        f"{path}: not a layout of PDEBench: expected 0000/data and 0000/grid, Vx with density and "
        f"pressure, velocity with particles and t, or tensor; found {found}; for another format "
        "leave out engine='pdebench'"
    )


def _as_told(contents: Contents, system: str | None, path: str, file: h5py.File) -> Contents:
    """The contents as of the set that the user names, if there is one of that name."""
    every = (*sets.TRAJECTORY_SETS, *sets.TENSOR_SETS)
    told = next((item for item in every if item.system == system), None)
    return contents if told in (None, contents.known) else contents.as_of(path, file, told)


def _names(contents: Contents, wanted: Sequence[str] | None, path: str) -> tuple[str, ...]:
    channels, axes = len(contents.channels), ", ".join(contents.axes)
    if isinstance(wanted, str):
        wanted = (wanted,)
    if wanted is None and contents.known is None:
        raise InputError(
            f"{path}: cannot tell which set this is ({channels} channels over {axes}); give "
            "system='burgers' or another published set, or names=[...] and boundary=..."
        )
    names = tuple(wanted if wanted is not None else contents.known.names)  # pyright: ignore[reportOptionalMemberAccess]
    if len(names) != channels or len(set(names)) != len(names):
        raise InputError(
            f"{path}: expected {channels} different names, one for each channel, got "
            f"{', '.join(names)}; give names=[...]"
        )
    return names


def _dataset(
    contents: Contents,
    names: tuple[str, ...],
    boundary: str | Mapping[str, str] | None,
    path: str,
) -> xr.Dataset:
    axes = tuple(contents.axes)
    known = contents.known.sides(axes) if contents.known else {}
    chosen = sides.choose(axes, known, boundary, path)
    data: dict[str, xr.Variable] = {}
    for name, array in zip(names, contents.channels, strict=True):
        data[name] = array.variable(known_field(name).attrs())
    for name, array in contents.static.items():
        data[name] = array.variable(replace(known_field(name), role="static").attrs())
    for name, values in contents.parameters.items():
        data[name] = xr.Variable(("sample",), values, Field(name, role="parameter").attrs())
    coords = {"time": coordinate(contents.time, "time", "1")}
    coords |= {a: coordinate(points, a, "1", chosen[a]) for a, points in contents.axes.items()}
    if contents.samples is not None:
        coords["sample"] = xr.Variable(("sample",), contents.samples)
    return xr.Dataset(data, coords)
