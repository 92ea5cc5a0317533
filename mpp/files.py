"""Results are whole or absent: written beside their place, then renamed."""

import errno
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mpp.errors import InputError

REFUSALS = tuple(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "ENAMETOOLONG", "EIO")
    if hasattr(errno, name)
)
"""What a system answers where a disk is full or broken, or a file is not ours."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""How a system says that there is no room left."""
PROBE_BYTES = 2**17
"""What a disk must take that is not full."""
ASIDE = "old"
"""What a folder is called while another takes its place."""


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write a file or a folder at, which then takes the place of it.

    After an error what was there before is there still, and nothing else. What processes of this
    machine left beside ``path`` that were killed is taken away first. The name is in a folder
    that is new, has a random name and is the user's alone: nobody else who may write beside
    ``path`` can put a link there for the result to go through. A link at ``path`` itself is
    replaced, not followed.

    Args:
        path: Where the result belongs; its folder is there.

    Raises:
        InputError: The disk refuses, because it is full, for instance.

    Examples:
        >>> with written_beside(Path("scores.csv")) as unfinished:  # doctest: +SKIP
        ...     table.to_csv(unfinished)
    """
    beside = None
    try:
        _clear(path)
        beside = Path(tempfile.mkdtemp(prefix=_prefix(path, os.getpid()), dir=path.parent))
        unfinished = beside / path.name
        yield unfinished
        _flush(unfinished)
        _rename(unfinished, path, beside / ASIDE)
    except (OSError, RuntimeError) as error:
        if not _refused(error, path):
            raise
        raise InputError(
            f"{path}: cannot be written ({_reason(error, path.parent)}); make room or the folder "
            "writable, or choose another place"
        ) from error
    finally:
        if beside is not None:
            _remove(beside)


def make_folder(folder: Path) -> Path:
    """Make a folder, and those around it, where it does not exist.

    Raises:
        InputError: The disk refuses, or a file stands there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot make this folder ({error.strerror}); choose another place"
        ) from error
    return folder


def _prefix(path: Path, process: int | str) -> str:
    """How a name begins, which says whose it is: machines may share a disk, not processes."""
    machine = re.sub(r"\W+", "-", socket.gethostname())[:32]
    return f".{path.stem[:60]}.{machine}.{process}."


def _clear(path: Path) -> None:
    """Take away what killed processes left, and bring back what one had put aside."""
    left = re.compile(re.escape(_prefix(path, "\0")).replace("\0", r"(\d+)") + r"\w+")
    for entry in path.parent.iterdir():
        found = left.fullmatch(entry.name)
        if found is None or not _is_over(found[1]):
            continue
        aside = entry / ASIDE
        if aside.exists() and not path.exists():
            aside.rename(path)
        _remove(entry)


def _is_over(process: str) -> bool:
    """Whether that process is no more; this one has left nothing yet."""
    if int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # of another user, alive
        return False
    return False


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        with suppress(OSError):  # it is not there, or the disk that refused it still refuses
            entry.unlink()


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


def _refused(error: OSError | RuntimeError, path: Path) -> bool:
    """Whether an error is the disk's where the result goes, and no other fault."""
    if isinstance(error, RuntimeError):
        return str(error).startswith("NetCDF: ")
    if isinstance(error, FileNotFoundError) and path.parent.is_dir():
        return False
    name = error.filename
    return not isinstance(name, str) or Path(name).is_relative_to(path.parent)


def _reason(error: OSError | RuntimeError, folder: Path) -> str:
    """Why the disk refuses; the libraries of NetCDF do not say, so that it is tried once more."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
            left = PROBE_BYTES
            while left:
                left -= probe.write(bytes(left))
    except OSError as found:
        return found.strerror or str(found)
    return getattr(error, "strerror", None) or str(error)
