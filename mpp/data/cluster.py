"""The workers of a running dask.distributed scheduler, as a pool of processes."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from mpp.errors import InputError


@contextmanager
def cluster_pool(address: str) -> Iterator[Executor]:
    """What `mpp.data.generate.generate` and `mpp.data.convert.convert` take as their pool.

    Each worker imports this package and reads files at the paths that they have here, so both must
    be visible from all machines. Solvers run one at a time in a process: start workers of one
    thread each.

    Args:
        address: The scheduler's, such as ``tcp://login1:8786``.

    Raises:
        InputError: Dask is not installed, no scheduler answers, or a worker died.
    """
    try:
        from distributed import Client, KilledWorker  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            "a scheduler's workers need dask, which is not installed; pip install "
            "'mpp-physics[scale]'"
        ) from error
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{address}: no dask scheduler answers there within 10 seconds; expected an address "
            "such as tcp://login1:8786, as dask scheduler prints it"
        ) from error
    with client:
        try:
            yield client.get_executor(pure=False)
        except KilledWorker as error:
            raise InputError(
                f"{address}: a task killed one worker after another, perhaps for lack of memory; "
                "try fewer workers on a machine"
            ) from error
