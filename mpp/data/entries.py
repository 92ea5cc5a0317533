"""Entries of a mapping that are more than a name, checked and brought into one form."""

from collections.abc import Mapping as Dict
from typing import Any

import numpy as np

from mpp.errors import InputError

Place = int | tuple[int, ...] | dict[str, float]
"""What to read of a dim, as ``select`` states it."""
WAYS = ({"value"}, {"start", "stop", "every"}, {"from", "to"})
FILLINGS = ("nearest", "mask")


def words(key: str, value: Any) -> tuple[str, ...]:
    """One name or a list of names, as a tuple.

    Raises:
        InputError: Anything else.
    """
    listed = (value,) if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)) or not all(isinstance(word, str) for word in listed):
        raise InputError(f"mapping: {key} must be a list of names, got {value!r}")
    return tuple(listed)


def places(dim: str, what: Any) -> Place:
    """What ``select`` reads of a dim.

    Raises:
        InputError: It could be a number of a point or a position, or is neither.
    """
    if _whole(what):
        return int(what)
    if isinstance(what, (list, tuple)) and what and all(map(_whole, what)):
        return tuple(int(number) for number in what)
    if isinstance(what, Dict) and what and any(set(what) <= way for way in WAYS):
        numbers = all(_number(part) for part in what.values())
        if numbers and ("value" in what or "from" in what or "to" in what):
            return {str(key): float(part) for key, part in what.items()}
        if numbers and all(map(_whole, what.values())) and what.get("every", 1) > 0:
            return {str(key): int(part) for key, part in what.items()}
    raise InputError(
        f"mapping: select: {dim} is {what!r}; expected the number of a point such as 0, a list of "
        "them, {value: 850.0}, {from: -30, to: 30}, or whole numbers {start: 0, stop: 64, every: 2}"
    )


def even_axes(stated: Any) -> dict[str, dict[str, float]]:
    """Axes to make even, each with what is stated of its new points.

    Raises:
        InputError: An unknown option, both a step and a number of points, or nothing above zero.
    """
    if not isinstance(stated, Dict):
        stated = {axis: {} for axis in words("even", stated)}
    made = {}
    for axis, options in stated.items():
        options = {} if options is None else options
        known = isinstance(options, Dict) and set(options) <= {"points", "step", "period"}
        if not known or len({"points", "step"} & set(options)) > 1:
            raise InputError(
                f"mapping: even: {axis} is {options!r}; expected {{points: 64}} or {{step: 0.5}}, "
                "and a period where the axis is periodic"
            )
        for key, number in options.items():
            least = 2 if key == "points" else np.nextafter(0, 1)
            if not (_whole(number) if key == "points" else _number(number)) or number < least:
                raise InputError(f"mapping: even: {axis}: {key} is {number!r}; give a number > 0")
        made[str(axis)] = {str(key): number for key, number in options.items()}
    return made


def fillings(stated: Any) -> Any:
    """What stands for missing values: for all variables, or by variable.

    Raises:
        InputError: Neither a number nor a way to find one.
    """
    if stated is None:
        return None
    for what in stated.values() if isinstance(stated, Dict) else (stated,):
        if what not in FILLINGS and not _number(what):
            raise InputError(
                f"mapping: missing is {what!r}; expected a number, nearest or mask, for all or by "
                "variable such as {u: 0, T: nearest}"
            )
    return {str(key): what for key, what in stated.items()} if isinstance(stated, Dict) else stated


def _number(value: Any) -> bool:
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and bool(np.isfinite(value))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
