"""Checks of the fields' values, as far as they were read."""

import re
from collections import defaultdict
from collections.abc import Iterator

from mpp.data.statistics import STILL
from mpp.doctor.finding import Finding, note, problem, warning
from mpp.doctor.parts import FieldReport, rare
from mpp.doctor.report import Report

RESOLVED = {"float32": 2.0**-23, "bfloat16": 2.0**-7}
"""Distance from 1 to the next number."""
LARGEST, SMALLEST = 3.4e38, 1.2e-38
"""What float32 can hold."""
NEARLY_CONSTANT = 1e-6
"""A field that varies by less than this share of its size holds little but rounding."""
DECADES = 1e4
"""A positive field whose largest value is so many times the median spans many sizes."""
FILLS = (
    *(9.969209968386869e36, 9.96921e36, 1e20, 1e30, 1e35, 1e36, -1e20, -1e30, -1e34, 1e15, -1e15),
    *(-999.0, -9999.0, -99999.0, -999.9, -99.0, 9999.0, 99999.0, -32767.0, -32768.0, 32767.0),
)
"""Values that files hold where they hold nothing."""


def values(report: Report) -> Iterator[Finding]:
    """Whether any value could be read."""
    if report.sampling.frames == 0 and report.fields:
        yield warning(
            "no value was looked at: the smallest part that can be read at once is too large",
            "convert it first (see storage)",
        )


def missing(report: Report) -> Iterator[Finding]:
    """Values that no model may see."""
    for field in report.fields:
        if not field.missing:
            continue
        same = field.gaps >= 0.99 * field.missing
        where = "at the same points in every frame read" if same else "at points that change"
        entry = "missing: mask" if same else "missing: nearest"
        yield problem(
            f"{field.name}: {rare(field.missing)} of the values read are NaN or infinite, {where}",
            f"state `{entry}` in the mapping, or give a variable with role mask that is 0 there",
            entry,
        )


def fill_values(report: Report) -> Iterator[Finding]:
    """Numbers that stand for missing values, unmarked."""
    for field in report.fields:
        for value, share in ((field.low, field.at_low), (field.high, field.at_high)):
            known = any(abs(value - fill) <= 1e-6 * abs(fill) for fill in FILLS)
            apart = not field.median / 2 < abs(value) < 2 * field.median
            if known and apart and not field.constant and share >= 1e-4:
                yield warning(
                    f"{field.name}: {share:.2%} of the values are {value:.6g}, which looks like a "
                    "mark for missing ones",
                    "set the variable's attribute _FillValue to it",
                )


def constant(report: Report) -> Iterator[Finding]:
    """Fields with nothing to learn from."""
    read = [field for field in report.fields if field.read]
    if read and all(field.constant for field in read):
        yield problem("all fields are constant in the frames read", "is this the right file?")
        return
    still = [f for f in read if f.still == 1 and not f.constant]
    if read and all(field.still == 1 for field in read) and report.time.size > 1:
        yield problem("no field changes from frame to frame", "is this the right file?")
        return
    for field in read:
        if field.constant:
            yield warning(f"{field.name} is constant in the frames read", "leave it out")
        elif field.spread < NEARLY_CONSTANT * field.rms:
            yield warning(
                f"{field.name} is nearly constant: it varies by {field.spread / field.rms:.1e} of "
                "its size",
                "leave it out, or subtract the constant part",
            )
        elif field in still:
            yield warning(
                f"{field.name} does not change in time",
                f"if it is a map, state `roles: {{{field.source}: static}}` in the mapping",
            )


def repeated_frames(report: Report) -> Iterator[Finding]:
    """Frames that are equal to the one before."""
    for field in report.fields:
        if 0 < field.still < 1:
            yield note(
                f"{field.name}: in {field.still:.0%} of the pairs of frames read nothing changes",
                "check that no frame was written twice",
            )


def precision(report: Report) -> Iterator[Finding]:
    """Whether numbers of the training's precision hold the fields, and tell frames apart."""
    for field in report.fields:
        if not field.read:
            continue
        largest = max(abs(field.low), abs(field.high))
        if largest > LARGEST or 0 < largest < SMALLEST:
            yield problem(
                f"{field.name} reaches {largest:.3g}, which float32 cannot hold",
                "write it in another unit",
            )
        elif field.rms > 0 and field.step > 0 and not _nearly_constant(field):
            yield from _pace(field, report.precision == "bf16-mixed")


