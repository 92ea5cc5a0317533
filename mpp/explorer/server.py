"""The server of the explorer: this machine only, everything from the installed packages."""

import asyncio
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import panel as pn
import xarray as xr
from tornado.websocket import WebSocketClosedError

from mpp.errors import InputError
from mpp.explorer.app import application
from mpp.viz.figures import kind, opened

ADDRESS = "127.0.0.1"
SHOWN = ("rollout", "evaluation", "runs")


@contextmanager
def sources(paths: Sequence[Path]) -> Iterator[dict[str, xr.Dataset]]:
    """Files as datasets by name, open but not read.

    Raises:
        InputError: One that does not exist, cannot be read, or is nothing to look through.
    """
    short = [path.name for path in paths]
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise InputError("a file is named twice; name each one once")
    with ExitStack() as stack:
        found: dict[str, xr.Dataset] = {}
        for name, path in zip(names, paths, strict=True):
            ds = stack.enter_context(opened(path))
            if isinstance(ds, Path) or _kind(ds, path) not in SHOWN:
                raise InputError(
                    f"{path}: neither a rollout, an evaluation nor runs; mpp figures draws it"
                )
            found[name] = ds
        yield found


def _kind(ds: xr.Dataset, path: Path) -> str:
    try:
        return kind(ds)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def serve(
    files: Mapping[str, xr.Dataset], port: int, show: bool, ready: Callable[[str], None]
) -> None:
    """Serve the explorer until Ctrl-C or SIGTERM.

    Args:
        files: Open datasets by name.
        port: Where to listen; 0 for any port that is free.
        show: Whether to open the page in the user's browser.
        ready: Called with the address once it answers.

    Raises:
        InputError: The port is taken.
    """
    port = free(port)
    server = pn.io.server.get_server(
        {"/": application(files)},
        port=port,
        address=ADDRESS,
        websocket_origin=[f"{ADDRESS}:{port}", f"localhost:{port}"],
        title={"/": "mpp view"},
        show=False,
        start=False,
    )
    loop = server.io_loop

    def stop(*_: object) -> None:
        loop.asyncio_loop.call_soon_threadsafe(loop.stop)  # type: ignore[attr-defined]

    loop.asyncio_loop.set_exception_handler(_untold)  # type: ignore[attr-defined]
    ends = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in ends}
    try:
        server.start()
        address = f"http://{ADDRESS}:{port}"
        ready(address)
        sys.stdout.flush()
        if show:
            loop.add_callback(webbrowser.open, address)
        loop.start()
    finally:
        server.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _untold(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A browser that left while something was sent to it is no error; all else is told."""
    if not isinstance(context.get("exception"), WebSocketClosedError):
        loop.default_exception_handler(context)


def free(port: int) -> int:
    """The port itself, or one that is free for 0.

    Raises:
        InputError: It is taken.
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((ADDRESS, port))
        except OSError as error:
            raise InputError(
                f"port {port} of {ADDRESS} cannot be used ({error.strerror}); choose another "
                "--port, or 0 for any free one"
            ) from error
        return int(trial.getsockname()[1])
