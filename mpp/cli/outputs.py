"""Where results go: never over existing ones unasked, and to a terminal without its commands."""

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import rich.console
from rich.segment import Segment

from mpp.errors import CONTROLS, InputError, printable
from mpp.files import make_folder
from mpp.urls import require_local

ENDINGS = (".nc", ".zarr")


class Console(rich.console.Console):
    """A console that takes text as it is: no markup unless asked for, no control characters."""

    def __init__(self, markup: bool = False, **options: Any) -> None:
        super().__init__(markup=markup, **options)

    def render(self, *args: Any, **options: Any) -> Iterable[Segment]:
        for segment in super().render(*args, **options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def json_text(value: Any) -> str:
    """JSON to read, in which a control character is told by its number."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text.translate({code: f"\\u{code:04x}" for code in CONTROLS if code > 0x20})


def add_output(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Add ``--out`` and ``--overwrite`` to a command."""
    parser.add_argument("--out", type=Path, required=True, help=meaning)
    parser.add_argument("--overwrite", action="store_true", help="replace what is at --out")


def tell(out: Path) -> None:
    """Say on stdout where the result is."""
    Console().print(f"wrote {out}", soft_wrap=True, highlight=False)


def claim(out: Path, overwrite: bool, endings: Sequence[str] = ()) -> Path:
    """Check that ``out`` may be written, and make the folder that it goes into.

    Raises:
        InputError: Something is there already and must not be replaced, the name does not end in
            one of ``endings``, a folder stands where a file goes or a file where a folder goes, the
            folder cannot be made, or nothing may be written in it.
    """
    require_local(out)
    if endings and out.suffix not in endings:
        raise InputError(f"{out}: expected a name that ends in {' or '.join(endings)}")
    if endings and out.suffix != ".zarr" and out.is_dir():
        inside = out / f"result{out.suffix}"
        raise InputError(f"{out} is a folder; name a file in it, such as {inside}")
    if not endings and out.is_file():
        raise InputError(f"{out} is a file; name a folder with --out")
    occupied = any(out.iterdir()) if out.is_dir() else out.exists()
    if occupied and not overwrite:
        raise InputError(f"{out} exists; choose another --out or add --overwrite")
    place = out if out.is_dir() else make_folder(out.parent)
    if not os.access(place, os.W_OK):
        raise InputError(f"{place}: no permission to write there; choose another --out")
    return out
