"""Files as solvers write them: made with netCDF4, h5py, zarr or xarray, never with this package."""

import h5py
import netCDF4
import numpy as np
import xarray as xr
import zarr


def linear(t, x, y):
    """Exact under linear interpolation: 1 + 2t + 3x - 4y over [t, x, y]."""
    t, x, y = np.meshgrid(t, x, y, indexing="ij")
    return 1 + 2 * t + 3 * x - 4 * y


def wave(t, x, y):
    """Periodic in the unit square, second derivatives up to (2 pi)^2."""
    t, x, y = np.meshgrid(t, x, y, indexing="ij")
    return np.exp(-t) * np.sin(2 * np.pi * (x - t)) * np.cos(2 * np.pi * y)


def centres(n):
    return (np.arange(n) + 0.5) / n


def faces(n, sides):
    """Faces of n cells of [0, 1]: both sides, the low ones alone, or those between cells."""
    edges = np.arange(n + 1) / n
    return {"both": edges, "low": edges[:-1], "inner": edges[1:-1]}[sides]


def staggered(path, field=linear, sides="both", n=16, m=12, frames=4, positions=True, dims=None):
    """u on faces in x, v on faces in y, T in the centres."""
    xc, xf, yc, yf = dims or ("xc", "xf", "yc", "yf")
    axes = {xc: centres(n), xf: faces(n, sides), yc: centres(m), yf: faces(m, sides)}
    t = 0.1 * np.arange(frames)
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("time", None)
        file.createVariable("time", "f8", ("time",))[:] = t
        for name, values in axes.items():
            file.createDimension(name, values.size)
            if positions:
                file.createVariable(name, "f8", (name,))[:] = values
        for name, x, y in (("u", xf, yc), ("v", xc, yf), ("T", xc, yc)):
            made = file.createVariable(name, "f4", ("time", x, y))
            made[:] = field(t, axes[x], axes[y])
    return path


def stretched(path, field=linear, n=16, m=24):
    """A channel whose points are dense at its walls, as Chebyshev has them."""
    x, y = centres(n), (1 - np.cos(np.pi * np.arange(m) / (m - 1))) / 2
    t = 0.1 * np.arange(4)
    xr.Dataset({"c": (("t", "x", "y"), field(t, x, y))}, {"t": t, "x": x, "y": y}).to_netcdf(
        path, engine="netcdf4"
    )
    return path


def ocean(path, frames=4, depth=None, lon=None):
    """Potential temperature on the globe, land by a fill value, latitude from north to south."""
    lon = np.arange(0, 360, 15.0) if lon is None else lon
    lat = np.linspace(80, -80, 9)
    land = (lon[None, :] > 40) & (lon[None, :] < 100) & (lat[:, None] > 0)
    with netCDF4.Dataset(path, "w") as file:
        for name, values, units in (
            ("lat", lat, "degrees_north"),
            ("lon", lon, "degrees_east"),
            ("depth", depth, "m"),
        ):
            if values is not None:
                file.createDimension(name, len(values))
                made = file.createVariable(name, "f8", (name,))
                made[:], made.units = values, units
        file.createDimension("time_counter", None)
        time = file.createVariable("time_counter", "f8", ("time_counter",))
        time[:], time.units = np.arange(frames), "days since 1900-01-01"
        dims = ("time_counter", *(("depth",) if depth is not None else ()), "lat", "lon")
        theta = file.createVariable("thetao", "f4", dims, fill_value=1e20)
        theta.standard_name = "sea_water_potential_temperature"
        warm = 20 * np.cos(np.deg2rad(lat))[:, None] + np.sin(np.deg2rad(lon))
        for frame in range(frames):
            layer = np.ma.masked_array(warm + 0.1 * frame, land)
            if depth is None:
                theta[frame] = layer
            for level, metres in enumerate(depth if depth is not None else ()):
                theta[frame, level] = layer - metres / 100
        projection = file.createVariable("crs", "i4", ())
        projection.grid_mapping_name = "latitude_longitude"
    return path


def one_file_a_time(folder, times, field=linear, n=16, m=12):
    """Output whenever the solver took a step, one frame a file, the time alone without a dim."""
    for number, t in enumerate(times):
        with netCDF4.Dataset(folder / f"out_{number}.nc", "w") as file:
            file.createDimension("x", n)
            file.createDimension("y", m)
            file.createVariable("time", "f8", ())[...] = t
            file.createVariable("x", "f8", ("x",))[:] = centres(n)
            file.createVariable("y", "f8", ("y",))[:] = centres(m)
            file.createVariable("rho", "f8", ("x", "y"))[:] = field([t], centres(n), centres(m))[0]
    return folder


def grouped(path, groups, field=linear, n=16, m=12, frames=4):
    """Axes outside, fields in groups: ``{"gas": {"rho": 1.0}}`` with a factor a field."""
    t = 0.1 * np.arange(frames)
    with netCDF4.Dataset(path, "w") as file:
        for name, values in (("t", t), ("x", centres(n)), ("y", centres(m))):
            file.createDimension(name, len(values))
            file.createVariable(name, "f8", (name,))[:] = values
        file.createVariable("nu", "f8", ())[...] = 0.01
        for group, fields in groups.items():
            made = file.createGroup(group)
            for name, factor in fields.items():
                values = made.createVariable(name, "f8", ("t", "x", "y"))
                values[:] = factor * field(t, centres(n), centres(m))
    return path


def bare(path, field=linear, n=16, m=12, frames=4):
    """Arrays and nothing else, in HDF5 or in Zarr without names of dims."""
    t = 0.1 * np.arange(frames)
    arrays = {"u": field(t, centres(n), centres(m)), "x": centres(n), "y": centres(m), "t": t}
    if path.suffix == ".zarr":
        group = zarr.create_group(path)
        for name, values in arrays.items():
            group.create_array(name, data=values)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
    return path


def dedalus(path, field=linear, n=16, m=12):
    """Tasks in one group, labelled, with their positions as scales in another, as Dedalus 3."""
    t = 0.1 * np.arange(4)
    with h5py.File(path, "w") as file:
        scales = file.create_group("scales")
        for name, values in (
            ("sim_time", t),
            ("iteration", np.arange(4)),
            ("wall_time", 7 * t),
            ("x_hash_1f", centres(n)),
            ("y_hash_2e", centres(m)),
        ):
            scales[name] = values
            scales[name].make_scale(name)
        task = file.create_group("tasks").create_dataset("b", data=field(t, centres(n), centres(m)))
        for place, label in enumerate("txy"):
            task.dims[place].label = label
        for place, names in enumerate((("sim_time", "wall_time", "iteration"), ("x_hash_1f",))):
            for name in names:
                task.dims[place].attach_scale(scales[name])
        task.dims[2].attach_scale(scales["y_hash_2e"])
    return path
