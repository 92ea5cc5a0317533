"""Where a command's work is done: by processes of this machine, or by a scheduler's workers."""

import argparse
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager


def add_workers(parser: argparse.ArgumentParser, default: str, shared: str) -> None:
    """Add ``--workers`` and ``--scheduler``, of which one can be given.

    Args:
        parser: The command's.
        default: What is used when neither is given.
        shared: What the scheduler's workers must see.
    """
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, help=f"number of processes (default: {default})")
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="use the workers of a running dask scheduler, such as tcp://login1:8786, of one "
        f"thread each; {shared} must be visible to them at the same paths",
    )


@contextmanager
def cluster(scheduler: str | None) -> Iterator[Executor | None]:
    """The workers of a scheduler, where one is given."""
    if scheduler is None:
        yield None
        return
    from mpp.data.cluster import cluster_pool

    with cluster_pool(scheduler) as pool:
        yield pool


@contextmanager
def pool_of(args: argparse.Namespace) -> Iterator[Executor | None]:
    """The processes that the options ask for; none where this one does the work.

    Raises:
        InputError: Fewer than one, or as `mpp.data.cluster.cluster_pool` does.
    """
    from mpp.data.generate import borrow
    from mpp.errors import require_at_least

    workers = 1 if args.workers is None else args.workers
    require_at_least(1, workers=workers)
    if workers == 1:
        with cluster(args.scheduler) as pool:
            yield pool
        return
    with borrow(None, workers) as pool:
        yield pool
