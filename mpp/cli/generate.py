"""``mpp generate``: run a solver, ``datasets/NAME``, into a canonical file."""

import argparse
from pathlib import Path

from mpp.cli.parsing import CommandParser


def parser() -> CommandParser:
    """The command's options."""
    made = CommandParser(
        "generate",
        "Generate trajectories of a physical system with its solver, as OUT/NAME.nc.",
        "mpp generate datasets/gray_scott --out data --trajectories 24",
    )
    made.add_argument("folder", type=Path, help="folder with spec.yaml and generate.py")
    made.add_argument("--out", type=Path, required=True, help="folder for the file NAME.nc")
    made.add_argument("--trajectories", type=int, help="number of runs (default: spec.yaml's)")
    made.add_argument("--resolution", type=int, help="points along an axis (default: spec.yaml's)")
    made.add_argument("--frames", type=int, help="frames a run (default: spec.yaml's)")
    made.add_argument("--seed", type=int, default=0, help="all random draws derive from it (0)")
    made.add_argument("--workers", type=int, help="number of processes (default: all cores)")
    made.add_argument("--overwrite", action="store_true", help="replace a file already there")
    return made


def run(args: argparse.Namespace) -> None:
    """Generate with a progress bar, then say where the file is.

    Raises:
        InputError: As `mpp.data.generate.generate` does.
    """
    from rich.console import Console

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
            workers=args.workers,
            overwrite=args.overwrite,
            on_trajectory=lambda index: advance(index + 1),
        )
    Console().print(str(path), soft_wrap=True, highlight=False)
