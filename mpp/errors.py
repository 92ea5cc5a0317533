"""What ends a command in one line: a user's mistake, a run that failed, or a signal."""

CONTROLS = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD),
}
"""What a terminal would obey, with a sign to show for it: escape becomes ␛.

Beside the control characters these are the marks that turn the order of what follows around.
"""


def printable(text: str) -> str:
    """Text from anywhere as a terminal may have it: nothing in it is a command.

    A file can name a field by an escape sequence that sets the clipboard or hides a line.

    Examples:
        >>> printable("height\x1b[2J")
        'height␛[2J'
    """
    return text.translate(CONTROLS)


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
        super().__init__(printable(" ".join(message.split())))


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
