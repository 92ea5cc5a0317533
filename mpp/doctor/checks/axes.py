"""Checks of time and space: steps, boundaries, and what the axes were taken for."""

from collections.abc import Iterator

from mpp.doctor.finding import Finding, note, problem, warning
from mpp.doctor.report import Report
from mpp.schema import BOUNDARY_KINDS

LEAST_FRAMES = 2
"""Frames that training needs at least: one to start from and one to predict."""
HISTORY = 8
"""Frames that the default model looks back on: its training windows have one more."""
_DOUBTS = {
    "does not wrap": "a field jumps from its last point to its first",
    "equal at both sides": "the fields are equal at both sides, as if the last point were repeated",
}


def schema(report: Report) -> Iterator[Finding]:
    """What the schema asks for and other checks do not speak of."""
    for violation in report.violations:
        level = problem if violation.severity == "error" else warning
        yield level(f"{violation.where}: {violation.problem}", violation.fix)


def boundary(report: Report) -> Iterator[Finding]:
    """Whether every axis has a boundary, and whether the fields agree with it."""
    open_sides = [axis.name for axis in report.axes if not axis.boundary]
    if open_sides:
        example = " ".join(f"--boundary {name}=KIND" for name in open_sides)
        yield problem(
            f"no boundary condition along {', '.join(open_sides)}",
            f"state {example}, or take the mapping below, with KIND one of "
            f"{', '.join(BOUNDARY_KINDS)}",
        )
    for axis in report.axes:
        if axis.suspect:
            yield warning(
                f"{axis.name} is declared periodic, but {_DOUBTS[axis.sides]}", "check it"
            )
        elif axis.boundary and axis.boundary != "periodic" and axis.sides == "wraps":
            yield note(
                f"{axis.name} is declared {axis.boundary}, but the fields go on from its last "
                "point to its first",
                "check it; a flow that is the same on both sides looks so too",
            )


def time_step(report: Report) -> Iterator[Finding]:
    """Whether frames are equally far apart in time, and whether the file says how far."""
    time = report.time
    if time.numbered:
        yield warning("time has no coordinate; its frames are numbered from 0", "give it times")
    if not time.even and time.shortest > 0:
        yield problem(
            f"time steps differ, from {time.shortest:.4g} to {time.longest:.4g}",
            "`even: [time]` in the mapping interpolates to equal steps",
            "even: [time]",
        )


def frames(report: Report) -> Iterator[Finding]:
    """Whether runs are long enough for a window."""
    size = report.time.size
    if size < LEAST_FRAMES:
        yield problem("only one frame a run", "join later times, or choose another time dim")
    elif size <= HISTORY:
        yield warning(
            f"only {size} frames a run: a model that looks back on {HISTORY}, as by default, "
            f"trains on windows of {HISTORY + 1}",
            "give longer runs, or a model with a shorter history",
        )


def grid(report: Report) -> Iterator[Finding]:
    """Whether points are equally far apart, and whether the file says where they are."""
    for axis in report.axes:
        if axis.numbered:
            yield warning(f"{axis.name} has no coordinate; its points are numbered from 0")
        if not axis.even and axis.shortest > 0:
            length = axis.high - axis.low + axis.spacing
            stated = f"{{{axis.name}: {{period: {length:.8g}}}}}"
            periodic = axis.boundary == "periodic"
            entry = f"even: {stated}" if periodic else f"even: [{axis.name}]"
            check = ", with the length of the period" if periodic else ""
            yield warning(
                f"{axis.name} has points from {axis.shortest:.4g} to {axis.longest:.4g} apart, and "
                "models take grids for even",
                f"`{entry}` in the mapping interpolates to an even axis{check}",
                entry,
            )


def unread_variables(report: Report) -> Iterator[Finding]:
    """Variables with further dims, of which one place could be chosen."""
    for name, why in report.left_out.items():
        if "not those of the fields" in why:
            told = "" if "select" in why else "`select: {dim: 0}` in the mapping reads one point"
            yield note(f"{name} is left out: {why}", told)
