"""A user's mistake, told in one line: what was expected, what came, where, and what to do."""


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


def require_at_least(least: int, **numbers: float) -> None:
    """Refuse settings that are too small to mean anything.

    Raises:
        InputError: A number below ``least``, by its name.
    """
    for name, number in numbers.items():
        if not number >= least:
            raise InputError(f"{name} is {number}; give at least {least}")
