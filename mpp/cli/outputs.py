"""Where results go: never over existing ones unasked."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mpp.errors import InputError

ENDINGS = (".nc", ".zarr")


def add_output(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Add ``--out`` and ``--overwrite`` to a command."""
    parser.add_argument("--out", type=Path, required=True, help=meaning)
    parser.add_argument("--overwrite", action="store_true", help="replace what is at --out")


def claim(out: Path, overwrite: bool, endings: Sequence[str] = ()) -> Path:
    """Check that ``out`` may be written, and make the folder that it goes into.

    Raises:
        InputError: Something is there already and must not be replaced, or the name does not end
            in one of ``endings``.
    """
    if endings and out.suffix not in endings:
        raise InputError(f"{out}: expected a name that ends in {' or '.join(endings)}")
    occupied = any(out.iterdir()) if out.is_dir() else out.exists()
    if occupied and not overwrite:
        raise InputError(f"{out} exists; choose another --out or add --overwrite")
    out.parent.mkdir(parents=True, exist_ok=True)
    return out