def _nearly_constant(field: FieldReport) -> bool:
    return field.spread < NEARLY_CONSTANT * field.rms


def _pace(field: FieldReport, half: bool) -> Iterator[Finding]:
    pace = field.step / field.rms
    moves = f"{field.name} changes by {pace:.1e} of its size from a frame to the next"
    if pace < RESOLVED["float32"]:
        held = "float64 holds that, " if field.dtype == "float64" else ""
        yield warning(
            f"{moves}; {held}float32, which training uses, resolves {RESOLVED['float32']:.1e}",
            "write it without its constant part, or keep frames that are further apart",
        )
    elif pace < STILL:
        yield warning(
            f"{moves}; training counts less than {STILL:.0e} as standing still",
            "write it without its constant part, or keep frames that are further apart",
        )
    elif half and pace < RESOLVED["bfloat16"]:
        yield note(
            f"{moves}, less than bfloat16 resolves ({RESOLVED['bfloat16']:.1e}); differences are "
            "taken in float32 and shown to the model beside the values",
            "compare with --precision 32-true",
        )


def decades(report: Report) -> Iterator[Finding]:
    """Positive fields that span many sizes, of which the scale of a run sees the largest."""
    for field in report.fields:
        if field.read and field.low > 0 and field.high > DECADES * field.median:
            yield note(
                f"{field.name} goes from {field.low:.1e} to {field.high:.1e}, with half of the "
                f"values below {field.median:.1e}",
                "its logarithm may be easier to learn",
            )


def vectors(report: Report) -> Iterator[Finding]:
    """Vectors without all components, and fields that look like components and are not told so."""
    axes = [axis.name for axis in report.axes]
    known: dict[str, list[str]] = defaultdict(list)
    for field in report.fields:
        vector, _, component = field.vector.partition(" ")
        if len(component) == 1:
            known[vector].append(component)
    for vector, parts in known.items():
        lacking = [axis for axis in axes if axis in ("x", "y", "z") and axis not in parts]
        if lacking and len(axes) > 1:
            yield note(
                f"{vector} has a component along {', '.join(parts)} but none along "
                f"{', '.join(lacking)}"
            )
    alone = {field.name: field for field in report.fields if not field.vector}
    for parts in _alike(list(alone)):
        if len({alone[name].units for name in parts}) == 1 and len(axes) > 1:
            pairs = dict(zip(parts, ("x", "y", "z"), strict=False))
            renames = ", ".join(f"{alone[n].source}: velocity_{axis}" for n, axis in pairs.items())
            stated = ", ".join(f"{axis}: {alone[n].source}" for n, axis in pairs.items())
            yield note(
                f"{' and '.join(parts)} look like components of a vector, and are not told to be",
                f"if so, state `names: {{{renames}}}`, or for another vector than velocity "
                f"`vectors: {{name: {{{stated}}}}}`",
            )


def _alike(names: list[str]) -> Iterator[tuple[str, ...]]:
    """Names such as u and v, or of one stem with x and y."""
    for letters in (("u", "v", "w"), ("U", "V", "W")):
        found = tuple(name for name in letters if name in names)
        if found[:2] == letters[:2]:
            yield found
    stems: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        match = re.fullmatch(r"(.+?)_?([xyz])", name)
        if match:
            stems[match[1]][match[2]] = name
    for parts in stems.values():
        if {"x", "y"} <= set(parts):
            yield tuple(parts[axis] for axis in sorted(parts))


def masks(report: Report) -> Iterator[Finding]:
    """Masks that let nothing, or everything, count."""
    for mask in report.masks:
        if mask.inside == 0:
            yield problem(
                f"{mask.name}: no point is inside the mask", "a mask is 1 where fields are defined"
            )
        elif mask.inside == 1:
            yield note(f"{mask.name} is 1 everywhere", "leave it out")
        elif mask.inside < 0.05:
            yield warning(
                f"{mask.name}: {mask.inside:.1%} of the points are inside the mask",
                "is it 1 where fields are defined, not where they are not?",
            )
