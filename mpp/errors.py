"""What ends a command in one line: a user's mistake, a run that failed, or a signal."""


class InputError(ValueError):
    """Raised at the border when an input cannot be used.

    Commands print its message as one line on stderr and end with status 2, so the message must
    stand alone: what was expected, what came instead, where, and what to do about it.

    Examples:
        >>> raise InputError("a.nc: no time dimension (dims x, y); name it with time='...'")
        Traceback (most recent call last):
        ...
        mpp.errors.InputError: a.nc: no time dimension (dims x, y); name it with time='...'
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class RunError(RuntimeError):
    """Raised when a run cannot go on though its input could be used: it diverged, or memory is out.

    Commands print its message as one line on stderr and end with status 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class Stopped(SystemExit):  # as Python names the exits that are no errors
    """Raised when a run has ended in good order because of SIGTERM.

    Args:
        message: One line: where it stopped, and how to go on.
    """

    STATUS = 128 + 15
    """What shells call the end by SIGTERM."""

    def __init__(self, message: str) -> None:
        super().__init__(self.STATUS)
        self.message = " ".join(message.split())

    def __reduce__(self) -> tuple[type["Stopped"], tuple[str]]:  # from a process of a study
        return Stopped, (self.message,)


def require_at_least(least: int, **numbers: float) -> None:
    """Refuse settings that are too small to mean anything.

    Raises:
        InputError: A number below ``least``, by its name.
    """
    for name, number in numbers.items():
        if not number >= least:
            raise InputError(f"{name} is {number}; give at least {least}")
