"""The progress bar that every command shows for work of more than a moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress(task: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr; the function that it yields takes how much is done by now."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        number = bars.add_task(task, total=total)
        yield lambda done: bars.update(number, completed=done)
