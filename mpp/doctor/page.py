"""The report on a terminal, from 80 columns on."""

import shlex
from collections import defaultdict
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from mpp.doctor.checks.runs import convert_command, size
from mpp.doctor.finding import Finding, Level
from mpp.doctor.parts import AxisReport, FieldReport, rare
from mpp.doctor.report import Report

KINDS = {
    "pdebench": "PDEBench HDF5",
    "thewell": "The Well HDF5",
    "netcdf4": "NetCDF-4",
    "netcdf3": "NetCDF-3",
    "zarr": "Zarr",
}
WIDE = 100
"""Columns from which on there is room for names in the file beside ours."""
SIGNS: dict[Level, tuple[str, str]] = {
    "problem": ("✗", "bold red"),
    "warning": ("!", "yellow"),
    "note": ("·", "cyan"),
}
VERDICTS = {
    "will train": "[bold green]✓ It will train.[/]",
    "will train, but": "[bold green]✓ It will train[/][yellow], but look at what has a !.[/]",
    "will not train": "[bold red]✗ It will not train yet.[/]",
}


def render(report: Report, console: Console) -> None:
    """Print a report for reading."""
    console.print(_title(report), highlight=False)
    wide = console.width >= WIDE
    console.print(_axes(report, wide), "", _fields(report, wide))
    console.print(Text(_caption(report, wide), style="dim"), highlight=False)
    console.print()
    if report.others or report.left_out:
        console.print(_others(report), "")
    console.print(_findings(report.findings), "")
    console.print(VERDICTS[report.outlook], highlight=False)
    if report.needs_mapping:
        console.print(
            "\n[bold]Mapping[/] [dim](to check and edit; --save-mapping mapping.yaml writes it)[/]"
        )
        lines = report.mapping.rstrip()
        mapping = Syntax(lines, "yaml", theme="ansi_dark", background_color="default")
        console.print(Padding(mapping, (0, 2)))
    command = Text(next_command(report))
    console.print(Text("\nNext  ", style="bold"), end="", highlight=False)
    console.print(command, highlight=False, soft_wrap=True)


def next_command(report: Report) -> str:
    """What to type next."""
    paths = " ".join(shlex.quote(path) for path in report.paths)
    if report.needs_mapping:
        return convert_command(report)
    if not report.verdict:
        return f"mpp doctor {paths}"
    checkpoint = shlex.quote(report.checkpoint.name) if report.checkpoint else "mpp-mini"
    half = " --precision bf16-mixed" if report.precision == "bf16-mixed" else ""
    return f"mpp finetune --checkpoint {checkpoint} --data {paths} --out finetuned{half}"


def _title(report: Report) -> str:
    files = f"{report.files} files" if report.files > 1 else "1 file"
    joined = f" ({report.joined.partition(', ')[2] or report.joined})" if report.joined else ""
    return (
        f"\n[bold]{escape(report.system)}[/]  {KINDS[report.format]}, {files}{joined}, "
        f"{size(report.nbytes)} in memory\n"
    )


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)


