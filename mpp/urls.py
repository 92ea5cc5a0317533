"""What is a URL, and how it may be shown: without what opens the door that it names."""

import re
from pathlib import Path

from mpp.errors import InputError

URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*::)*[A-Za-z][A-Za-z0-9+.-]*://")
SECRETS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/?#]*@)?([^\s?#'\"]*)(?:[?#][^\s'\"]*)?")
OUTSIDE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/{1,2}[^/]")


def is_url(path: str | Path) -> bool:
    """Whether a path is the address of something, not a name on the disk."""
    return isinstance(path, str) and URL.match(path) is not None


def shown(text: str) -> str:
    """Text without the users, passwords, queries and signatures of the URLs in it.

    Examples:
        >>> shown("mpp doctor https://me:secret@host/run.zarr?sig=abc --json")
        'mpp doctor https://host/run.zarr --json'
    """
    return SECRETS.sub(r"\1\2", text)


def require_local(out: Path) -> None:
    """Refuse a URL as the place of a result: nothing there could take the place of another.

    Raises:
        InputError: It was a URL before it became a path.
    """
    if OUTSIDE.match(str(out)):
        raise InputError(
            f"{shown(str(out))}: results are written to this machine's disks alone; give --out a "
            "path, and copy what is there then"
        )
