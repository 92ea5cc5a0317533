"""What a dim or a variable probably is, from its name, its attributes and its units."""

import re
from collections.abc import Hashable

import numpy as np
import xarray as xr

from mpp.schema import is_even, space_axes

SAMPLE = {
    *("sample", "samples", "run", "runs", "realization", "realisation", "realizations", "member"),
    *("ensemble", "ens", "trajectory", "traj", "trajectories", "case", "simulation", "sim"),
    *("batch", "number", "realisations", "members", "cases", "simulations"),
}
TIME = {
    *("time", "times", "t", "frame", "frames", "step", "steps", "timestep", "tstep", "nt"),
    *("snapshot", "snapshots", "it", "tau", "date"),
}
TIME_UNITS = {
    *("s", "sec", "second", "seconds", "ms", "us", "ns", "min", "minute", "minutes", "h", "hr"),
    *("hour", "hours", "d", "day", "days", "yr", "year", "years", "kyr", "myr", "gyr", "t_star"),
}
AXES = {
    "x": {
        *("x", "nx", "xx", "lon", "longitude", "lons", "rlon", "i", "ix", "easting", "xi"),
        *("west_east", "west_east_stag"),
    },
    "y": {
        *("y", "ny", "yy", "lat", "latitude", "lats", "rlat", "j", "iy", "northing", "eta"),
        *("south_north", "south_north_stag"),
    },
    "z": {
        *("z", "nz", "zz", "lev", "level", "levels", "height", "depth", "altitude"),
        *("deptht", "depthu", "depthv", "depthw"),
        *("bottom_top", "bottom_top_stag"),
        *("k", "iz", "plev", "pressure", "sigma"),
    },
}
POINTS = "ctfuvwghqpe"
"""Letters behind an axis that say which points of the cells a dim counts: ``xf``, ``yc``."""
LONGITUDE = {"lon", "longitude", "lons", "rlon"}
EAST = {"degreeseast", "degreeeast", "degreese", "degreee"}
STANDARD_AXES = {
    "longitude": "x",
    "grid_longitude": "x",
    "projection_x_coordinate": "x",
    "latitude": "y",
    "grid_latitude": "y",
    "projection_y_coordinate": "y",
    "height": "z",
    "altitude": "z",
    "depth": "z",
    "air_pressure": "z",
}
COMPONENTS = {"c", "ch", "channel", "channels", "component", "components", "comp", "vector"}
STANDARD_NAMES = {
    "eastward_wind": "velocity_x",
    "northward_wind": "velocity_y",
    "upward_air_velocity": "velocity_z",
    "eastward_sea_water_velocity": "velocity_x",
    "northward_sea_water_velocity": "velocity_y",
    "upward_sea_water_velocity": "velocity_z",
    "x_wind": "velocity_x",
    "y_wind": "velocity_y",
    "sea_water_x_velocity": "velocity_x",
    "sea_water_y_velocity": "velocity_y",
    "air_temperature": "temperature",
    "sea_water_temperature": "temperature",
    "sea_water_potential_temperature": "temperature",
    "air_pressure": "pressure",
    "air_density": "density",
    "sea_water_density": "density",
    "sea_surface_height_above_geoid": "height",
    "atmosphere_relative_vorticity": "vorticity",
    "ocean_relative_vorticity": "vorticity",
    "land_binary_mask": "mask",
}
ALIASES = {
    **{f"{stem}{axis}": f"velocity_{axis}" for stem in ("v", "vel_", "vel") for axis in "xyz"},
    **{f"{stem}{axis}": f"velocity_{axis}" for stem in ("v_", "u") for axis in "xyz"},
    **{f"b{axis}": f"magnetic_field_{axis}" for axis in "xyz"},
    **{"rho": "density", "dens": "density", "p": "pressure", "pres": "pressure"},
    **{"press": "pressure", "temp": "temperature", "vort": "vorticity"},
}
SPEEDS = {"m/s", "m s-1", "m s^-1", "m.s-1", "m s**-1", "km/s", "km s-1", "cm/s", "cm s-1"}


def words(name: Hashable) -> set[str]:
    """The name in lower case, and the runs of letters in it."""
    lower = str(name).lower()
    return {lower, *re.findall(r"[a-z]+", lower)}


def coordinate_of(ds: xr.Dataset, dim: str) -> str | None:
    """The variable that says where the points along ``dim`` are, if there is one.

    It has the dim's own name, or is the only one of numbers over this dim alone, or the one of
    them whose name shares a word with the dim's.
    """
    if dim in ds.variables:
        return dim
    alone = lines_along(ds, dim)
    letters = [name for name in alone if letter(ds, name) and letter(ds, name) == letter(ds, dim)]
    times = [name for name in alone if looks_like_time(ds, name)]
    named = letters or times or [name for name in alone if words(name) & words(dim)]
    if len(named) == 1:
        return named[0]
    return alone[0] if len(alone) == 1 and not looks_like_sample(ds, dim) else None


