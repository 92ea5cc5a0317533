"""Run a solver many times, spread over processes, into one canonical NetCDF file."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from mpp import __version__
from mpp.data.system import Simulate, System, load_simulate, load_system, require_solver
from mpp.errors import InputError
from mpp.files import written_beside
from mpp.schema import names, require_valid


def solver_pool(workers: int) -> ProcessPoolExecutor:
    """Fresh processes for solvers, one thread each.

    Solvers never run in the calling process: JAX starts threads, after which a process that still
    wants to fork (as data loaders do) is no longer safe. Several calls of `generate` may share a
    pool and so import JAX once.
    """
    return ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_prepare_worker
    )


def default_workers() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def generate(
    folder: Path | str,
    out: Path | str,
    *,
    trajectories: int | None = None,
    resolution: int | None = None,
    frames: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    overwrite: bool = False,
    pool: Executor | None = None,
    on_trajectory: Callable[[int], None] = lambda index: None,
) -> Path:
    """Generate trajectories of one system and write them to ``out/NAME.nc``.

    Trajectory ``i`` depends on the seed, the system, the resolution and ``i`` alone, so a larger
    file starts with the trajectories of a smaller one, and longer runs with the frames of shorter
    ones.

    Args:
        folder: Folder with ``spec.yaml`` and ``generate.py``; its name is the system's.
        out: Folder that receives the file; made if missing.
        trajectories: Number of trajectories; the specification's default if left out.
        resolution: Points along each axis; the specification's default if left out.
        frames: Frames a trajectory; the specification's default if left out.
        seed: Non-negative number that all random draws derive from.
        workers: Number of processes; all cores if left out. Ignored if a pool is given.
        overwrite: Replace a file that is already there.
        pool: Processes to use, from `solver_pool`.
        on_trajectory: Called with the index of each trajectory once it is written.

    Returns:
        The path of the file.

    Raises:
        InputError: The folder, a number or the output path cannot be used, the solver is missing,
            or a trajectory is not finite.
    """
    folder, out = Path(folder), Path(out)
    system = load_system(folder)
    require_solver(system)
    count = system.trajectories if trajectories is None else trajectories
    size = system.resolution if resolution is None else resolution
    length = system.frames if frames is None else frames
    workers = default_workers() if workers is None else workers
    _check_numbers(system, count, size, length, seed, workers)
    path = _prepare(out / f"{system.name}.nc", overwrite)
    attrs = _provenance(system, folder, seed, size, length)
    with _borrow(pool, min(workers, count)) as processes:
        task = partial(_trajectory, str(folder.resolve()), seed, size, length)
        samples = processes.map(task, range(count))
        try:
            _write(samples, count, path, attrs, on_trajectory)
        except BrokenProcessPool as error:
            raise InputError(
                f"{system.name}: a solver process died, perhaps for lack of memory; try fewer "
                "workers (in a script, call this under if __name__ == '__main__')"
            ) from error
    return path


def _prepare_worker() -> None:
    """One thread, and an end without a traceback when the user interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()


def _check_numbers(
    system: System, count: int, size: int, length: int, seed: int, workers: int
) -> None:
    for name, value, least in (
        ("trajectories", count, 1),
        ("resolution", size, system.least_resolution),
        ("frames", length, 2),
        ("seed", seed, 0),
        ("workers", workers, 1),
    ):
        if value < least:
            raise InputError(f"{system.name}: {name} must be at least {least}, got {value}")
    if size % 2:
        raise InputError(f"{system.name}: resolution must be even, got {size}")


def _prepare(path: Path, overwrite: bool) -> Path:
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; choose another --out or pass --overwrite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent}: cannot make this folder ({error.strerror})") from error
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path.parent}: no permission to write there; choose another --out")
    return path


def _provenance(
    system: System, folder: Path, seed: int, size: int, length: int
) -> dict[str, str | int]:
    return {
        **system.provenance(),
        "generator": f"mpp {__version__}, mpp generate",
        "seed": seed,
        "resolution": size,
        "frames": length,
        "specification": (folder / "spec.yaml").read_text(encoding="utf-8"),
    }


@contextmanager
def _borrow(pool: Executor | None, workers: int) -> Iterator[Executor]:
    if pool is not None:
        yield pool
        return
    own = solver_pool(workers)
    try:
        yield own
    finally:
        own.shutdown(cancel_futures=True)


@cache
def _load(folder: str) -> tuple[System, Simulate]:
    system = load_system(Path(folder))
    return system, load_simulate(Path(folder), system)


def _trajectory(folder: str, seed: int, size: int, length: int, index: int) -> xr.Dataset:
    system, simulate = _load(folder)
    system = replace(system, frames=length)
    ds = require_valid(
        simulate(system, size * system.refinement, system.rng(seed, index)), system.name
    )
    for name in (*names(ds), *names(ds, "static")):
        if not np.isfinite(ds[name].values).all():
            drawn = ", ".join(f"{key}={ds[key].item():.4g}" for key in names(ds, "parameter"))
            raise InputError(
                f"{system.name}: {name} of trajectory {index} (seed {seed}, resolution {size}) is "
                f"not finite with {drawn}; narrow the parameters or shorten the step in spec.yaml"
            )
    return ds


def _write(
    samples: Iterator[xr.Dataset],
    count: int,
    path: Path,
    attrs: dict[str, str | int],
    on_trajectory: Callable[[int], None],
) -> None:
    """Write each trajectory as it comes, one chunk a field, beside the path; then rename."""
    with written_beside(path) as unfinished, netCDF4.Dataset(unfinished, "w") as file:
        file.setncatts(attrs)
        for index, sample in enumerate(samples):
            if index == 0:
                _define(file, sample, count)
            for name in sample.data_vars:
                file[str(name)][index] = sample[name].values[0]
            on_trajectory(index)


def _define(file: netCDF4.Dataset, sample: xr.Dataset, count: int) -> None:
    for dim, length in sample.sizes.items():
        file.createDimension(str(dim), count if dim == "sample" else length)
    for name, variable in sample.variables.items():
        made = file.createVariable(
            str(name),
            variable.dtype.str,
            tuple(str(dim) for dim in variable.dims),
            chunksizes=variable.shape,
            fill_value=False,
        )
        made.setncatts({str(key): value for key, value in variable.attrs.items()})
        if name in sample.coords:
            made[:] = variable.values
