"""A finding: what one check says of the sampled data, how grave it is, and what to do."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        level: ``problem`` keeps the files from training, ``warning`` is to be looked at, ``note``
            is worth knowing, ``ok`` is nothing.
        text: What was found, and where.
        todo: What to do about it; empty where there is nothing to do.
        check: Name of the check, filled in by `mpp.doctor.checks`.
        entry: Line of a mapping that may solve it.
    """

    level: Level
    text: str
    todo: str = ""
    check: str = ""
    entry: str = ""

    def __str__(self) -> str:
        return f"{self.text}; {self.todo}" if self.todo else self.text


def note(text: str, todo: str = "") -> Finding:
    """Something worth knowing."""
    return Finding("note", text, todo)


def warning(text: str, todo: str = "", entry: str = "") -> Finding:
    """Something to be looked at before training."""
    return Finding("warning", text, todo, entry=entry)


def problem(text: str, todo: str = "", entry: str = "") -> Finding:
    """Something that keeps the files from training."""
    return Finding("problem", text, todo, entry=entry)