def _axes(report: Report, wide: bool) -> Table:
    """One row an axis; names in the file where they differ and there is room for them."""
    time, table = report.time, _table()
    shown = wide and bool(_renamed_axes(report))
    table.add_column("axis", style="cyan", overflow="fold")
    if shown:
        table.add_column("in the file", overflow="fold")
    for column in ("points", "from", "to", "step"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("units", overflow="fold")
    table.add_column("boundary", overflow="fold")
    table.add_column("fields say", overflow="fold")
    ends = (f"{time.low:.6g}", f"{time.high:.6g}", _step(time.step, time.even))
    rows = [
        ["sample", escape(report.sample_source) or "[dim]-[/]", str(report.samples)],
        ["time", escape(time.source) or "-", str(time.size), *ends, escape(time.units)],
        *(_axis_row(axis) for axis in report.axes),
    ]
    for row in rows:
        table.add_row(*(row if shown else [row[0], *row[2:]]))
    return table


def _renamed_axes(report: Report) -> dict[str, str]:
    """Names in the file of dims that are called otherwise there."""
    dims = {"sample": report.sample_source, "time": report.time.source}
    dims |= {axis.name: axis.source for axis in report.axes}
    return {name: source for name, source in dims.items() if source and source != name}


def _step(step: float, even: bool) -> str:
    return f"{step:.4g}" if even else f"[red]{step:.4g} uneven[/]"


def _axis_row(axis: AxisReport) -> list[str]:
    agrees = "yellow" if axis.suspect else "dim"
    return [
        escape(axis.name),
        escape(axis.source),
        str(axis.size),
        f"{axis.low:.6g}",
        f"{axis.high:.6g}",
        _step(axis.spacing, axis.even),
        escape(axis.units),
        axis.boundary or "[bold red]missing[/]",
        f"[{agrees}]{axis.sides}[/]",
    ]


def _fields(report: Report, wide: bool) -> Table:
    """One row a field; columns that would say nothing are left out."""
    found = report.fields
    columns: list[tuple[str, bool, bool]] = [
        ("field", False, True),
        ("in the file", False, wide and any(field.name != field.source for field in found)),
        ("units", False, True),
        ("vector", False, any(field.vector for field in found)),
        ("lowest", True, True),
        ("highest", True, True),
        ("missing", True, any(field.missing for field in found)),
        ("change", True, True),
    ]
    table = _table()
    for name, right, shown in columns:
        if shown:
            style = "cyan" if name == "field" else ""
            justify = "right" if right else "left"
            table.add_column(name, style=style, justify=justify, overflow="fold", no_wrap=right)
    for field in found:
        cells = zip(_field_row(field), columns, strict=True)
        table.add_row(*(cell for cell, (_, _, shown) in cells if shown))
    return table


def _field_row(field: FieldReport) -> list[str]:
    missing = f"[bold red]{rare(field.missing)}[/]" if field.missing else "[dim]none[/]"
    return [
        escape(field.name),
        escape(field.source),
        escape(field.units),
        escape(field.vector),
        *_apart(field.low, field.high),
        missing,
        f"{field.change:.2%}" if field.change == field.change else "-",
    ]


def _apart(low: float, high: float) -> tuple[str, str]:
    """Both ends with as many digits as it takes to tell them apart."""
    digits = next((n for n in (4, 6, 8) if f"{low:.{n}g}" != f"{high:.{n}g}"), 4)
    return f"{low:.{digits}g}", f"{high:.{digits}g}"


def _caption(report: Report, wide: bool) -> str:
    """How much was read, what the numbers mean, and names in the file that found no room above."""
    read = report.sampling
    share = f"{read.share:.2g}" if read.share < 0.001 else f"{read.share:.1%}"
    part = "".join(
        f", points {low} to {high - 1} of {axis}" for axis, (low, high) in read.part.items()
    )
    renamed = {f.name: f.source for f in report.fields if f.name != f.source}
    renamed = {} if wide else {**_renamed_axes(report), **renamed}
    listed = ", ".join(f"{name} is {source}" for name, source in renamed.items())
    names = f"; in the file {listed}" if listed else ""
    runs = f"{read.runs} run{'s' if read.runs != 1 else ''}"
    return (
        f"read for this: {read.frames} frames of {runs}{part}, {size(read.nbytes)} or {share} of "
        f"all; change: RMS from a frame to the next, over the field's spread{names}"
    )


def _others(report: Report) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, what in report.others.items():
        table.add_row(f"[cyan]{escape(name)}[/]", escape(what))
    for name, why in report.left_out.items():
        table.add_row(f"[dim]{escape(name)}[/]", f"[dim]left out: {escape(why)}[/]")
    return table


def _findings(findings: Sequence[Finding]) -> Table:
    """What was found, the gravest first; checks that found nothing stand in one line."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for level, (sign, style) in SIGNS.items():
        for finding in (each for each in findings if each.level == level):
            text = Text(finding.text)
            if finding.todo:
                text.append(f"\n→ {finding.todo}", style="dim")
            table.add_row(Text(sign, style=style), Text(finding.check, style=style), text)
    fine = [each for each in findings if each.level == "ok"]
    said = defaultdict(list)
    for finding in fine:
        said[bool(finding.text)].append(finding)
    for finding in said[True]:
        table.add_row("[green]✓[/]", f"[green]{finding.check}[/]", Text(finding.text))
    if said[False]:
        names = ", ".join(finding.check for finding in said[False])
        table.add_row(
            "[green]✓[/]", "[green]the rest[/]", Text(f"nothing to say of {names}", style="dim")
        )
    return table
