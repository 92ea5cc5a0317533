"""Results are whole or absent: written beside their place, then renamed."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write a file or a folder at, which then takes the place of it.

    After an error what was there before is there still, and nothing else.

    Args:
        path: Where the result belongs; its folder is there.

    Examples:
        >>> with written_beside(Path("scores.csv")) as unfinished:  # doctest: +SKIP
        ...     table.to_csv(unfinished)
    """
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield unfinished
        _flush(unfinished)
        _rename(unfinished, path)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        else:
            unfinished.unlink(missing_ok=True)


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""How a system says that there is no room left."""


def no_room(path: Path, error: OSError) -> str:
    """Why a file could not be written and what to do about it, in words."""
    told = f"{path}: could not be written ({error.strerror or error}"
    folder = next((part for part in path.parents if part.is_dir()), None)
    if error.errno in FULL and folder is not None:
        free = shutil.disk_usage(folder).free / 1e6
        return f"{told}; {free:.3g} MB are free); make room"
    return f"{told}); make its folder writable"


def _flush(unfinished: Path) -> None:
    """Bring a file to the disk before its name: after a power cut it is whole or absent, too."""
    if unfinished.is_file():
        with unfinished.open("rb") as stream:
            os.fsync(stream.fileno())


def _rename(unfinished: Path, path: Path) -> None:
    """A folder cannot take another's place in one step, so the old one steps aside first."""
    if not path.is_dir():
        unfinished.replace(path)
        return
    old = path.with_name(f".{path.name}.old")
    path.rename(old)
    unfinished.rename(path)
    shutil.rmtree(old)
