"""All checks in one table; another check is one function and one line."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from mpp.doctor.checks import axes, fields, runs
from mpp.doctor.finding import Finding
from mpp.doctor.report import Report


@dataclass(frozen=True)
class Check:
    """One check.

    Args:
        name: What it looks at.
        find: From a report without findings to what there is to say; nothing where all is well.
    """

    name: str
    find: Callable[[Report], Iterable[Finding]]


CHECKS = (
    Check("boundary", axes.boundary),
    Check("schema", axes.schema),
    Check("missing values", fields.missing),
    Check("time step", axes.time_step),
    Check("frames", axes.frames),
    Check("grid", axes.grid),
    Check("values", fields.values),
    Check("fill values", fields.fill_values),
    Check("constant fields", fields.constant),
    Check("repeated frames", fields.repeated_frames),
    Check("precision", fields.precision),
    Check("decades", fields.decades),
    Check("vectors", fields.vectors),
    Check("masks", fields.masks),
    Check("other dims", axes.unread_variables),
    Check("number of runs", runs.runs),
    Check("runs twice", runs.twins),
    Check("storage", runs.storage),
)


def checkpoint_checks() -> tuple[Check, ...]:
    """The checks of a checkpoint; their imports take a second, which other reports are spared."""
    from mpp.doctor.checks import checkpoint

    return (
        Check("checkpoint", checkpoint.fit),
        Check("known fields", checkpoint.known_fields),
        Check("numbers", checkpoint.numbers),
        Check("cost", checkpoint.cost),
    )


def run_checks(report: Report, checks: Sequence[Check]) -> tuple[Finding, ...]:
    """What all checks find, an ``ok`` for each that finds nothing."""
    found = []
    for check in checks:
        said = list(check.find(report)) or [Finding("ok", "")]
        found += [replace(finding, check=check.name) for finding in said]
    return tuple(found)
