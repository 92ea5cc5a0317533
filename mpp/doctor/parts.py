"""What a look at the axes, fields and masks of a dataset found, as plain values."""

from dataclasses import dataclass

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
        shortest: Least distance between points.
        longest: Greatest distance between points.
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
    shortest: float
    longest: float
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
    """The time axis.

    Args:
        source: Its name in the file.
        size: Number of frames.
        low: First time.
        high: Last time.
        step: Mean time between frames.
        shortest: Least time between frames.
        longest: Greatest time between frames.
        even: Whether the times between frames are equal.
        units: Unit of the times.
        numbered: Whether the file gives no times, so that frames are numbered.
    """

    source: str
    size: int
    low: float
    high: float
    step: float
    shortest: float
    longest: float
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
        rms: RMS of its values.
        median: Median of their sizes.
        spread: Standard deviation within a run, over points and frames.
        step: RMS of the change from a frame to the next.
        change: The same over the spread.
        missing: Share of the values, inside the mask, that are NaN or infinite.
        gaps: Share of the points that are so in every frame read.
        at_low: Share of the values that are equal to the smallest.
        at_high: Share of the values that are equal to the largest.
        still: Share of the pairs of frames between which nothing changes.
    """

    name: str
    source: str
    units: str
    vector: str
    dtype: str
    low: float
    high: float
    rms: float
    median: float
    spread: float
    step: float
    change: float
    missing: float
    gaps: float
    at_low: float
    at_high: float
    still: float

    @property
    def read(self) -> bool:
        """Whether there is a finite value among those that were read."""
        return bool(np.isfinite(self.rms))

    @property
    def constant(self) -> bool:
        return self.low == self.high


@dataclass(frozen=True)
class MaskReport:
    """One mask: its name, and the share of the points that it lets count."""

    name: str
    inside: float


def rare(share: float) -> str:
    """A share in percent, of which a little is never nothing."""
    return f"{share:.2%}" if not 0 < share < 1e-4 else "less than 0.01%"


@dataclass(frozen=True)
class Sampling:
    """How much was read for what is said of the fields.

    Args:
        runs: Runs that frames were read of.
        frames: Frames, of all these runs together, each with all fields.
        nbytes: Their size.
        share: Over the size of all fields.
        part: By axis, the first point read and the one behind the last, where frames are too large
            to be read whole.
        seconds: Time that reading took.
    """

    runs: int
    frames: int
    nbytes: int
    share: float
    part: dict[str, list[int]]
    seconds: float
