"""The progress bar that every command shows for work of more than a moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mpp.cli.outputs import Console


class Advance(Protocol):
    """Takes how much is done by now, and the total where it was not known before."""

    def __call__(self, done: int, total: int | None = None) -> None: ...


@contextmanager
def progress(task: str, total: int | None = None, stays: bool = True) -> Iterator[Advance]:
    """Show a bar on stderr; the function that it yields takes how much is done by now.

    Where nobody watches, only the end of what succeeded is written, so that an error's line stands
    alone.

    Args:
        task: What is done.
        total: How much there is to do; the function may be told later.
        stays: Whether the bar is still there when the work is done.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    stderr = Console(stderr=True)
    watched = stderr.is_terminal
    with Progress(*columns, console=stderr, transient=not stays, disable=not watched) as bars:
        number = bars.add_task(task, total=total)

        def advance(done: int, total: int | None = None) -> None:
            bars.update(number, completed=done, total=total)

        yield advance
    if stays and not watched:
        stderr.print(bars)