def lines_along(ds: xr.Dataset, dim: str) -> list[str]:
    """The variables over ``dim`` alone that may say where its points are."""
    return [
        str(name)
        for name, variable in ds.variables.items()
        if variable.dims == (dim,)
        and variable.dtype.kind in "fiumM"
        and variable.attrs.get("role") != "parameter"
        and _one_way(variable)
    ]


def _one_way(variable: xr.Variable) -> bool:
    """Whether values rise or fall throughout, as positions do."""
    steps = np.diff(variable.values)
    zero = steps.dtype.type(0)
    return bool(np.all(steps > zero) or np.all(steps < zero))


def letter(ds: xr.Dataset, name: str) -> str | None:
    """``x``, ``y`` or ``z`` when the dim or coordinate looks like that axis."""
    attrs = ds[name].attrs if name in ds.variables else {}
    if str(attrs.get("axis", "")).lower() in AXES:
        return str(attrs["axis"]).lower()
    standard = STANDARD_AXES.get(str(attrs.get("standard_name", "")))
    if standard:
        return standard
    lower = name.lower()
    for axis, known in AXES.items():
        if lower in known:
            return axis
    parts = words(name)
    found = {
        axis
        for axis, known in AXES.items()
        if parts & known or any(len(p) == 2 and p[0] == axis and p[1] in POINTS for p in parts)
    }
    return found.pop() if len(found) == 1 else None


def looks_like_time(ds: xr.Dataset, name: str) -> bool:
    """Whether a dim or coordinate counts the frames: by CF, by name, or by units of time."""
    variable = ds.variables.get(name)
    attrs = {} if variable is None else variable.attrs
    units = str(attrs.get("units", "")).lower()
    if attrs.get("standard_name") == "time" or str(attrs.get("axis", "")).upper() == "T":
        return True
    if variable is not None and variable.dtype.kind in "mM":
        return True
    known = name.lower() in TIME or bool(words(name) & (TIME - {"t", "it", "step", "date"}))
    return known or " since " in units or units in TIME_UNITS


def single_time(ds: xr.Dataset) -> str | None:
    """The number that says when, in a file of one frame without a time dim."""
    alone = [str(name) for name, variable in ds.variables.items() if variable.ndim == 0]
    return next((name for name in alone if name in ("time", "Time", "TIME", "t")), None)


def looks_like_sample(ds: xr.Dataset, name: str) -> bool:
    """Whether a dim counts the runs."""
    attrs = ds[name].attrs if name in ds.variables else {}
    if attrs.get("standard_name") == "realization" or attrs.get("cf_role") == "trajectory_id":
        return True
    return name.lower() in SAMPLE | {"n", "b"} or bool(words(name) & SAMPLE)


def field_name(ds: xr.Dataset, name: str) -> str:
    """The variable's name in the schema: by CF, by a usual abbreviation, else its own."""
    attrs = ds[name].attrs
    standard = STANDARD_NAMES.get(str(attrs.get("standard_name", "")))
    if standard:
        return standard
    lower = re.sub(r"\W+", "_", name.lower()).strip("_") or "field"
    if lower in ("u", "v", "w") and str(attrs.get("units", "")).lower() in SPEEDS:
        return f"velocity_{'xyz'['uvw'.index(lower)]}"
    if name == "T":
        return "temperature"
    return ALIASES.get(lower, lower)


def goes_round(ds: xr.Dataset, name: str, *, twice: bool = False) -> bool:
    """Whether even steps of longitude lead once around the globe, back to the first point.

    Args:
        ds: The dataset.
        name: Variable with the positions.
        twice: Ask instead whether the last point is the first one again.
    """
    if name not in ds.variables or ds.variables[name].ndim != 1 or ds.variables[name].size < 2:
        return False
    attrs, values = ds.variables[name].attrs, ds.variables[name].values
    units = str(attrs.get("units", "")).lower().replace("_", "").replace(" ", "")
    told = attrs.get("standard_name") == "longitude" or bool(words(name) & LONGITUDE)
    if values.dtype.kind not in "fiu" or not (units in EAST or (told and units.startswith("deg"))):
        return False
    step = abs(float(values[-1]) - float(values[0])) / (values.size - 1)
    around = step * (values.size - 1 if twice else values.size)
    return is_even(values) and bool(np.isclose(around, 360, rtol=1e-3 / values.size))


def round_axes(ds: xr.Dataset) -> xr.Dataset:
    """A dataset in the schema whose longitudes around the globe are periodic, if not stated."""
    found = [a for a in space_axes(ds) if "boundary" not in ds[a].attrs and goes_round(ds, a)]
    guess = {"boundary": "periodic", "boundary_guess": "its even steps go once around 360 degrees"}
    coords = {a: xr.Variable((a,), ds[a].values, {**ds[a].attrs, **guess}) for a in found}
    return ds.assign_coords(coords)


def time_dim(ds: xr.Dataset) -> str | None:
    """The dim that counts the frames, or a number that stands alone in a file of one frame."""
    for dim in map(str, ds.dims):
        coordinate = coordinate_of(ds, dim)
        plain = coordinate is not None and looks_like_time(ds, coordinate)
        if (plain or looks_like_time(ds, dim)) and not looks_like_sample(ds, dim):
            return dim
    return single_time(ds)
