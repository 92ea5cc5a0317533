"""The argument parser of all commands: an example in every help, one line for an error."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from mpp.errors import printable
from mpp.ranges import RANGES, require

CHECKPOINT = "a folder, mpp-mini, or hf://owner/name"
"""What every command takes as a checkpoint."""


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where models compute (`mpp.devices.device_named`)."""
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="where models compute: cpu, cuda, cuda:1, mps (default: the accelerator, if any)",
    )


class CommandParser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` with a summary, an example, and errors of one line.

    Args:
        name: The command's name, without ``mpp``.
        summary: One sentence on what it does.
        example: A command line that works, shown at the end of ``--help``.
    """

    def __init__(self, name: str, summary: str, example: str) -> None:
        super().__init__(
            prog=f"mpp {name}",
            description=summary,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse_args(  # type: ignore[override]  # without its overloads
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        """The options, once every number among them is in its range.

        Raises:
            InputError: A number outside of it.
        """
        found = super().parse_args(args, namespace)
        named = [each.dest for each in self._actions if each.type in (int, float)]
        named += [each.dest for each in self._actions if each.dest in RANGES]
        require(**{name: getattr(found, name) for name in named})
        return found

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {printable(message)}; see {self.prog} --help\n")
        sys.exit(2)
