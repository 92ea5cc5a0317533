"""What may be chosen of a training: what of a model trains, how fast, and what stops it."""

from typing import Literal, get_args

from mpp.errors import InputError, require_at_least

Mode = Literal["full", "head", "lora", "gradual"]
MODES: tuple[Mode, ...] = get_args(Mode)
RATES: dict[Mode, float] = {"full": 5e-3, "head": 5e-3, "lora": 1.5e-2, "gradual": 5e-3}
"""Level of the learning rate of each mode where none is given."""
UNROLL_SHARE = 0.5
"""Share of the budget, at its end, in which every other batch is rolled out."""
RANK = 5
"""Rank of the adapters where none is given; they are 3.8 % of the parameters of mpp-mini."""
HEAD_SHARE = 0.3
"""Share of the budget in which `gradual` trains the head alone, where none is given."""
STEPS = 500
"""Optimizer steps where neither steps nor minutes are given."""
PATIENCE = 0.5
"""Share of the budget without a better validation after which finetuning ends."""

OnBadLoss = Literal["stop", "skip"]
SKIP_LIMIT = 10
"""Steps that may be left out for a bad loss before a run ends."""


def require_policy(policy: str, limit: int) -> None:
    """Refuse what is no way to treat bad losses.

    Raises:
        InputError: Another policy than stop and skip, or a limit below zero.
    """
    if policy not in get_args(OnBadLoss):
        raise InputError(f"on_bad_loss is {policy!r}; expected stop or skip")
    require_at_least(0, skip_limit=limit)


def require_mode(mode: str, rank: int, head_share: float) -> None:
    """Refuse a mode that there is not, or options that it cannot have.

    Raises:
        InputError: An unknown mode, a rank below one, or a share outside 0 to 1.
    """
    if mode not in MODES:
        raise InputError(f"mode is {mode!r}; expected one of {', '.join(MODES)}")
    if rank < 1:
        raise InputError(f"rank is {rank}; give at least 1")
    if not 0 < head_share < 1:
        raise InputError(f"head_share is {head_share}; give a share of the run, between 0 and 1")
