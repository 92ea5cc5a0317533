"""``mpp demo``: the main job, end to end, on two cores."""

import argparse
from dataclasses import fields
from pathlib import Path

from mpp.cli.outputs import add_output, claim
from mpp.cli.parsing import CommandParser

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
SIZES = {
    "runs": "runs of the target system to train on",
    "test_runs": "runs of the target system to score on",
    "resolution": "points along each axis",
    "steps": "optimizer steps of finetuning, and of scratch",
    "lead": "frames of the scored rollouts",
    "seed": "fixes everything that is drawn",
}


def parser() -> CommandParser:
    """Options of the command."""
    from mpp.demo import CHECKPOINT, Plan

    made = CommandParser(
        "demo",
        "Simulate a system that the shipped model has not seen, finetune the model on a few runs "
        "of it, train the same model from scratch on the same runs, and compare both on runs that "
        "neither has seen. Everything ends in one folder with a page to look at.",
        "mpp demo --out demo",
    )
    add_output(made, "folder for data, checkpoints, scores, figures and index.html")
    made.add_argument("--datasets", type=Path, default=DATASETS, help="the folder of systems")
    made.add_argument(
        "--checkpoint",
        default=CHECKPOINT,
        metavar="CKPT",
        help=f"what to finetune: a folder, {CHECKPOINT}, or hf://owner/name (default {CHECKPOINT})",
    )
    for field in fields(Plan):
        made.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=int,
            default=field.default,
            help=f"{SIZES[field.name]} (default {field.default})",
        )
    return made


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    import shutil

    from mpp.cli.evaluate import render
    from mpp.cli.outputs import Console
    from mpp.cli.progress import progress
    from mpp.demo import WRITTEN, Plan, demo
    from mpp.files import make_folder
    from mpp.metrics import table

    out: Path = claim(arguments.out, arguments.overwrite)
    make_folder(out)
    for name in WRITTEN:  # never the whole folder: it may hold more than a demo
        part = out / name
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
    plan = Plan(**{field.name: getattr(arguments, field.name) for field in fields(Plan)})
    scores = demo(out, arguments.datasets, arguments.checkpoint, plan, progress)
    console = Console()
    console.print(render(table(scores, "vrmse", (1, 5, 10, 20))))
    console.print(f"Look at {out / 'index.html'}", soft_wrap=True)
