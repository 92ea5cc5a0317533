"""Run a solver many times, spread over processes, into one canonical NetCDF file."""

import os
import signal
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from threading import Lock

import netCDF4
import numpy as np
import xarray as xr

from mpp import __version__
from mpp.data.system import (
    SEED_LIMIT,
    Simulate,
    Split,
    System,
    load_simulate,
    load_system,
    require_solver,
)
from mpp.errors import InputError
from mpp.files import make_folder, written_beside
from mpp.schema import names, require_valid

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
SOLVING = Lock()
"""Solvers keep state in their process (clawpack in Fortran's common blocks): one runs at a time."""


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
    split: Split = "train",
    workers: int | None = None,
    overwrite: bool = False,
    pool: Executor | None = None,
    on_trajectory: Callable[[int], None] = lambda index: None,
) -> Path:
    """Generate trajectories of one system and write them to ``out/NAME.nc``.

    Trajectory ``i`` depends on the seed, the split, the system, the resolution and ``i`` alone, so
    a larger file starts with the trajectories of a smaller one, and longer runs with the frames of
    shorter ones.

    Args:
        folder: Folder with ``spec.yaml`` and ``generate.py``; its name is the system's.
        out: Folder that receives the file, in a folder of its own unless the split is ``train``:
            ``out/test/NAME.nc``. Made if missing.
        trajectories: Number of trajectories; the specification's default if left out.
        resolution: Points along each axis; the specification's default if left out.
        frames: Frames a trajectory; the specification's default if left out.
        seed: Number that all random draws derive from, from 0 to below a million.
        split: ``train``; ``test``, drawn in the same way from seeds that no training run is drawn
            from; or ``beyond``, with every parameter outside its range that has a ``beyond``.
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
    folder = Path(folder)
    system = replace(load_system(folder), split=split)
    require_solver(system)
    count = system.trajectories if trajectories is None else trajectories
    size = system.resolution if resolution is None else resolution
    length = system.frames if frames is None else frames
    workers = default_workers() if workers is None else workers
    check_numbers(system, count, size, length, seed, workers)
    path = _prepare(file_of(out, system.name, split), overwrite)
    attrs = system.provenance() | {"generator": f"mpp {__version__}, mpp generate"}
    attrs |= settings(folder, split, seed, size, length)
    with borrow(pool, min(workers, count)) as processes:
        where = str(folder.resolve()), _stamp(folder)
        task = partial(_trajectory, *where, split, seed, size, length)
        try:
            samples = processes.map(task, range(count))
            _write(samples, count, path, attrs, on_trajectory)
        except BrokenProcessPool as error:
            raise InputError(
                f"{system.name}: a solver process died, perhaps for lack of memory; try fewer "
                "workers (in a script, call this under if __name__ == '__main__')"
            ) from error
    return path


def file_of(out: Path | str, name: str, split: Split) -> Path:
    """Where runs belong: ``out/NAME.nc`` to train on, ``out/SPLIT/NAME.nc`` otherwise."""
    return Path(out, *([] if split == "train" else [split]), f"{name}.nc")


def settings(folder: Path, split: Split, seed: int, size: int, length: int) -> dict[str, str | int]:
    """What the trajectories of a file depend on, as its attributes say it."""
    return {
        "split": split,
        "seed": seed,
        "resolution": size,
        "frames": length,
        "specification": (folder / "spec.yaml").read_text(encoding="utf-8"),
    }


def _prepare_worker() -> None:
    """An end without a traceback when the user interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _one_thread() -> None:
    """One thread for each solver, said before JAX is imported."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    given = os.environ.get("XLA_FLAGS", "")
    if ONE_THREAD not in given:
        os.environ["XLA_FLAGS"] = f"{given} {ONE_THREAD}".strip()


def check_numbers(
    system: System, count: int, size: int, length: int, seed: int, workers: int
) -> None:
    """Refuse numbers that a system cannot be generated with.

    Raises:
        InputError: With the first of them.
    """
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
    if seed >= SEED_LIMIT:
        raise InputError(
            f"{system.name}: seed must be below {SEED_LIMIT}, got {seed}; what is drawn from there "
            "on belongs to other splits, as with --split test"
        )


def _prepare(path: Path, overwrite: bool) -> Path:
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; choose another --out or pass --overwrite")
    make_folder(path.parent)
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path.parent}: no permission to write there; choose another --out")
    return path


@contextmanager
def borrow(pool: Executor | None, workers: int) -> Iterator[Executor]:
    """The pool that is given, or one of our own that ends here."""
    if pool is not None:
        yield pool
        return
    own = solver_pool(workers)
    try:
        yield own
    finally:
        own.shutdown(cancel_futures=True)


def _stamp(folder: Path) -> int:
    """A number that changes with what is in the folder."""
    files = (folder / name for name in ("spec.yaml", "generate.py"))
    return zlib.crc32(b"".join(file.read_bytes() for file in files if file.is_file()))


@cache
def _load(folder: str, stamp: int, split: Split, length: int) -> tuple[System, Simulate]:
    """The same system for all trajectories of a file, so that its solver is compiled once.

    Raises:
        InputError: The folder holds something else here than where the task comes from.
    """
    _one_thread()
    system = replace(load_system(Path(folder)), split=split, frames=length)
    if _stamp(Path(folder)) != stamp:
        raise InputError(
            f"{system.name}: a worker sees another spec.yaml or generate.py in {folder}; leave "
            "them as they are while they run, and let all machines see the same folder"
        )
    return system, load_simulate(Path(folder), system)


def _trajectory(
    folder: str, stamp: int, split: Split, seed: int, size: int, length: int, index: int
) -> xr.Dataset:
    with SOLVING:
        system, simulate = _load(folder, stamp, split, length)
        ds = simulate(system, size * system.refinement, system.rng(seed, index))
    require_valid(ds, system.name)
    for name in (*names(ds), *names(ds, "static")):
        if not np.isfinite(ds[name].values).all():
            drawn = ", ".join(f"{key}={ds[key].item():.4g}" for key in names(ds, "parameter"))
            raise InputError(
                f"{system.name}: {name} of trajectory {index} ({split}, seed {seed}, resolution "
                f"{size}) is not finite with {drawn}; narrow the parameters or shorten the step in "
                "spec.yaml"
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
