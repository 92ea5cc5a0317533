"""``mpp convert``: any readable input to the canonical schema, as NetCDF or Zarr."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mpp.cli.outputs import tell
from mpp.cli.parsing import CommandParser
from mpp.errors import InputError

if TYPE_CHECKING:
    from mpp.data.mapping import Mapping


def parser() -> CommandParser:
    """The command's options."""
    made = CommandParser(
        "convert",
        "Bring simulation files into the canonical schema, as one NetCDF file or Zarr store.",
        "mpp convert 'runs/*.nc' --out runs.zarr --boundary x=periodic --boundary 'y=wall open'",
    )
    made.add_argument(
        "path", nargs="+", metavar="PATH", help="files, a folder or a glob, all of one system"
    )
    made.add_argument(
        "--out", type=Path, required=True, metavar="OUT.nc|OUT.zarr", help="what to write"
    )
    made.add_argument(
        "--mapping", type=Path, metavar="FILE.yaml", help="names and axes, as mpp doctor prints it"
    )
    made.add_argument(
        "--boundary",
        action="append",
        default=[],
        metavar="AXIS=KIND",
        help="boundary of an axis, or of all without AXIS=; 'low high' where its sides differ",
    )
    made.add_argument("--system", metavar="NAME", help="name of the physical system")
    made.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    return made


def run(args: argparse.Namespace) -> None:
    """Convert with a progress bar, then say where the output is.

    Raises:
        InputError: As `mpp.data.convert.convert` does, or an option that cannot be used.
    """
    from mpp.cli.progress import progress
    from mpp.data.convert import convert

    mapping = stated_mapping(args)
    with progress("convert", stays=False) as advance:
        out = convert(args.path, args.out, mapping, overwrite=args.overwrite, on_chunk=advance)
    tell(out)


def stated_mapping(args: argparse.Namespace) -> "Mapping":
    """The mapping file with the options over it.

    Raises:
        InputError: A mapping file or an option that cannot be used.
    """
    from mpp.data.open import as_mapping

    return as_mapping(args.mapping, {"boundary": boundaries(args.boundary), "system": args.system})


def boundaries(words: list[str]) -> dict[str, str] | str | None:
    """``AXIS=KIND`` words as pairs; a single word without an axis stands for all axes.

    Raises:
        InputError: One word for all axes beside others.
    """
    if not words:
        return None
    if len(words) == 1 and "=" not in words[0]:
        return words[0]
    pairs = {}
    for word in words:
        axis, equals, kind = word.partition("=")
        if not equals or not axis:
            raise InputError(f"--boundary {word!r}: expected AXIS=KIND, such as x=periodic")
        pairs[axis.strip()] = kind.strip()
    return pairs
