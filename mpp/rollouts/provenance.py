"""What made a rollout, as attributes that travel with it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mpp import __version__, schema
from mpp.rollouts.stepping import Row, Stepping

LISTED = 20
"""Stopped runs that are told one by one."""


def made_by(stepping: Stepping, command: str) -> dict[str, str | int | float]:
    """Models, history and options.

    Args:
        stepping: What was done.
        command: The command line, or empty.
    """
    models, history = stepping.models, stepping.history
    kept = {key: value for key, value in history.attrs.items() if key in ("system", "source")}
    names = schema.names(history)
    frames = max(min(model.history, history.sizes["time"]) for model in models)
    sides = zip(schema.space_axes(history), schema.boundaries(history), strict=True)
    return {
        **kept,
        "system": schema.system(history),
        "model": _each(type(model).__name__ for model in models),
        "checkpoint": _each(str(model.card.get("sha256", "not saved")) for model in models),
        "normalization": _each(model.normalization(names) for model in models),
        "boundaries": ", ".join(f"{axis} {schema.format_boundary(kind)}" for axis, kind in sides),
        "history_frames": frames,
        "history_end": float(history["time"][-1]),
        "steps_asked": stepping.steps,
        "limit": "none" if stepping.limit is None else stepping.limit,
        "members": len(models) * stepping.members,
        "perturb": stepping.perturb,
        "seed": stepping.seed,
        **({"command": command} if command else {}),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "mpp_version": __version__,
    }


def outcome(stepping: Stepping, done: dict[Row, int], samples: int) -> dict[str, str | int]:
    """How far it came.

    Args:
        stepping: What was done.
        done: Frames of each row.
        samples: Samples in the result.
    """
    stopped = stepping.stopped
    rows = [row for _, batch in stepping.batches() for row in batch if row.sample < samples]
    good = [stopped[row][0] - 1 if row in stopped else done.get(row, 0) for row in rows]
    told: dict[str, str | int] = {"finite_steps": min(good)}
    if stopped:
        told["stopped_step"] = min(step for step, _ in stopped.values())
        told["stopped_runs"] = len(stopped)
        told["stopped_reason"] = _stopped_reason(stepping)
    return told


def stopped_line(attrs: Mapping[Any, Any]) -> str:
    """What stopped, in one line, from the attributes of a rollout."""
    first, others = str(attrs["stopped_reason"]).split("; ")[0], int(attrs["stopped_runs"]) - 1
    more = f" (and {others} more, see the attribute stopped_reason)" if others else ""
    return f"stopped at {first}{more}; the frames before it are kept"


def _stopped_reason(stepping: Stepping) -> str:
    """Step, sample and field of what stopped, the earliest first."""
    several = len(stepping.models) * stepping.members > 1
    ordered = sorted((step, row.sample, row.member, problem)
                     for row, (step, problem) in stepping.stopped.items())  # fmt: skip
    lines = [
        f"step {step}, sample {sample}{f', member {member}' if several else ''}: {problem}"
        for step, sample, member, problem in ordered
    ]
    more = [f"and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return "; ".join([*lines[:LISTED], *more])


def _each(texts) -> str:  # noqa: ANN001  # strings, one a model
    """One text where all are the same, else one for each model in order."""
    every = list(texts)
    return every[0] if len(set(every)) == 1 else "; ".join(every)
