"""``mpp evaluate``: score checkpoints on runs with a known future, persistence beside them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mpp.cli.outputs import add_output, claim, tell
from mpp.cli.parsing import CHECKPOINT, CommandParser
from mpp.errors import InputError

if TYPE_CHECKING:
    import rich.table
    import xarray as xr

    from mpp.metrics import Cell, Table

SHOWN = ("nrmse", "vrmse")
LEAD_STEPS = (1, 5, 20, 100)
PIPED_WIDTH = 160
"""Columns of text where the output is no terminal and so has no width of its own."""


def parser() -> CommandParser:
    """Options of the command."""
    options = CommandParser(
        "evaluate",
        "Scores by field, sample and lead time, persistence beside them.",
        "mpp evaluate --checkpoint runs/finetuned --data data/test.nc --steps 20 --out scores.nc",
    )
    options.add_argument(
        "--checkpoint",
        nargs="+",
        required=True,
        metavar="CKPT",
        help=f"models to score, each {CHECKPOINT}",
    )
    options.add_argument(
        "--data", nargs="+", required=True, metavar="PATH", help="runs of one system, any format"
    )
    options.add_argument(
        "--steps", type=int, required=True, metavar="N", help="frames to forecast from each window"
    )
    options.add_argument(
        "--history",
        type=int,
        metavar="H",
        help="frames given to the models (default: all they use)",
    )
    options.add_argument(
        "--starts",
        type=int,
        default=1,
        metavar="K",
        help="windows a run, evenly placed (default 1)",
    )
    options.add_argument(
        "--batch-size", type=int, default=4, metavar="B", help="windows at once (default 4)"
    )
    add_output(options, "file for the scores, .nc")
    return options


def run(args: argparse.Namespace) -> None:
    """Score, write the file, print the tables.

    Raises:
        InputError: Unusable checkpoints, data or numbers, or an --out that exists.
    """
    out = claim(args.out, args.overwrite, (".nc",))
    from rich.console import Console

    from mpp.cli.progress import progress
    from mpp.data.open import open_dataset
    from mpp.evaluation import evaluate
    from mpp.metrics import table
    from mpp.weights import load

    models = {name: load(path) for name, path in _names(args.checkpoint).items()}
    sets = [open_dataset(path) for path in args.data]
    with progress("measure, then forecast", stays=False) as advance:
        scores = evaluate(
            models,
            sets,
            steps=args.steps,
            history=args.history,
            starts=args.starts,
            batch_size=args.batch_size,
            progress=advance,
        )
    scores = scores.assign_attrs(data=list(args.data), checkpoints=list(args.checkpoint))
    write(scores, out)
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    for score in SHOWN:
        console.print(render(table(scores, score, LEAD_STEPS)))
    tell(out)


def _names(checkpoints: Sequence[str]) -> dict[str, str]:
    """Short names of the checkpoints, or the paths as given where short names are not unique."""
    if len(set(checkpoints)) < len(checkpoints):
        raise InputError("--checkpoint names the same checkpoint twice; give each one once")
    short = [Path(path).resolve().name for path in checkpoints]
    unique = len(set(short)) == len(short) and "persistence" not in short
    return dict(zip(short if unique else checkpoints, checkpoints, strict=True))


def write(scores: "xr.Dataset", out: Path) -> None:
    """Write NetCDF beside ``out`` and rename it, so that ``out`` is whole or absent."""
    from mpp.files import written_beside

    with written_beside(out) as unfinished:
        scores.to_netcdf(unfinished)


def render(summary: "Table") -> "rich.table.Table":
    """The summary for a terminal, the best model of each field and lead time starred."""
    from rich.table import Table

    runs = f"mean over {summary.runs} run{'s' if summary.runs > 1 else ''}"
    spread = " ± standard error" if summary.runs > 1 else ""
    grid = Table(title=f"{summary.score.upper()} · {summary.system}", caption=f"{runs}{spread}")
    grid.add_column("field", no_wrap=True)
    grid.add_column("model", overflow="fold", min_width=len("persistence"))
    units = "" if summary.lead_units == "1" else f" {summary.lead_units}"
    for step, time in zip(summary.steps, summary.lead_times, strict=True):
        grid.add_column(f"step {step}\n({time:.4g}{units})", justify="right")
    for field in summary.fields:
        for number, model in enumerate(summary.models):
            cells = [_text(cell) for cell in summary.row(field, model)]
            last = number == len(summary.models) - 1
            grid.add_row("" if number else field, model, *cells, end_section=last)
    return grid


def _text(cell: "Cell") -> str:
    return f"[bold green]{cell} *[/]" if cell.best else f"{cell}  "
