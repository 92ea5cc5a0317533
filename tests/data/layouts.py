"""Files in exactly the layouts that are published, with fields from real solvers in them."""

import h5py
import numpy as np

CONFIG = """sim:
  Du: 1E-3
  Dv: 5E-3
  k: 5E-3
  t: 5
  xdim: {points}
  seed: {seed}
name: 2d_diff-react
"""
DAM = "sim:\n  T_end: 1.0\n  gravity: 1.0\n  dam_radius: {radius}\n  seed: {seed}\nname: 2d_rdb\n"
SORPTION = "sim:\n  D: 5E-4\n  por: 0.29\n  rho_s: 2880\n  seed: {seed}\nname: 1d_diff-sorp\n"
VORTEX = "NU: 0.01\ndomain_size:\n- 1\n- 1\nvelocity_extrapolation: ZERO\nseed: 1\n"


def write_trajectories(path, runs, grid, configs=None, start=0, step=1):
    """``0000/data [t, x, y, c]`` with ``grid/*``, compressed as published."""
    with h5py.File(path, "w") as file:
        for place, values in enumerate(runs):
            name = f"{start + step * place:04d}"
            file.create_dataset(f"{name}/data", data=values, dtype="f4", compression="lzf")
            for axis, points in grid.items():
                file.create_dataset(f"{name}/grid/{axis}", data=points, dtype="f4")
            if configs:
                file[name].attrs["config"] = configs[place]
    return path


def write_arrays(path, arrays, coordinates, attrs):
    """Arrays over [n, t, *space] with ``x-coordinate`` and so on, parameters in attributes."""
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, dtype="f4")
        for axis, points in coordinates.items():
            file.create_dataset(f"{axis}-coordinate", data=points, dtype="f4")
        file.attrs.update(attrs)
    return path


def write_incompressible(path, velocity, particles, force, t, config=VORTEX):
    """``velocity, particles, force, t``, one frame a chunk, as published."""
    with h5py.File(path, "w") as file:
        file.attrs["config"] = config
        for name, values in {"velocity": velocity, "particles": particles}.items():
            chunks = (1, 1, *values.shape[2:])
            file.create_dataset(name, data=values, dtype="f4", chunks=chunks, compression="lzf")
        file.create_dataset("force", data=force, dtype="f4")
        file.create_dataset("t", data=np.broadcast_to(t, (len(velocity), len(t))), dtype="f4")
    return path


