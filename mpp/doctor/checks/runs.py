"""Checks of the runs, and of how they lie in the files."""

from collections.abc import Iterator, Sequence

from mpp.doctor.finding import Finding, note, warning
from mpp.doctor.report import Report

SHOWN = 3
"""Groups of runs that are told by name."""
GAIN = 1.5
"""Where a window reads so many times what it would after ``mpp convert``, converting pays."""


def runs(report: Report) -> Iterator[Finding]:
    """Whether runs can be held out."""
    if report.samples == 1:
        yield warning(
            "only one run: its last part is held out to validate on",
            "add runs to see what holds for a new one",
        )


def twins(report: Report) -> Iterator[Finding]:
    """Runs that appear twice, here or in another split."""
    found = report.twins
    doubt = " in the part of them that was compared" if found.unsure else ""
    for group in found.identical[:SHOWN]:
        yield warning(
            f"{_together(group)} are the same{doubt}",
            "leave all but one out, by `select` in the mapping, or what is held out is trained on",
        )
    for group in found.same_start[:SHOWN]:
        yield note(
            f"{_together(group)} start from the same frame{doubt}",
            "hold them out together, unless their equations differ",
        )
    more = len(found.identical[SHOWN:]) + len(found.same_start[SHOWN:])
    if more:
        yield warning(f"{more} more groups of runs are or start the same", "see --json")
    for split, why in found.unread.items():
        yield note(f"runs of the split {split} were not compared: {why}")
    if found.runs > 1 and found.compared < 2:
        yield note("runs were not compared with each other: too much would have to be read for it")
    elif found.runs > 1 and not found.identical and not found.same_start:
        among = f"{found.compared} of {found.runs}" if found.compared < found.runs else "all"
        other = f", those of {' and '.join(found.splits)} included" if found.splits else ""
        yield Finding("ok", f"no run appears twice ({among} compared{other})")


def _together(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def storage(report: Report) -> Iterator[Finding]:
    """Whether windows of whole frames can be read without reading much else."""
    found = report.storage
    chunk = "×".join(map(str, found.chunks))
    laid = f"chunks of {chunk} ({', '.join(found.dims)})" if chunk else "the order of its values"
    advice = f"mpp convert writes chunks of whole frames: {convert_command(report)}"
    if found.measured == 0:
        yield warning(
            f"a window cannot be read without {size(found.overhead * found.window_bytes)}, "
            f"for {laid}; nothing was measured",
            advice,
        )
        return
    speed = f"{found.windows_per_second:.3g} windows of {found.window} frames a second"
    if found.in_memory:
        yield Finding("ok", f"training reads everything into memory once; before that {speed}")
    elif found.overhead > GAIN * found.converted:
        needed = size(found.overhead * found.window_bytes)
        needed = size(found.overhead * found.window_bytes)
        better = size(found.converted * found.window_bytes)
        yield warning(
            f"a window of {size(found.window_bytes)} reads {needed}, for {laid}: {speed}",
            f"{advice}; a window then reads {better}",
        )
    else:
        yield Finding("ok", f"{speed} (files may have been in the cache of the system)")


def convert_command(report: Report) -> str:
    """The command that writes the data anew."""
    import shlex

    from mpp.files import file_name

    paths = " ".join(shlex.quote(path) for path in report.paths)
    mapping = " --mapping mapping.yaml" if report.needs_mapping else ""
    name = file_name(report.system, "data") + ".zarr"
    return f"mpp convert {paths}{mapping} --out {name}"


def size(nbytes: float) -> str:
    """A number of bytes for reading."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < 1024:
            return f"{nbytes:.3g} {unit}" if nbytes < 1000 else f"{nbytes:.4g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.4g} TiB"
