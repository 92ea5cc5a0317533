"""A suite: every system of a purpose in every split, of which only what is missing is made."""

from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import netCDF4
import yaml

from mpp.data.generate import borrow, check_numbers, default_workers, file_of, generate, settings
from mpp.data.system import SEEDS, Split, System, load_system, require_solver
from mpp.errors import InputError
from mpp.safe_yaml import read_yaml

Purpose = Literal["pretrain", "transfer"]
Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows progress: takes a task and its total, gives a function that takes how much is done."""
TEST_TRAJECTORIES = 8
"""Runs of each system in the splits ``test`` and ``beyond`` unless told otherwise."""


@dataclass(frozen=True)
class Job:
    """One file of a suite.

    Args:
        folder: The system's folder.
        system: What its specification says, in one split.
        out: Folder of the suite.
        trajectories: Number of runs.
        resolution: Points along each axis.
        frames: Frames a run.
        seed: What all draws derive from.
    """

    folder: Path
    system: System
    out: Path
    trajectories: int
    resolution: int
    frames: int
    seed: int

    @property
    def path(self) -> Path:
        """Where the file belongs."""
        return file_of(self.out, self.system.name, self.system.split)

    def differences(self) -> list[str]:
        """How the file that is there differs from what the job asks for, in words."""
        try:
            with netCDF4.Dataset(self.path) as file:
                found = {name: file.getncattr(name) for name in file.ncattrs()}
                found["trajectories"] = len(file.dimensions["sample"])
        except (OSError, KeyError):
            return ["not a file of mpp generate"]
        split = self.system.split
        wanted = settings(self.folder, split, self.seed, self.resolution, self.frames)
        asked = wanted | {"trajectories": self.trajectories}
        asked["specification"] = _what_counts(str(asked["specification"]), split)
        found["specification"] = _what_counts(str(found.get("specification", "")), split)
        return [
            f"another {name}"
            if name == "specification"
            else f"{name} {found.get(name)}, not {value}"
            for name, value in asked.items()
            if found.get(name) != value
        ]


def plan_suite(
    datasets: Path | str,
    purpose: Purpose,
    out: Path | str,
    *,
    splits: Sequence[Split] = tuple(SEEDS),
    trajectories: int | None = None,
    test_trajectories: int = TEST_TRAJECTORIES,
    resolution: int | None = None,
    frames: int | None = None,
    seed: int = 0,
) -> list[Job]:
    """The files of a suite, system by system.

    Args:
        datasets: Folder of the systems' folders.
        purpose: Which of the systems.
        out: Folder of the suite: ``NAME.nc``, ``test/NAME.nc`` and ``beyond/NAME.nc``.
        splits: Which runs.
        trajectories: Runs of each system to train on; its specification's number if left out.
        test_trajectories: Runs of each system in each other split.
        resolution: Points along each axis, more for a system that fewer would not resolve; its
            specification's number if left out.
        frames: Frames a run; its specification's number if left out.
        seed: What all draws derive from.

    Raises:
        InputError: There are no such systems, or one cannot be generated with these numbers.
    """
    jobs = []
    for spec in sorted(Path(datasets).glob("*/spec.yaml")):
        system = load_system(spec.parent)
        if system.purpose != purpose:
            continue
        size = system.resolution if resolution is None else resolution
        for split in splits:
            train = system.trajectories if trajectories is None else trajectories
            job = Job(
                folder=spec.parent,
                system=replace(system, split=split),
                out=Path(out),
                trajectories=train if split == "train" else test_trajectories,
                resolution=max(size, system.least_resolution),
                frames=system.frames if frames is None else frames,
                seed=seed,
            )
            check_numbers(system, job.trajectories, job.resolution, job.frames, seed, 1)
            jobs.append(job)
    if not jobs:
        raise InputError(
            f"{datasets}: no system to {purpose} there; expected the repository's folder of "
            "systems, such as datasets, with burgers/spec.yaml in it"
        )
    return jobs


def missing(jobs: Sequence[Job], overwrite: bool = False) -> list[Job]:
    """The jobs whose file is not there yet, or is to be replaced; what fits is never replaced.

    Raises:
        InputError: A file that is there was made otherwise, and is not to be replaced.
    """
    different = {job: job.differences() for job in jobs if job.path.exists()}
    wrong = {job: found for job, found in different.items() if found}
    if wrong and not overwrite:
        job, found = next(iter(wrong.items()))
        more = f" (and {len(wrong) - 1} files more)" if len(wrong) > 1 else ""
        raise InputError(
            f"{job.path} was made with other settings: {', '.join(found)}{more}; ask for what is "
            "there, choose another --out, or replace what differs with --overwrite"
        )
    return [job for job in jobs if job not in different or job in wrong]


def make(
    jobs: Sequence[Job], bar: Bar, *, workers: int | None = None, pool: Executor | None = None
) -> dict[str, str]:
    """Generate files one after the other, the trajectories of each spread over the same processes.

    Args:
        jobs: What to make, from `missing`; a file that is there is replaced.
        bar: Shows the progress of each system.
        workers: Number of processes; all cores if left out. Ignored if a pool is given.
        pool: Processes to use, or the workers of a cluster.

    Returns:
        Why a system could not be made, by its name; the others are made nevertheless.

    Raises:
        InputError: The processes died.
    """
    failed: dict[str, str] = {}
    with borrow(pool, default_workers() if workers is None else workers) as processes:
        for name, group in groupby(jobs, lambda job: job.system.name):
            try:
                _make_system(name, list(group), bar, processes)
            except InputError as error:
                if isinstance(error.__cause__, BrokenExecutor):
                    raise
                failed[name] = str(error).removeprefix(f"{name}: ")
    return failed


def _make_system(name: str, jobs: list[Job], bar: Bar, pool: Executor) -> None:
    require_solver(jobs[0].system)
    with bar(name, sum(job.trajectories for job in jobs)) as advance:
        done = 0
        for job in jobs:
            generate(
                job.folder,
                job.out,
                trajectories=job.trajectories,
                resolution=job.resolution,
                frames=job.frames,
                seed=job.seed,
                split=job.system.split,
                overwrite=True,
                pool=pool,
                on_trajectory=lambda index, before=done: advance(before + index + 1),
            )
            done += job.trajectories


def _what_counts(specification: str, split: Split) -> Any:
    """What it says without comments and, for the other splits, without what lies beyond."""
    try:
        spec = read_yaml(specification)
    except yaml.YAMLError:  # of a file that was not generated
        return specification
    if split != "beyond" and isinstance(spec, dict):
        for span in spec.get("parameters", {}).values():
            span.pop("beyond", None)
    return spec
