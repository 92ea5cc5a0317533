"""The runs of the comparison: files that are there, or new ones; test runs are a split."""

import sys
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import xarray as xr
from rich.console import Console
from rich.progress import Progress

from mpp.cli.demo import DATASETS
from mpp.data.generate import file_of, generate, solver_pool
from mpp.data.system import Split
from mpp.errors import InputError


@dataclass(frozen=True)
class Sizes:
    """How much is generated of each system.

    Args:
        runs: To train on and to choose by.
        test_runs: To score.
        resolution: Points along each axis.
        frames: Frames of a run; those of the system where left out.
    """

    runs: int = 64
    test_runs: int = 8
    resolution: int = 64
    frames: int | None = None


def files(
    systems: Sequence[str], out: Path, sizes: Sizes, workers: int, data: Path | None,
    test: Path | None,
) -> tuple[dict[str, Path], dict[str, Path]]:  # fmt: skip
    """Files of training and of test runs by system; those that are not there are generated.

    Args:
        systems: Names of folders in ``datasets/``, or of files in ``data``.
        out: Folder for what is generated.
        sizes: How much of it.
        workers: Processes that simulate.
        data: Folder of training runs made before.
        test: Folder of test runs made before.

    Raises:
        InputError: A file that is not there, or test runs that are training runs.
    """
    asked: tuple[tuple[Path | None, Split, int], ...] = (
        (data, "train", sizes.runs),
        (test, "test", sizes.test_runs),
    )
    found = []
    with ExitStack() as pools:
        pool = None
        for folder, split, runs in asked:
            if folder is not None:
                found.append({system: _there(folder / f"{system}.nc") for system in systems})
                continue
            paths = {system: file_of(out / "data", system, split) for system in systems}
            for system, path in paths.items():
                if not path.is_file():
                    pool = pool or pools.enter_context(solver_pool(workers))
                    _simulate(system, out / "data", runs, sizes, split, pool)
            found.append(paths)
    for system in systems:
        _require_apart(*(paths[system] for paths in found))
    return found[0], found[1]


def _there(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path}: expected the runs of a system; generate them, or leave it out")
    return path


def _require_apart(training: Path, test: Path) -> None:
    """Runs depend on seed, split and number: those with the same seed and split are the same."""
    starts = []
    for path in (training, test):
        with xr.open_dataset(path, decode_times=False, engine="h5netcdf") as ds:
            starts.append((ds.attrs.get("seed"), ds.attrs.get("split", "train")))
    if training.samefile(test) or (starts[0][0] is not None and starts[0] == starts[1]):
        raise InputError(
            f"{test}: expected runs that nobody trains on, got the seed and split of {training} "
            f"({starts[0][0]}); generate them with --split test"
        )


def _simulate(
    system: str, out: Path, runs: int, sizes: Sizes, split: Split, pool: Executor
) -> None:
    if not (DATASETS / system).is_dir():
        known = sorted(path.parent.name for path in DATASETS.glob("*/spec.yaml"))
        raise InputError(f"expected one of the systems {', '.join(known)}, got {system}")
    with Progress(console=Console(file=sys.stderr)) as bar:
        shown = bar.add_task(f"simulate {system}", total=runs)
        generate(
            DATASETS / system, out, trajectories=runs, resolution=sizes.resolution,
            frames=sizes.frames, split=split, pool=pool,
            on_trajectory=lambda _: bar.advance(shown),
        )  # fmt: skip
