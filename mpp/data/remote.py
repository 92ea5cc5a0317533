"""A Zarr store behind a URL: reached because the user gave it, and nothing else because of it.

A chunk is fetched when a value of it is wanted, and not kept (`mpp.data.clients` fetches it).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import zarr
from zarr.errors import ContainsArrayError

from mpp.data.clients import CONNECT_SECONDS, CREDENTIALS, Careful, store_at
from mpp.errors import InputError
from mpp.urls import is_url, shown

SCHEMES = ("https", "http", "s3", "gs")
FILES = (".nc", ".nc4", ".cdf", ".h5", ".hdf5", ".hdf")


@dataclass(frozen=True)
class Remote:
    """The address of a store; as text it shows nothing secret.

    Args:
        url: As the user gave it.
    """

    url: str = field(repr=False)
    groups: dict[tuple[int, str], zarr.Group | zarr.Array] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What was opened, by process and path inside."""

    def __reduce__(self) -> tuple[type["Remote"], tuple[str]]:
        return Remote, (self.url,)

    def __str__(self) -> str:
        return shown(self.url)

    @property
    def path(self) -> PurePosixPath:
        return PurePosixPath(unquote(urlsplit(self.url).path))

    @property
    def name(self) -> str:
        return self.path.name or str(urlsplit(self.url).hostname)

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> PurePosixPath:
        return self.path.parent

    def resolve(self) -> "Remote":
        return self

    def store(self) -> Careful:
        """The store, opened once in each process, as the environment is now."""
        about = [pair for pair in os.environ.items() if pair[0].startswith(("AWS_", "GOOGLE_"))]
        return store_at(self.url, os.getpid(), tuple(sorted(about)))

    def opened(self, path: str = "") -> zarr.Group | zarr.Array:
        """A group or an array of the store, opened once in each process.

        Raises:
            InputError: As `open_group` does.
        """
        key = os.getpid(), path
        if key not in self.groups:
            whole = (key[0], "")
            if whole not in self.groups:
                self.groups[whole] = _whole(self)
            group = self.groups[whole]
            if path:
                assert isinstance(group, zarr.Group)
                with reaching(self):
                    self.groups[key] = group[path]
        return self.groups[key]


Place = Path | Remote
"""Where data is: a file, a folder or a store behind a URL."""


def place_of(path: str | Place) -> Place:
    """A path as such, or the store that a URL names; ``file`` URLs are paths.

    Raises:
        InputError: A URL that cannot be a Zarr store that may be read.
    """
    if isinstance(path, Remote):
        return path
    if not is_url(path):
        return Path(path).expanduser()
    url, told = str(path), shown(str(path))
    scheme = url.partition(":")[0].lower()
    if "::" in url or scheme not in (*SCHEMES, "file"):
        known = ", ".join(f"{one}://" for one in (*SCHEMES, "file"))
        got = "a chain of several" if "::" in url else f"{scheme}://"
        raise InputError(
            f"{told}: expected a URL that starts with one of {known}, got {got}; name the Zarr "
            "store itself, or download it"
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"{told}: not a URL ({error}); check it") from error
    if scheme == "file":
        if host not in (None, "localhost"):
            raise InputError(
                f"{told}: names a machine, {host}; name a file of this one, file:///..."
            )
        return Path(url2pathname(parts.path))
    if not host:
        raise InputError(f"{told}: names no host or bucket; check it")
    if scheme in ("s3", "gs") and (parts.username or parts.query):
        raise InputError(
            f"{told}: holds credentials; give them by the environment, such as "
            f"{CREDENTIALS[scheme][0]}"
        )
    if PurePosixPath(parts.path).suffix.lower() in FILES:
        raise InputError(
            f"{told}: of URLs only Zarr stores are read, and this is the name of a NetCDF or HDF5 "
            "file; download it, or have it converted with mpp convert where it is"
        )
    return Remote(url)


def open_group(place: Place, path: str = "") -> zarr.Group:
    """A group of a Zarr store, from the disk or behind a URL.

    Raises:
        InputError: Behind the URL is no store, or nobody, or nobody who lets us in.
    """
    if isinstance(place, Path):
        return zarr.open_group(place, mode="r", path=path, use_consolidated=False)
    found = place.opened(path)
    if not isinstance(found, zarr.Group):
        raise InputError(
            f"{place}: {path} is a single array; put it into a Zarr group, with arrays for time "
            "and axes"
        )
    return found


def _whole(place: Remote) -> zarr.Group:
    with reaching(place):
        try:
            group = zarr.open_group(place.store(), mode="r")
        except ContainsArrayError as error:
            raise InputError(
                f"{place}: a single array; put it into a Zarr group, with arrays for time and axes"
            ) from error
        except FileNotFoundError as error:
            raise InputError(
                f"{place}: no Zarr store is found there (neither zarr.json nor .zgroup); check the "
                "URL; a NetCDF or HDF5 file is read once it is downloaded"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{place}: not a Zarr store: what is there cannot be read as one; check the URL"
            ) from error
        if group.metadata.consolidated_metadata is None and not group.store.supports_listing:
            raise InputError(
                f"{place}: this store does not say what it holds, and a web server has no list; "
                "have zarr.consolidate_metadata run on it where it is, as mpp convert does"
            )
    return group


@contextmanager
def reaching(place: Place) -> Iterator[None]:
    """What keeps one from reading behind a URL is told in one line, without secrets.

    Raises:
        InputError: With the URL and the reason.
    """
    if isinstance(place, Path):
        yield
        return
    try:
        yield
    except Exception as error:
        reason = _reason(error, place)
        if reason is None:
            raise
        raise InputError(f"{place}: {reason}") from None  # whose text may hold what is secret


def _reason(error: Exception, place: Remote) -> str | None:
    """Why a server did not give what was asked for; none for errors of another kind."""
    kind, status = type(error), getattr(error, "status", 0)
    module = kind.__module__.partition(".")[0]
    if module == "obstore":
        text = str(error).partition("\n")[0]
        if kind.__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
            status = 403
        elif "status code: " in text:
            status = int(text.partition("status code: ")[2][:3])
        elif "redirect" in text:
            status = 301
        elif "HTTP error" not in text:
            return "what answers there does not do so as an object store does; check the URL"
    elif not isinstance(error, TimeoutError) and module != "aiohttp":
        return None
    if status in (401, 403):
        what = "the user and password" if place.url.startswith("http") else "the credentials"
        return f"access is refused ({status}); check {what}, and whether the store is there"
    if 300 <= status < 400:
        elsewhere = shown(str(getattr(error, "message", "")))
        if place.url.startswith("s3"):
            return "the bucket is in another region; name it with AWS_REGION"
        return f"the server points elsewhere ({elsewhere}), which is not followed; give that URL"
    if status:
        return f"the server answers with an error ({status}); try again later"
    return f"nobody answers within {CONNECT_SECONDS} seconds, or not to the end; check the URL"
