"""What happens at the sides of a domain: what the user says, else what the file or its set says."""

from collections.abc import Mapping, Sequence

from mpp.errors import InputError
from mpp.schema import format_boundary, parse_boundary


def choose(
    axes: Sequence[str],
    known: Mapping[str, str],
    wanted: str | Mapping[str, str] | None,
    source: str,
) -> dict[str, str]:
    """The boundary of every axis.

    Args:
        axes: The space axes.
        known: Boundaries by axis that hold unless others are wanted.
        wanted: What the user says: one for all axes, or by axis.
        source: The file, for errors.

    Raises:
        InputError: An unknown kind or axis, or an axis about which nothing is known.
    """
    stated = dict.fromkeys(axes, wanted) if isinstance(wanted, str) else dict(wanted or {})
    unknown = sorted(set(stated) - set(axes))
    if unknown:
        have = ", ".join(axes)
        raise InputError(f"{source}: boundary= names the axis {unknown[0]!r}; its axes are {have}")
    chosen = {**known, **stated}
    missing = [axis for axis in axes if axis not in chosen]
    if missing:
        raise InputError(
            f"{source}: what happens at the sides of {missing[0]} is not known; give "
            "boundary='periodic', 'wall', 'open', 'no-flux' or 'fixed'"
        )
    try:
        return {axis: format_boundary(parse_boundary(chosen[axis])) for axis in axes}
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
