"""What an HDF5 file holds stays in its folder: links to files elsewhere are refused, not followed.

An external link, a virtual dataset and external storage name other files. In a file from somebody
else they could name any file of the reader, whose content a conversion would then copy.
"""

import os
from functools import lru_cache
from pathlib import Path

import h5py
from h5py import h5d, h5l, h5o  # type: ignore[attr-defined]  # compiled, without types

from mpp.errors import InputError


def require_own(path: str | Path) -> None:
    """Refuse a file that reaches for others outside of its folder, before anything is read.

    Raises:
        InputError: It has such a link, by name.
    """
    status = os.stat(path)
    folder = Path(path).resolve().parent
    for name, kind, target in _elsewhere(str(path), (status.st_ino, status.st_mtime_ns)):
        if not _inside(target, folder):
            raise InputError(
                f"{path}: {name} is {kind} to {target!r}, outside of the file's folder, and is not "
                "followed; if you trust it, copy it into one file with h5repack or h5py"
            )


@lru_cache(1024)
def _elsewhere(path: str, stamp: tuple[int, int]) -> list[tuple[str, str, str]]:
    """Name, kind and target of everything that is not in the file itself.

    Args:
        path: The file.
        stamp: What changes with it.
    """
    found: list[tuple[str, str, str]] = []
    with h5py.File(path, "r") as file:

        def link(name: bytes, info: h5l.LinkInfo) -> None:
            if info.type == h5l.TYPE_EXTERNAL:
                target = os.fsdecode(file.id.links.get_val(name)[0])
                found.append((os.fsdecode(name), "an external link", target))

        def item(name: bytes, info: h5o.ObjInfo) -> None:
            if info.type != h5o.TYPE_DATASET:
                return
            made, shown = h5d.open(file.id, name).get_create_plist(), os.fsdecode(name)
            if made.get_layout() == h5d.VIRTUAL:
                parts = {made.get_virtual_filename(n) for n in range(made.get_virtual_count())}
                found.extend((shown, "a virtual dataset with a link", part) for part in parts)
            for number in range(made.get_external_count()):
                # Relative to the folder of the process, not to that of the file.
                store = os.path.abspath(os.fsdecode(made.get_external(number)[0]))
                found.append((shown, "external storage, a link", store))

        file.id.links.visit(link, info=True)
        h5o.visit(file.id, item, info=True)
    return found


def _inside(target: str, folder: Path) -> bool:
    """Whether a name leads to a file in the folder or below; ``.`` is the file itself."""
    if target == ".":
        return True
    place = (folder / target).resolve()
    # HDF5 looks for a relative name in the folder of the process as well, where it is not there.
    there = place.exists() or ("%" in target and place.parent.is_dir())
    return there and place.is_relative_to(folder)
