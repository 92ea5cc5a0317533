"""``mpp figures``: pictures of a rollout, an evaluation, a training log or any runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mpp.cli.parsing import CommandParser
from mpp.errors import InputError


def parser() -> CommandParser:
    """Options of the command."""
    options = CommandParser(
        "figures",
        "Pictures of what a file holds: truth, prediction and error of a rollout, its spectra,\n"
        "its error by scale and its totals; error against lead time of an evaluation; a contact\n"
        "sheet of runs; the losses in a metrics.csv.",
        "mpp figures rollout.nc --out figures --animate",
    )
    options.add_argument(
        "file", type=Path, metavar="FILE", help="what a command wrote, or any runs"
    )
    options.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for them")
    options.add_argument(
        "--sample", type=int, default=0, metavar="K", help="run of a rollout to draw (default 0)"
    )
    options.add_argument(
        "--format", choices=("png", "pdf"), default="png", help="png, or pdf for print"
    )
    options.add_argument(
        "--animate",
        nargs="?",
        choices=("mp4", "gif"),
        const="best",
        metavar="mp4|gif",
        help="also write each field of a rollout as a film: mp4 where imageio-ffmpeg is installed "
        "(pip install 'mpp-physics[viz]'), else gif",
    )
    add_quantities(options)
    options.add_argument("--overwrite", action="store_true", help="replace pictures already there")
    return options


def add_quantities(options: CommandParser) -> None:
    """Add ``--quantity NAME=EXPRESSION``."""
    options.add_argument(
        "--quantity",
        action="append",
        default=[],
        metavar="NAME=EXPRESSION",
        help="a quantity of a rollout whose total is drawn, such as "
        "energy=0.5*height*(velocity_x**2+velocity_y**2); repeatable",
    )


def quantities(words: Sequence[str]) -> dict[str, str]:
    """Expressions by name.

    Raises:
        InputError: A word without a name or an expression.
    """
    found = {}
    for word in words:
        name, _, expression = word.partition("=")
        if not name.strip() or not expression.strip():
            raise InputError(f"--quantity {word!r}: expected NAME=EXPRESSION")
        found[name.strip()] = expression
    return found


def run(args: argparse.Namespace) -> None:
    """Draw with a progress bar, then say where the pictures are.

    Raises:
        InputError: As `mpp.viz.figures.figures` does.
    """
    from mpp.cli.outputs import Console
    from mpp.cli.progress import progress
    from mpp.viz.animate import best_film
    from mpp.viz.figures import figures

    with progress("draw", stays=False) as advance:
        paths = figures(
            args.file,
            args.out,
            sample=args.sample,
            suffix=args.format,
            overwrite=args.overwrite,
            progress=advance,
            quantities=quantities(args.quantity),
            film=best_film() if args.animate == "best" else args.animate,
        )
    console = Console()
    for path in paths:
        console.print(str(path), soft_wrap=True, highlight=False, markup=False)
