"""Results are whole or absent: written beside their place, then renamed."""

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
        _rename(unfinished, path)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        else:
            unfinished.unlink(missing_ok=True)


def _rename(unfinished: Path, path: Path) -> None:
    """A folder cannot take another's place in one step, so the old one steps aside first."""
    if not path.is_dir():
        unfinished.replace(path)
        return
    old = path.with_name(f".{path.name}.old")
    path.rename(old)
    unfinished.rename(path)
    shutil.rmtree(old)
