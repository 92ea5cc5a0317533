"""One small set of runs, written as a file of any format, and what to do to it."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

PERIODIC = {"x": "periodic", "y": "periodic"}
CONFIG = "sim:\n  T_end: 1.0\n  dam_radius: 0.5\n  seed: 0\nname: 2d_rdb\n"
"""What PDEBench's shallow water says of itself."""


@dataclass(frozen=True)
class Runs:
    """What a file holds: a field over [run, time, x, y], and where its points are."""

    values: np.ndarray
    time: np.ndarray
    x: np.ndarray
    y: np.ndarray
    name: str = "runs"

    def but(self, **changes: Any) -> "Runs":
        return replace(self, **changes)


def runs(count: int = 2, frames: int = 6, points: tuple[int, int] = (8, 6)) -> Runs:
    """A wave that goes round in a periodic square, another phase in each run."""
    time = 0.1 * np.arange(frames)
    x, y = ((np.arange(n) + 0.5) / n for n in points)
    n, t, u, v = np.meshgrid(np.arange(count), time, x, y, indexing="ij")
    values = 2 + np.sin(2 * np.pi * (u + v - t) + n)
    return Runs(values.astype("f4"), time, x, y)


def netcdf(path: Path, held: Runs, form: str = "NETCDF4") -> Path:
    """Variables with dims; a complex field, which NetCDF has not, as netCDF4 stores one."""
    field = (("sample", "time", "x", "y"), held.values)
    coords = {"time": held.time, "x": held.x, "y": held.y}
    with warned():
        if np.iscomplexobj(held.values):
            made = xr.Dataset({"u": field}, coords)
            made.to_netcdf(path, engine="h5netcdf", invalid_netcdf=True)
        else:
            xr.Dataset({"u": field}, coords).to_netcdf(path, format=form, engine="netcdf4")
    return path


def classic(path: Path, held: Runs) -> Path:
    return netcdf(path, held, "NETCDF3_64BIT")


def zarr(path: Path, held: Runs) -> Path:
    """One chunk a run and frame."""
    field = (("sample", "time", "x", "y"), held.values)
    coords = {"time": held.time, "x": held.x, "y": held.y}
    chunks = tuple(max(1, n) for n in (1, 1, *held.values.shape[2:]))
    with warned():
        xr.Dataset({"u": field}, coords).to_zarr(
            path, encoding={"u": {"chunks": chunks}}, consolidated=False
        )
    return path


def pdebench(path: Path, held: Runs) -> Path:
    """Shallow water: ``0000/data [t, x, y, c]``."""
    with h5py.File(path, "w") as file:
        for number, run in enumerate(held.values):
            group = file.create_group(f"{number:04d}")
            group["data"] = run[..., None]
            group.attrs["config"] = CONFIG
            for axis, points in (("t", held.time), ("x", held.x), ("y", held.y)):
                group[f"grid/{axis}"] = points
    return path


def thewell(path: Path, held: Runs) -> Path:
    """A scalar that varies with everything, no boundary conditions: open."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"dataset_name": "toy", "n_trajectories": len(held.values)})
        file.create_group("dimensions").attrs["spatial_dims"] = ["x", "y"]
        for name, points in (("time", held.time), ("x", held.x), ("y", held.y)):
            file[f"dimensions/{name}"] = points
        file.create_group("t0_fields").attrs["field_names"] = ["u"]
        file["t0_fields/u"] = held.values
        flags = {"sample_varying": True, "time_varying": True, "dim_varying": [True, True]}
        file["t0_fields/u"].attrs.update(flags)
    return path


def bare(path: Path, held: Runs) -> Path:
    """HDF5 arrays and nothing else."""
    with h5py.File(path, "w") as file:
        file["u"] = held.values
        for name, points in (("t", held.time), ("x", held.x), ("y", held.y)):
            file[name] = points
    return path


@dataclass(frozen=True)
class Format:
    """How a format is written, and what has to be said to read it."""

    write: Callable[[Path, Runs], Path]
    ending: str
    stated: dict[str, Any]
    field: str = "u"

    def __call__(self, folder: Path, held: Runs, name: str | None = None) -> Path:
        return self.write(folder / f"{name or held.name}{self.ending}", held)

    def words(self) -> list[str]:
        """What has to be said to a command."""
        said = [f"--boundary={axis}={kind}" for axis, kind in self.stated["boundary"].items()]
        if "dims" in self.stated:
            said.append(f"--set=dims: [{', '.join(self.stated['dims'])}]")
        return said


FORMATS = {
    "netcdf": Format(netcdf, ".nc", {"boundary": PERIODIC}),
    "classic": Format(classic, ".nc", {"boundary": PERIODIC}),
    "zarr": Format(zarr, ".zarr", {"boundary": PERIODIC}),
    "pdebench": Format(pdebench, ".h5", {"boundary": PERIODIC}, "height"),
    "thewell": Format(thewell, ".hdf5", {"boundary": PERIODIC}),
    "hdf5": Format(bare, ".h5", {"boundary": PERIODIC, "dims": ("sample", "t", "x", "y")}),
}


@contextlib.contextmanager
def warned() -> Iterator[None]:
    """What writers of odd files warn of is no concern of ours."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def nobody() -> Iterator[Path]:
    """A folder that everybody may enter, and a process without the rights of root inside."""
    folder = Path(tempfile.mkdtemp(prefix="mpp-faults-"))
    folder.chmod(0o755)
    root = os.geteuid() == 0
    try:
        if root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        yield folder
    finally:
        if root:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(folder)


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path | None]:
    """A disk of that size; ``None`` where nothing may be mounted."""
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(options, capture_output=True).returncode == 0
    except FileNotFoundError:
        done = False
    try:
        yield folder if done else None
    finally:
        if done:
            subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)
