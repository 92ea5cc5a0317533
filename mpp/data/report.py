"""What a look at files found: plain values, for a terminal or for JSON."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mpp.data.seam import Sides


@dataclass(frozen=True)
class AxisReport:
    """One space axis.

    Args:
        name: Its name in the schema.
        source: Its name in the file.
        size: Number of points.
        low: First position.
        high: Last position.
        spacing: Mean distance between points.
        even: Whether the distances are equal.
        units: Unit of the positions.
        numbered: Whether the file gives no positions, so that points are numbered.
        boundary: What is declared, empty if nothing is.
        sides: What the fields suggest.
    """

    name: str
    source: str
    size: int
    low: float
    high: float
    spacing: float
    even: bool
    units: str
    numbered: bool
    boundary: str
    sides: Sides = "unknown"

    @property
    def suspect(self) -> bool:
        """Whether what is declared and what the fields suggest contradict each other."""
        return self.boundary == "periodic" and self.sides in (
            "does not wrap",
            "equal at both sides",
        )


@dataclass(frozen=True)
class TimeReport:
    """The time axis: its name in the file, frames, first and last time, and step."""

    source: str
    size: int
    low: float
    high: float
    step: float
    even: bool
    units: str
    numbered: bool


@dataclass(frozen=True)
class FieldReport:
    """One field, from the frames that were read.

    Args:
        name: Its name in the schema.
        source: Its name in the file.
        units: Its unit.
        vector: Vector it is a component of, with the axis, if any.
        dtype: Kind of number.
        low: Smallest value.
        high: Largest value.
        missing: Share of the values, inside the mask, that are NaN or infinite.
        change: RMS of the change from a frame to the next, over the RMS about the mean.
        chunks: Chunk of the file by dim of the file, empty if stored in one piece.
    """

    name: str
    source: str
    units: str
    vector: str
    dtype: str
    low: float
    high: float
    missing: float
    change: float
    chunks: tuple[int, ...]

    @property
    def constant(self) -> bool:
        return self.low == self.high


@dataclass(frozen=True)
class Report:
    """What was understood, what is wrong with it, and what to do next.

    Args:
        paths: What was examined.
        files: Number of files behind it.
        format: What they are.
        joined: How several became one, in words.
        system: Name of the physical system.
        samples: Number of runs.
        sample_source: Dim of the file that counts them, empty if there is none.
        time: The time axis.
        axes: The space axes.
        fields: The fields.
        others: Role and range of every other variable by name.
        left_out: Why variables were not read, by their name in the file.
        nbytes: Size of the fields in memory.
        sampled: Frames that the numbers come from.
        problems: What keeps it from training, each with what to do.
        warnings: What is worth knowing.
        mapping: The mapping that would make it train, as YAML.
        needs_mapping: Whether other commands would not read the files the same way without it.
    """

    paths: tuple[str, ...]
    files: int
    format: str
    joined: str
    system: str
    samples: int
    sample_source: str
    time: TimeReport
    axes: tuple[AxisReport, ...]
    fields: tuple[FieldReport, ...]
    others: dict[str, str]
    left_out: dict[str, str]
    nbytes: int
    sampled: int
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    mapping: str
    needs_mapping: bool

    @property
    def verdict(self) -> bool:
        """Whether it will train as it is."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return {**_finite(asdict(self)), "verdict": self.verdict}


def _finite(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
