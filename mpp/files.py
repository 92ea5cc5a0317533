"""Results are whole or absent: written beside their place, then renamed."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write a file or a folder at, which then takes the place of it.

    After an error what was there before is there still, and nothing else. The name is in a folder
    that is new, has a random name and is the user's alone: nobody else who may write beside
    ``path`` can put a link there for the result to go through. A link at ``path`` itself is
    replaced, not followed.

    Args:
        path: Where the result belongs; its folder is there.

    Examples:
        >>> with written_beside(Path("scores.csv")) as unfinished:  # doctest: +SKIP
        ...     table.to_csv(unfinished)
    """
    beside = Path(mkdtemp(prefix=f".{path.stem[:60]}.", dir=path.parent))
    try:
        unfinished = beside / path.name
        yield unfinished
        _rename(unfinished, path, beside / "old")
    finally:
        shutil.rmtree(beside)


def _rename(unfinished: Path, path: Path, aside: Path) -> None:
    """A folder cannot take another's place in one step, so the old one steps aside first."""
    if not path.is_dir() and not (path.is_symlink() and unfinished.is_dir()):
        unfinished.replace(path)
        return
    path.rename(aside)
    try:
        unfinished.rename(path)
    except OSError:
        aside.rename(path)
        raise


def file_name(name: str, otherwise: str = "system") -> str:
    """A name from data as part of a file's name, which stays in the file's folder.

    Args:
        name: Any text.
        otherwise: What to call what has no letter or digit in its name.
    """
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or otherwise
