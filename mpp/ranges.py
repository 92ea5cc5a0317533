"""Which numbers a setting may be: commands and functions refuse the others before any work."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isfinite
from numbers import Integral, Real
from typing import Any

from mpp.errors import InputError

MOST = 2**31 - 1
"""No count of anything is larger."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``; NaN and infinity are in none.

    Args:
        told: What to give, in words.
        low: The least.
        high: The most.
        above: Whether ``low`` itself is too little.
        below: Whether ``high`` itself is too much.
        whole: Whether only whole numbers are meant.
        some: Whether of several one must be above ``low``.
    """

    told: str
    low: float
    high: float = inf
    above: bool = False
    below: bool = False
    whole: bool = False
    some: bool = False

    def __contains__(self, value: Any) -> bool:
        number: Any = value
        kind = Integral if self.whole else Real
        if not isinstance(value, kind) or (isinstance(value, float) and not isfinite(value)):
            return False
        high = number < self.high if self.below else number <= self.high
        return high and (number > self.low if self.above else number >= self.low)


COUNT = Range("at least 1", 1, MOST, whole=True)
NATURAL = Range("at least 0", 0, MOST, whole=True)
SEED = Range("a whole number from 0 to 4294967295", 0, 2**32 - 1, whole=True)
PORT = Range("a port from 0 to 65535", 0, 65535, whole=True)
POSITIVE = Range("a finite number above 0", 0, above=True)
NOT_NEGATIVE = Range("a finite number, 0 or more", 0)
SHARE = Range("a share of the run, from 0 to 1", 0, 1)
LASTING = Range("a share of the run, above 0 to 1", 0, 1, above=True)
INNER = Range("a share of the run, between 0 and 1", 0, 1, above=True, below=True)
RANGES = {
    **dict.fromkeys(
        (
            "accumulate", "batch_size", "devices", "fields", "frames", "grid", "history", "lead",
            "lead_steps", "max_steps", "members", "num_nodes", "rank", "resolution", "runs",
            "seeds", "sizes", "starts", "steps", "test_runs", "test_trajectories", "trajectories",
            "unroll", "validate_every", "validation_runs",
        ),
        COUNT,
    ),
    **dict.fromkeys(("sample", "skip_limit", "workers"), NATURAL),
    **dict.fromkeys(("lr", "max_minutes", "mode_lr", "rates", "scratch_lr", "time_step"),
                    POSITIVE),
    **dict.fromkeys(("perturb", "weight_decay"), NOT_NEGATIVE),
    **dict.fromkeys(("rollouts", "unroll_share"), SHARE),
    "head_share": INNER,
    "limit": Range("a number above 1, or none", 1, above=True),
    "held_out": Range("a share of the runs, between 0 and 1", 0, 1, above=True, below=True),
    "patience": LASTING,
    "port": PORT,
    "reached": Range("a share above 0, 1 at most", 0, 1, above=True),
    "seed": SEED,
    "weights": Range("finite numbers of which one is above 0, none below", 0, some=True),
}  # fmt: skip
"""The range of every number that a command or a function takes, by its name, which means the same
everywhere; of several numbers, that of each."""


def require(**settings: Any) -> None:
    """Refuse settings that mean nothing.

    Args:
        settings: Numbers, or several, by names of `RANGES`; ``None`` where one is left out.

    Raises:
        InputError: A number outside its range, by its name.
        KeyError: A name that has no range.

    Examples:
        >>> require(lr=float("nan"))
        Traceback (most recent call last):
        ...
        mpp.errors.InputError: lr is nan; give a finite number above 0
    """
    for name, value in settings.items():
        range_ = RANGES[name]
        many = isinstance(value, Iterable) and not isinstance(value, str)
        several = list(value) if many else []
        if range_.some and several and not any(several):
            raise InputError(f"{name} is {several}; give {range_.told}")
        for one in several if many else () if value is None else (value,):
            if one not in range_:
                large = range_ in (COUNT, NATURAL) and isinstance(one, Integral) and int(one) > MOST
                told = f"at most {MOST}" if large else range_.told
                raise InputError(f"{name} is {several or one}; give {told}")
