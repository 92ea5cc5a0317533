"""The clients that read Zarr stores behind URLs: they go nowhere that their user did not name.

``https`` and ``http`` go through fsspec, whose client can be told to follow no redirect; ``s3`` and
``gs`` through obstore, which asks the object store that the URL or the environment names. Both are
stores of Zarr's own.
"""

import atexit
import os
from base64 import b64encode
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.sync import sync
from zarr.storage import WrapperStore

from mpp.errors import InputError
from mpp.urls import shown

if TYPE_CHECKING:
    import aiohttp

CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS = 10, 30, 600
"""How long to wait for a server to answer, for its next bytes, and for all of one chunk."""
TRIES = 3
_READERS: set[int] = set()
"""This process, once it read a bucket, and those that it was forked from."""
CREDENTIALS = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ),
    "gs": (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
    ),
}
"""Without any of these requests are not signed, as for a public bucket; nobody is asked for one."""


class Careful(WrapperStore[Store]):
    """A store that asks for nothing outside of itself, and remembers what it lacks.

    Args:
        store: Where values come from; it is read alone.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.absent: set[str] = set()
        """Keys that were asked for and are not there."""

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        if any(part in ("", ".", "..") for part in key.split("/")) or set(key) & set("?#%\\"):
            raise InputError(f"the store names {key!r}, which may lie outside of it; refused")
        found = await super().get(key, prototype, byte_range)
        (self.absent.add if found is None else self.absent.discard)(key)
        return found


@cache
def store_at(url: str, process: int, environment: tuple[tuple[str, str], ...]) -> Careful:
    """The store at a URL, opened once for each process and what its environment says."""
    scheme = url.partition(":")[0].lower()
    return Careful(_web(url) if scheme in ("http", "https") else _bucket(url, scheme))


def _needed(name: str, url: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"{shown(url)}: URLs are read with {name.partition('.')[0]}, which is not installed; "
            "pip install 'mpp-physics[remote]'"
        ) from error


def _web(url: str) -> Store:
    """A folder of a web server, whose redirects are refused."""
    aiohttp = _needed("aiohttp", url)
    web = _needed("fsspec.implementations.http", url)
    from zarr.storage import FsspecStore

    parts = urlsplit(url)
    user = None if parts.username is None else unquote(parts.username)
    options: dict[str, Any] = {
        "timeout": aiohttp.ClientTimeout(
            total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
        ),
        "raise_for_status": _judge,
        "trust_env": True,
    }
    if user is not None:
        known = f"{user}:{unquote(parts.password or '')}".encode()
        options["headers"] = {"Authorization": f"Basic {b64encode(known).decode()}"}
    system = web.HTTPFileSystem(
        asynchronous=True,
        skip_instance_cache=True,
        get_client=_client,
        client_kwargs=options,
        allow_redirects=False,
        params=parse_qsl(parts.query, keep_blank_values=True),
    )
    made = FsspecStore(system, read_only=True, path=shown(url).rstrip("/"))
    made.supports_listing = False  # it would read links out of a page
    return made


async def _client(**options: Any) -> "aiohttp.ClientSession":
    """A session that ends with the process."""
    import aiohttp

    session = aiohttp.ClientSession(**options)

    def end() -> None:
        with suppress(Exception):
            sync(session.close(), timeout=1)

    atexit.register(end)
    return session


async def _judge(response: "aiohttp.ClientResponse") -> None:
    """Take what is there and what is not; anything else is an error."""
    if 300 <= response.status < 400:
        import aiohttp

        raise aiohttp.ClientResponseError(
            response.request_info,
            response.history,
            status=response.status,
            message=response.headers.get("Location", "nowhere"),
        )
    if response.status not in (404, 410):
        response.raise_for_status()


def _bucket(url: str, scheme: str) -> Store:
    """A folder of a bucket; what is not in the URL, the environment says."""
    stores = _needed("obstore.store", url)
    _READERS.add(os.getpid())
    if len(_READERS) > 1:  # the threads that obstore reads by stayed behind
        raise InputError(
            f"{shown(url)}: cannot be read in a process forked from one that reads such a store; "
            "start processes by 'spawn'"
        )
    from datetime import timedelta

    from zarr.storage import ObjectStore

    kind = stores.S3Store if scheme == "s3" else stores.GCSStore
    endpoints = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "GOOGLE_BASE_URL")
    signed = any(os.environ.get(name) for name in CREDENTIALS[scheme])
    made = kind.from_url(
        url,
        **({} if signed else {"skip_signature": True}),
        client_options={
            "allow_http": any(os.environ.get(n, "").startswith("http://") for n in endpoints),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=READ_SECONDS),
            "timeout": timedelta(seconds=TOTAL_SECONDS),
        },
        retry_config={
            "max_retries": TRIES - 1,
            "retry_timeout": timedelta(seconds=READ_SECONDS),
        },
    )
    return ObjectStore(made, read_only=True)
