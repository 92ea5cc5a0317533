"""``mpp convert``: any readable input to the canonical schema, as NetCDF or Zarr."""

import argparse
from pathlib import Path

from mpp.cli.outputs import tell
from mpp.cli.parsing import CommandParser
from mpp.cli.source import add_source, stated_mapping
from mpp.cli.workers import add_workers, pool_of


def parser() -> CommandParser:
    """The command's options."""
    made = CommandParser(
        "convert",
        "Bring simulation files into the canonical schema, as one NetCDF file or Zarr store.",
        "mpp convert 'runs/*.nc' --out runs.zarr --boundary x=periodic --boundary 'y=wall open'",
    )
    add_source(made)
    made.add_argument(
        "--out", type=Path, required=True, metavar="OUT.nc|OUT.zarr", help="what to write"
    )
    made.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    add_workers(made, "one, this one", "PATH and --out")
    return made


def run(args: argparse.Namespace) -> None:
    """Convert with a progress bar, then say where the output is.

    Raises:
        InputError: As `mpp.data.convert.convert` does, or an option that cannot be used.
    """
    from mpp.cli.progress import progress
    from mpp.data.convert import convert

    mapping = stated_mapping(args)
    with pool_of(args) as pool, progress("convert", stays=False) as advance:
        options = {"overwrite": args.overwrite, "on_chunk": advance, "pool": pool}
        out = convert(args.path, args.out, mapping, **options)
    tell(out)
