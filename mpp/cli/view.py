"""``mpp view``: look through rollouts and evaluations in the browser."""

import argparse
import importlib.util
from pathlib import Path

from mpp.cli.parsing import CommandParser
from mpp.errors import InputError

NEEDED = ("panel", "bokeh", "hvplot")


def parser() -> CommandParser:
    """Options of the command."""
    made = CommandParser(
        "view",
        "Look through rollouts and evaluations in the browser: run, member, field and lead time,\n"
        "truth, prediction and error, cross-sections, time series at a point, spectra, and the\n"
        "error curves of an evaluation. Files are read a frame at a time. Only this machine can\n"
        "connect. Ctrl-C ends it.",
        "mpp view rollout.nc scores.nc",
    )
    made.add_argument(
        "file", type=Path, nargs="+", metavar="FILE", help="rollouts, evaluations or runs"
    )
    made.add_argument(
        "--port", type=int, default=0, metavar="P", help="port to listen at (default 0: any free)"
    )
    made.add_argument("--no-open", action="store_true", help="do not open the page in a browser")
    return made


def run(arguments: argparse.Namespace) -> None:
    """Say where the page is and serve it.

    Raises:
        InputError: The extra is not installed, a file cannot be shown, or the port is taken.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"mpp view needs {', '.join(missing)}, not installed here; "
            "pip install 'mpp-physics[viz]'"
        )
    from mpp.cli.outputs import Console
    from mpp.explorer.server import serve, sources

    def ready(address: str) -> None:
        line = f"{address} shows {len(arguments.file)} file{'s' * (len(arguments.file) > 1)}"
        Console().print(f"{line}; Ctrl-C ends it", soft_wrap=True, highlight=False)

    with sources(arguments.file) as files:
        serve(files, arguments.port, not arguments.no_open, ready)
