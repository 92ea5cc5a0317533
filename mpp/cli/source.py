"""The data that a command reads, and what its user says about it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mpp.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from mpp.data.mapping import Mapping


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add ``PATH...`` and the options that say what is in these files."""
    parser.add_argument(
        "path",
        nargs="+",
        metavar="PATH",
        help="files, a folder, a glob, or URLs of Zarr stores, all of one system",
    )
    add_mapping(parser)


def add_mapping(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the options that say what is in files."""
    parser.add_argument(
        "--mapping", type=Path, metavar="FILE.yaml", help="names and axes, as mpp doctor prints it"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="LINE",
        help="a line of a mapping, such as 'select: {level: 0}'; over the file's",
    )
    parser.add_argument(
        "--boundary",
        action="append",
        default=[],
        metavar="AXIS=KIND",
        help="boundary of an axis, or of all without AXIS=; 'low high' where its sides differ",
    )
    parser.add_argument("--system", metavar="NAME", help="name of the physical system")


def opened(path: str | list[str], args: argparse.Namespace) -> "xr.Dataset":
    """The data at a path, read as the options say.

    Raises:
        InputError: As `mpp.open_dataset` and `stated_mapping` do.
    """
    from mpp.data.open import open_dataset

    return open_dataset(path, mapping=stated_mapping(args))


def stated_mapping(args: argparse.Namespace) -> "Mapping":
    """The mapping file with the options over it.

    Raises:
        InputError: A mapping file or an option that cannot be used.
    """
    from mpp.data.mapping import from_lines
    from mpp.data.open import as_mapping

    options = {"boundary": boundaries(args.boundary), "system": args.system}
    stated = as_mapping(args.mapping, {}).over(from_lines(args.set))
    return as_mapping(stated, options)


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
