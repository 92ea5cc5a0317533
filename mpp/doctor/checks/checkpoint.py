"""Checks of what a checkpoint makes of the files."""

from collections.abc import Iterator

from mpp.doctor.checkpoint import CheckpointReport
from mpp.doctor.checks.runs import size
from mpp.doctor.finding import Finding, note, problem, warning
from mpp.doctor.report import Report


def fit(report: Report) -> Iterator[Finding]:
    """Whether it can be finetuned on these files at all."""
    found = _of(report)
    if found.unfit:
        yield problem(f"{found.name} cannot be finetuned on this: {found.unfit}")
    elif found.cost is None:
        yield note(
            f"no step of {found.name} was taken, so that time and memory are not known",
            "solve the problems first" if report.problems else "convert the files (see storage)",
        )
    elif found.cost.error == found.cost.error:
        share = f"before any training its one-step error is {found.cost.error:.2g} times that"
        yield Finding("ok", f"{share} of copying the last frame")


def known_fields(report: Report) -> Iterator[Finding]:
    """Fields that are new to it, and fields that it knows in another unit."""
    found = _of(report)
    if found.new:
        told = [
            f"{name} (most like {found.resembles[name]})" if name in found.resembles else name
            for name in found.new
        ]
        yield note(
            f"new to {found.name}: {', '.join(told)}",
            "rename a field that it knows by another name, with `names` in the mapping",
        )
    here = {field.name: field.units for field in report.fields}
    units = [f"{name} in {here.get(name, '1')}, not {old}" for name, old in found.units.items()]
    if units:
        yield note(f"other units than in {found.name}: {'; '.join(units)}", "scales adapt to them")
    for name, role in found.roles.items():
        yield note(f"{name} was a {role} in the training of {found.name}, and is none here")
    if not found.new and not found.units and not found.roles:
        yield Finding("ok", f"{found.name} knows every field")


def numbers(report: Report) -> Iterator[Finding]:
    """Numbers of the equation outside the range of its training."""
    found = _of(report)
    for number in found.numbers:
        if number.outside and number.trained:
            low, high = number.trained
            yield note(
                f"{number.name} is {_span(number.low, number.high)} here and was "
                f"{_span(low, high)} in the training of {found.name}",
                "finetune before you trust it",
            )
    new = [number.name for number in found.numbers if number.trained is None]
    if new:
        yield note(f"numbers of the equation that are new to {found.name}: {', '.join(new)}")


def cost(report: Report) -> Iterator[Finding]:
    """Time and memory of a finetuning."""
    found = _of(report).cost
    if found is None:
        return
    if found.error != found.error:
        yield problem("the first training step gave no finite error", "look at the fields' ranges")
        return
    scaled = (
        f", from a part of a frame with 1/{found.scaled:.3g} of its points"
        if found.scaled > 1
        else ""
    )
    text = (
        f"{found.steps} steps, validated every so often, take about {_time(found.seconds)} and "
        f"{size(found.memory)} beside the program itself, on {found.device}{scaled}"
    )
    if found.memory > 0.9 * found.available > 0:
        yield warning(f"{text}; it has {size(found.available)}", "train on a coarser grid")
    else:
        yield Finding("ok", text)
    slow = report.storage
    needed = found.batch_size / found.seconds_a_step
    if not slow.in_memory and slow.windows_per_second < needed:
        yield warning(
            f"training takes {needed:.3g} windows a second, and reading gives "
            f"{slow.windows_per_second:.3g}",
            "convert the files (see storage)",
        )


def _of(report: Report) -> CheckpointReport:
    assert report.checkpoint is not None  # these checks run only with one
    return report.checkpoint


def _span(low: float, high: float) -> str:
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
