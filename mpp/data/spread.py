"""Work spread over processes: results in order, and only so much of it begun as memory may hold."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from mpp.errors import InputError

LAST_SECONDS = 60.0
"""How long to wait for what is begun when the rest is not wanted any more."""


def in_order(
    pool: Executor, task: Callable[..., Any], items: Iterable[tuple[Any, ...]], ahead: int
) -> Generator[Any, None, None]:
    """The results of a task for each item, in the order of the items.

    Close the iterator (`contextlib.closing`): then nothing of it runs any more, so that what the
    tasks write to may be taken away.

    Args:
        pool: The processes, of this machine or of a cluster.
        task: What to do; a function that the processes can import.
        items: The arguments of each call.
        ahead: Calls that are begun before the first of their results is taken.

    Raises:
        InputError: A process died, or as the task does.
    """
    begun: deque[Future[Any]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(task, *item))
            if len(begun) > ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    except BrokenProcessPool as error:
        raise InputError(
            "a process died, perhaps for lack of memory; try fewer workers (in a script, call this "
            "under if __name__ == '__main__')"
        ) from error
    finally:
        wait(begun, LAST_SECONDS)
