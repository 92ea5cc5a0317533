"""Which files a path means, and what each of them is, told by its content."""

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from mpp.data.links import require_own
from mpp.data.mapping import Split
from mpp.data.remote import Place, Remote, place_of
from mpp.errors import InputError

Format = Literal["pdebench", "thewell", "netcdf4", "netcdf3", "zarr"]
HDF5 = b"\x89HDF\r\n\x1a\n"
ZARR = ("zarr.json", ".zgroup", ".zmetadata", ".zattrs")
SUFFIXES = {".nc", ".nc4", ".cdf", ".h5", ".hdf5", ".hdf", ".zarr"}
"""Only for folders: a file with such a name that cannot be read is an error, not a bystander."""
OTHERS = {
    b"\x93NUMPY": "a NumPy array; name its dims and axes with xarray.Dataset, then to_netcdf",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"\x1f\x8b": "gzip-compressed; unpack it first",
    b"MATLAB": "a MATLAB file; write it with xarray.Dataset(...).to_netcdf first",
    b"GRIB": "a GRIB file; convert it to NetCDF first",
    b"\x89PNG": "a picture; name the file with the simulations",
    **dict.fromkeys(
        (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
        "a pickle, which could run any code and is never opened; write what is in it with "
        "xarray.Dataset(...).to_netcdf",
    ),
}
Paths = str | Place | Sequence[str | Place]


def find_files(paths: Paths, split: Split | None = None) -> list[Place]:
    """The files and Zarr stores behind a path, a folder, a glob, a URL, or a list of those.

    Args:
        paths: Folders are searched, first themselves, then what is below them. A folder in The
            Well's layout gives the files of one split.
        split: Which one; ``train`` when left out, so that test runs stay unseen.

    Returns:
        The files in the order of their names, numbers counted as numbers.

    Raises:
        InputError: Nothing there, or nothing that holds simulations.
    """
    if isinstance(paths, (str, Path, Remote)):
        paths = [paths]
    if not paths:
        raise InputError("no path was given; name a file, a folder or a glob")
    found: list[Place] = []
    for path in paths:
        place = place_of(path)
        if isinstance(place, Remote):
            found.append(place)
            continue
        with looking(place):
            found += _expand(place, split)
    return found


@contextmanager
def looking(path: str | Path) -> Iterator[None]:
    """What the system does not let one look at is told in one line.

    Raises:
        InputError: With the path and the reason.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename or path}: cannot be looked at ({error.strerror}); check the path and "
            "its permissions"
        ) from error


def _expand(place: Path, split: Split | None) -> list[Path]:
    if place.is_dir():
        return [place] if is_zarr(place) else _in_folder(place, split)
    if place.is_file():
        return [place]
    if place.exists():
        raise InputError(f"{place}: expected a file or a folder, got a device or a pipe; name one")
    if glob.has_magic(str(place)):
        found = sorted(map(Path, glob.glob(str(place), recursive=True)), key=natural)
        if found:
            return [file for item in found for file in _expand(item, split)]
        raise InputError(f"{place}: no file matches this pattern; check it, and quote it as one")
    raise InputError(f"{place}: no such file or folder; check the path")


def _in_folder(folder: Path, split: Split | None) -> list[Path]:
    if folder.suffix == ".zarr" and any(
        is_zarr(entry) and entry.suffix != ".zarr" for entry in _listed(folder)
    ):
        raise InputError(
            f"{folder}: this Zarr store lacks its own {ZARR[0]} or {ZARR[1]}; copy it again, whole"
        )
    for root in (folder, folder / "data"):
        parts = [name for name in get_args(Split) if (root / name).is_dir()]
        if parts:
            chosen = split or ("train" if "train" in parts else parts[0])
            if chosen not in parts:
                raise InputError(f"{folder}: no split {chosen!r}; it has {', '.join(parts)}")
            return _in_folder(root / chosen, None)
    entries = _listed(folder)
    files = [entry for entry in entries if _counts(entry)]
    if files:
        return files
    below = [entry for entry in entries if entry.is_dir()]
    found = [file for entry in below for file in _try_folder(entry)]
    if not found:
        listed = ", ".join(entry.name for entry in entries[:4]) or "nothing at all"
        raise InputError(
            f"{folder}: no NetCDF, Zarr or HDF5 in this folder (it holds {listed}); name the "
            "folder or the files with the simulations"
        )
    return found


def _listed(folder: Path) -> list[Path]:
    return sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural)


def _try_folder(folder: Path) -> list[Path]:
    entries = _listed(folder)
    files = [entry for entry in entries if _counts(entry)]
    return files or [file for entry in entries if entry.is_dir() for file in _try_folder(entry)]


def _counts(entry: Path) -> bool:
    if entry.is_dir():
        return is_zarr(entry)
    head = _head(entry)
    known = head.startswith((b"CDF\x01", b"CDF\x02", b"CDF\x05")) or _is_hdf5(entry)
    return known or entry.suffix.lower() in SUFFIXES


def natural(path: Path | str) -> list[tuple[int, str]]:
    """A key that sorts names with their numbers counted as numbers."""
    parts = re.findall(r"\d+|\D+", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any((path / name).is_file() for name in ZARR)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(256)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be opened ({error.strerror}); check its permissions"
        ) from error


def _is_hdf5(path: Path) -> bool:
    """The signature stands at byte 0, or after a user block at 512, 1024, 2048, ..."""
    size, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while place + len(HDF5) <= size:
            file.seek(place)
            if file.read(len(HDF5)) == HDF5:
                return True
            place = max(512, 2 * place)
    return False


def format_of(path: Place) -> Format:
    """What a file or folder holds, whatever its name ends in.

    Raises:
        InputError: It is empty, cut off, or of no format that can be read.
    """
    if isinstance(path, Remote) or path.is_dir():
        return "zarr"
    head = _head(path)
    if not head:
        raise InputError(f"{path}: the file is empty (0 bytes); write or copy it again")
    if head.startswith((b"CDF\x01", b"CDF\x02", b"CDF\x05")):
        return "netcdf3"
    if _is_hdf5(path):
        return _hdf5_format(path)
    raise InputError(f"{path}: expected NetCDF, Zarr or HDF5, got {_what(head)}")


def _what(head: bytes) -> str:
    for start, what in OTHERS.items():
        if head.startswith(start):
            return what
    try:
        line = head.decode("utf-8", errors="strict" if len(head) < 256 else "ignore").split("\n")[0]
    except UnicodeDecodeError:
        line = "\x00"
    if line.isprintable():
        return f"text that starts with {line[:40]!r}; name the file with the simulations"
    return f"bytes that start with {head[:8].hex(' ')}; is the path right, or the file damaged?"


def _hdf5_format(path: Path) -> Format:
    try:
        require_own(path)
    except (OSError, RuntimeError, KeyError) as error:
        reason = "cut off" if "truncated" in str(error) else "damaged or cut off"
        raise InputError(
            f"{path}: this HDF5 file is {reason} ({path.stat().st_size} bytes); copy or write it "
            "again"
        ) from error
    from mpp.data.pdebench import PDEBenchBackend
    from mpp.data.thewell import TheWellBackend

    if TheWellBackend().guess_can_open(path):
        return "thewell"
    if PDEBenchBackend().guess_can_open(path):
        return "pdebench"
    return "netcdf4"
