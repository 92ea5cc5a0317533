"""The argument parser of all commands: an example in every help, one line for an error."""

import argparse
import sys
from typing import NoReturn

from mpp.errors import printable

CHECKPOINT = "a folder, mpp-mini, or hf://owner/name"
"""What every command takes as a checkpoint."""


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

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {printable(message)}; see {self.prog} --help\n")
        sys.exit(2)