class Pdebench:
    """Writes each published layout; keeps what it wrote in ``truth`` by name in the schema."""

    def __init__(self, folder, solvers):
        self.folder, self.solvers, self.truth = folder, solvers, {}

    def __call__(self, layout, file_name=None, **changes):
        """Write the layout of that name and return the path."""
        return getattr(self, layout)(file_name, **changes)

    def shallow_water(self, name=None, **changes):
        radii = [0.5, 1.0]
        runs = [self.solvers.dam_break(radius)[0] for radius in radii]
        x = self.solvers.dam_break(1.0)[1]
        self.truth = {"height": np.stack(runs)[..., 0], "dam_radius": np.array(radii)}
        configs = [DAM.format(radius=r, seed=i) for i, r in enumerate(radii)]
        grid = {"x": x, "y": x, "t": 0.08 * np.arange(5)}
        return write_trajectories(
            self.folder / (name or "2D_rdb_NA_NA.h5"), runs, grid, configs, **changes
        )

    def diffusion_reaction(self, name=None, shape=(16, 12), **changes):
        runs = [self.solvers.fitzhugh_nagumo(seed, shape) for seed in range(3)]
        self.truth = {"activator": np.stack(runs)[..., 0], "inhibitor": np.stack(runs)[..., 1]}
        configs = [CONFIG.format(points=shape[0], seed=seed) for seed in range(3)]
        grid = {
            axis: (np.arange(n) + 0.5) * 2 / 16 - 1 for axis, n in zip("xy", shape, strict=True)
        }
        grid["t"] = 0.1 * np.arange(5)
        return write_trajectories(
            self.folder / (name or "2D_diff-react_NA_NA.h5"), runs, grid, configs, **changes
        )

    def diffusion_sorption(self, name=None, **changes):
        runs = [self.solvers.sorption(start) for start in (0.05, 0.15)]
        self.truth = {"concentration": np.stack(runs)[..., 0]}
        configs = [SORPTION.format(seed=seed) for seed in range(2)]
        grid = {"x": (np.arange(16) + 0.5) / 16, "t": 25.0 * np.arange(5)}
        return write_trajectories(
            self.folder / (name or "1D_diff-sorp_NA_NA.h5"), runs, grid, configs, **changes
        )

    def compressible(self, name=None, rank=2, attrs=None, extra_time=1):
        runs = [self.solvers.euler(seed, rank) for seed in range(2)]
        arrays = {key: np.stack([run[key] for run in runs]) for key in runs[0]}
        words = {"Vx": "velocity_x", "Vy": "velocity_y", "Vz": "velocity_z"}
        self.truth = {words.get(key, key): values for key, values in arrays.items()}
        coordinates = {axis: (np.arange(8) + 0.5) / 8 for axis in "xyz"[:rank]}
        coordinates["t"] = 0.03 * np.arange(4 + extra_time)
        attrs = {"eta": 0.01, "zeta": 0.02, "M": 0.1} if attrs is None else attrs
        name = name or f"{rank}D_CFD_Rand_M0.1_Eta0.01_Zeta0.02_periodic_128_Train.hdf5"
        return write_arrays(self.folder / name, arrays, coordinates, attrs)

    def compressible_1d(self, name=None, **changes):
        return self.compressible(name, rank=1, **changes)

    def compressible_2d(self, name=None, **changes):
        return self.compressible(name, rank=2, **changes)

    def compressible_3d(self, name=None, **changes):
        return self.compressible(name, rank=3, **changes)

    def incompressible(self, name=None, **changes):
        velocity, tracer, force, t = self.solvers.taylor_green()
        self.truth = {"velocity_x": velocity[..., 0], "velocity_y": velocity[..., 1]}
        self.truth |= {"tracer": tracer[..., 0], "force_x": force[..., 0], "force_y": force[..., 1]}
        path = self.folder / (name or "ns_incom_inhom_2d_512-0.h5")
        return write_incompressible(path, velocity, tracer, force, t, **changes)

    def advection(self, name=None, attrs=None):
        values, x, t = self.solvers.advection()
        self.truth = {"tracer": values}
        times = np.append(t, t[-1] + 0.05)
        attrs = {"beta": 0.4} if attrs is None else attrs
        path = self.folder / (name or "1D_Advection_Sols_beta0.4.hdf5")
        return write_arrays(path, {"tensor": values}, {"x": x, "t": times}, attrs)

    def burgers(self, name=None, attrs=None):
        values, x, t = self.solvers.burgers()
        self.truth = {"velocity_x": values}
        attrs = {"Nu": 0.01} if attrs is None else attrs
        path = self.folder / (name or "1D_Burgers_Sols_Nu0.01.hdf5")
        return write_arrays(path, {"tensor": values}, {"x": x, "t": t}, attrs)

    def darcy(self, name=None):
        """Steady flow through a porous square, here one step of diffusion: no time axis."""
        nu = np.where(self.solvers.fitzhugh_nagumo(0)[-1, ..., 0] > 0, 1.0, 0.1)
        values = self.solvers.laplacian(nu[None, None], "edge")
        x = (np.arange(16) + 0.5) / 16
        path = self.folder / (name or "2D_DarcyFlow_beta1.0_Train.hdf5")
        arrays = {"tensor": values, "nu": nu[None]}
        return write_arrays(path, arrays, {"x": x, "y": x}, {"beta": 1.0})


LAYOUTS = (
    "shallow_water",
    "diffusion_reaction",
    "diffusion_sorption",
    "compressible_1d",
    "compressible_2d",
    "compressible_3d",
    "incompressible",
    "advection",
    "burgers",
)


