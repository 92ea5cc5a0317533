"""``mpp generate``: run solvers, of one system or of a whole suite, into canonical files."""

import argparse
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from mpp.cli.demo import DATASETS
from mpp.cli.parsing import CommandParser
from mpp.cli.workers import add_workers, cluster
from mpp.errors import InputError

if TYPE_CHECKING:
    from mpp.data.suite import Job

SPLITS = ("train", "test", "beyond")


def parser() -> CommandParser:
    """The command's options."""
    made = CommandParser(
        "generate",
        "Generate trajectories of a physical system with its solver, as OUT/NAME.nc, or with\n"
        "--suite of all systems for a purpose, with a picture of them, OUT/sheet.png. The same\n"
        "command goes on with a suite that is not complete.\n\n"
        "Runs to test on are OUT/test/NAME.nc, drawn as those to train on, from seeds that these\n"
        "never use, and OUT/beyond/NAME.nc, each parameter outside its range in training where\n"
        "spec.yaml says what lies beyond. A suite has all three unless --split names one.",
        "mpp generate datasets/gray_scott --out data --trajectories 24\n"
        "  mpp generate --suite pretrain --out suite --trajectories 64 --resolution 64",
    )
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", nargs="?", type=Path, help="folder with spec.yaml and generate.py")
    what.add_argument(
        "--suite", choices=("pretrain", "transfer"), help="all systems for this purpose"
    )
    made.add_argument("--out", type=Path, required=True, help="folder for the files")
    made.add_argument("--trajectories", type=int, help="number of runs (default: spec.yaml's)")
    made.add_argument(
        "--test-trajectories",
        type=int,
        metavar="N",
        help="runs of each system to test on, in each split of a suite (default 8)",
    )
    made.add_argument("--resolution", type=int, help="points along an axis (default: spec.yaml's)")
    made.add_argument("--frames", type=int, help="frames a run (default: spec.yaml's)")
    made.add_argument(
        "--seed", type=int, default=0, help="all random draws derive from it, below a million (0)"
    )
    made.add_argument(
        "--split", choices=SPLITS, help="which runs (default: train; with --suite all three)"
    )
    add_workers(made, "all cores", "the systems' folders")
    made.add_argument(
        "--datasets", type=Path, default=DATASETS, help="the folder of systems, for --suite"
    )
    made.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a file already there; of a suite, those made with other settings",
    )
    return made


def run(args: argparse.Namespace) -> None:
    """Generate with progress bars, then say where the files are.

    Raises:
        InputError: As `mpp.data.generate.generate` and `mpp.data.suite` do; for a suite, once all
            else is made, the systems that could not be.
    """
    if args.suite is None and args.test_trajectories is not None:
        raise InputError(
            "--test-trajectories is for --suite; with a folder, give --split test --trajectories N"
        )
    with cluster(args.scheduler) as pool:
        if args.suite is None:
            _one(args, pool)
        else:
            _suite(args, pool)


def _one(args: argparse.Namespace, pool: Executor | None) -> None:
    from mpp.cli.progress import progress
    from mpp.data.generate import generate
    from mpp.data.system import load_system

    total = args.trajectories or load_system(args.folder).trajectories
    with progress(args.folder.resolve().name, total) as advance:
        path = generate(
            args.folder,
            args.out,
            trajectories=args.trajectories,
            resolution=args.resolution,
            frames=args.frames,
            seed=args.seed,
            split=args.split or "train",
            workers=args.workers,
            overwrite=args.overwrite,
            pool=pool,
            on_trajectory=lambda index: advance(index + 1),
        )
    _say(str(path))


def _suite(args: argparse.Namespace, pool: Executor | None) -> None:
    from mpp.cli.progress import progress
    from mpp.data.suite import TEST_TRAJECTORIES, make, missing, plan_suite

    given = args.test_trajectories
    jobs = plan_suite(
        args.datasets,
        args.suite,
        args.out,
        splits=(args.split,) if args.split else SPLITS,
        trajectories=args.trajectories,
        test_trajectories=TEST_TRAJECTORIES if given is None else given,
        resolution=args.resolution,
        frames=args.frames,
        seed=args.seed,
    )
    wanted = missing(jobs, args.overwrite)
    for job in jobs:
        if job not in wanted:
            _say(f"kept {job.path}")
    finer = {job.system.name: job.resolution for job in wanted if job.resolution != args.resolution}
    if args.resolution is not None:
        for name, resolution in finer.items():
            _say(f"{name}: {resolution} points along an axis, the fewest that resolve it")
    failed = make(wanted, progress, workers=args.workers, pool=pool)
    there = [job for job in jobs if job.path.exists() and not job.differences()]
    for job in there:
        if job in wanted:
            _say(f"wrote {job.path}")
    _draw_sheets(args.suite, there)
    if failed:
        raise InputError(f"{args.out} lacks {_reasons(failed)}; then give the same command again")


def _draw_sheets(suite: str, jobs: Sequence["Job"]) -> None:
    """A picture of each split beside its files."""
    from mpp.data.open import open_dataset
    from mpp.viz.style import save
    from mpp.viz.suite import suite_sheet

    for split in SPLITS:
        paths = [job.path for job in jobs if job.system.split == split]
        if paths:
            with ExitStack() as stack:
                opened = [stack.enter_context(open_dataset(path)) for path in paths]
                title = f"suite {suite}, {split}: the first run of each system"
                picture = save(suite_sheet(opened, title), paths[0].with_name("sheet.png"))
            _say(f"drew {picture}")


def _reasons(failed: dict[str, str]) -> str:
    """The systems that share a reason, and the reason, for each reason."""
    systems: dict[str, list[str]] = {}
    for name, reason in failed.items():
        systems.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in systems.items())


def _say(text: str) -> None:
    from mpp.cli.outputs import Console

    Console().print(text, soft_wrap=True, highlight=False, markup=False)
