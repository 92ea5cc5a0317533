"""``mpp report``: a rollout, its scores and its pictures in one HTML file."""

import argparse
from pathlib import Path

from mpp.cli.figures import add_quantities, quantities
from mpp.cli.outputs import add_output, claim
from mpp.cli.parsing import CommandParser


def parser() -> CommandParser:
    """Options of the command."""
    made = CommandParser(
        "report",
        "Gather files in one HTML file that opens from disk and loads nothing: a rollout moves in "
        "it, with a slider for the lead time; an evaluation adds its tables and curves; any other "
        "file that mpp figures draws adds its pictures.",
        "mpp report rollout.nc scores.nc --out report.html",
    )
    made.add_argument(
        "file", type=Path, nargs="+", metavar="FILE", help="rollouts, evaluations, training logs"
    )
    made.add_argument(
        "--sample",
        type=int,
        nargs="+",
        metavar="K",
        help="runs of a rollout that can be chosen (default: up to four, evenly placed)",
    )
    add_quantities(made)
    add_output(made, "file to write, .html")
    return made


def run(arguments: argparse.Namespace) -> None:
    """Write the page, then say where it is and how large.

    Raises:
        InputError: As `mpp.viz.report.report` does.
    """
    from mpp.cli.outputs import Console
    from mpp.cli.progress import progress
    from mpp.viz.report import report

    out = claim(arguments.out, arguments.overwrite, (".html",))
    with progress("report", stays=False) as advance:
        path = report(
            arguments.file,
            out,
            arguments.sample,
            arguments.overwrite,
            progress=advance,
            quantities=quantities(arguments.quantity),
        )
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    Console().print(f"wrote {path} ({size})", soft_wrap=True, highlight=False, markup=False)