def well_arrays(solvers, samples=2, frames=4, points=8):
    """Fields of compressible flow in two dimensions as The Well groups them."""
    runs = [solvers.euler(seed, 2, points, frames) for seed in range(samples)]
    both = {key: np.stack([run[key] for run in runs]).astype("f4") for key in runs[0]}
    velocity = np.stack([both["Vx"], both["Vy"]], -1)
    gradient = np.stack(np.gradient(velocity, 1 / points, axis=(2, 3)), -2)
    strain = (gradient + np.swapaxes(gradient, -1, -2)) / 2
    return both["density"], both["pressure"], velocity, strain


def write_well(path, solvers, axes=("x", "y"), samples=2, frames=4, points=8):
    """A file with a part of every kind that the format has; tests change it with h5py."""
    density, pressure, velocity, strain = well_arrays(solvers, samples, frames, points)
    with h5py.File(path, "w") as file:
        file.attrs.update({"dataset_name": "euler_toy", "grid_type": "cartesian"})
        file.attrs.update({"n_spatial_dims": 2, "n_trajectories": samples, "gamma": 5 / 3})
        file.attrs["simulation_parameters"] = ["gamma"]
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = list(axes)
        grid = {
            "time": 0.03 * np.arange(frames),
            **{a: (np.arange(points) + 0.5) / points for a in axes},
        }
        for name, values in grid.items():
            item = dimensions.create_dataset(name, data=values, dtype="f4")
            item.attrs.update({"sample_varying": False, "time_varying": False})
        fields = {"t0_fields": {}, "t1_fields": {}, "t2_fields": {}}
        fields["t0_fields"]["Density"] = (density, True, True, [True, True])
        fields["t0_fields"]["pressure"] = (pressure, True, True, [True, True])
        fields["t0_fields"]["sound speed"] = (
            np.sqrt(pressure / density)[:, 0],
            True,
            False,
            [True, True],
        )
        fields["t0_fields"]["gravity"] = (grid["y"].astype("f4"), False, False, [False, True])
        fields["t1_fields"]["velocity"] = (velocity, True, True, [True, True])
        fields["t2_fields"]["strain"] = (strain, True, True, [True, True])
        for name, members in fields.items():
            group = file.create_group(name)
            group.attrs["field_names"] = list(members)
            for key, (values, by_sample, by_time, varying) in members.items():
                item = group.create_dataset(key, data=values)
                item.attrs.update({"sample_varying": by_sample, "time_varying": by_time})
                item.attrs["dim_varying"] = varying
        file["t2_fields/strain"].attrs.update({"symmetric": True, "antisymmetric": False})
        write_well_scalars(file, density)
        file.create_group("boundary_conditions")
        write_condition(file, "x_periodic", "PERIODIC", axes[:1], [0, -1])
        write_condition(file, "y_wall", "WALL", axes[1:], [0])
        write_condition(file, "y_open", "OPEN", axes[1:], [-1])
    return path


def write_well_scalars(file, density):
    """One scalar of each kind: constant, by sample, by time, and by both."""
    samples, frames = density.shape[:2]
    mean = density.mean((2, 3))
    scalars = {
        "gamma": (np.array(5 / 3, "f4"), False, False),
        "seed": (np.arange(samples, dtype="i4"), True, False),
        "heating": (np.linspace(0, 1, frames, dtype="f4"), False, True),
        "mass": (mean, True, True),
    }
    group = file.create_group("scalars")
    group.attrs["field_names"] = list(scalars)
    for key, (values, by_sample, by_time) in scalars.items():
        item = group.create_dataset(key, data=values)
        item.attrs.update({"sample_varying": by_sample, "time_varying": by_time})


def write_condition(file, name, kind, axes, where, shape=None):
    """A boundary condition, its mask true at ``where``; over several axes give the shape."""
    group = file["boundary_conditions"].create_group(name)
    group.attrs.update({"associated_dims": list(axes), "associated_fields": [], "bc_type": kind})
    group.attrs.update({"sample_varying": False, "time_varying": False})
    shape = shape or (file["dimensions"][axes[0]].shape[-1],)
    mask = np.zeros(shape, bool)
    mask[where] = True
    group.create_dataset("mask", data=mask)
    group.create_dataset("values", data=np.zeros(int(mask.sum()), "f4"))
