"""``mpp doctor``: what is in these files, and will they train."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mpp.cli.parsing import CommandParser
from mpp.cli.source import add_source, stated_mapping
from mpp.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mpp.data.doctor import AxisReport, FieldReport, Report


def parser() -> CommandParser:
    """The command's options."""
    made = CommandParser(
        "doctor",
        "What is in these files, and will they train. Status 0 if they will.",
        "mpp doctor 'runs/*.nc' --mapping mapping.yaml",
    )
    add_source(made)
    made.add_argument(
        "--save-mapping", type=Path, metavar="FILE.yaml", help="write the printed mapping there"
    )
    made.add_argument("--json", action="store_true", help="the report as JSON on stdout")
    return made


def run(args: argparse.Namespace) -> None:
    """Print the report.

    Raises:
        InputError: The files cannot be read, or will not train as they are.
    """
    from rich.console import Console

    from mpp.cli.progress import progress
    from mpp.data.doctor import examine

    mapping = stated_mapping(args)
    with progress("open", stays=False) as advance:
        report = examine(args.path, mapping, on_file=advance)
    if args.save_mapping:
        _save(report.mapping, args.save_mapping)
    if args.json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n")
    else:
        render(report, Console())
    if not report.verdict:
        raise InputError(f"{args.path[0]}: will not train yet: {' | '.join(report.problems)}")


def _save(mapping: str, path: Path) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(mapping)
    except FileExistsError as error:
        raise InputError(f"{path} exists; give --save-mapping another name") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def render(report: "Report", console: "Console") -> None:
    """Print a report for reading."""
    from rich.padding import Padding
    from rich.syntax import Syntax

    console.print(_title(report), highlight=False)
    console.print(_dims(report), "", _fields(report), "")
    if report.others or report.left_out:
        console.print(_others(report), "")
    for warning in report.warnings:
        console.print(f"[yellow]![/] {warning}", highlight=False)
    for problem in report.problems:
        console.print(f"[bold red]✗[/] {problem}", highlight=False)
    if report.verdict:
        console.print("[bold green]✓ It will train.[/]")
    if report.needs_mapping:
        console.print(
            "\n[bold]Mapping[/] [dim](to check and edit; --save-mapping mapping.yaml writes it)[/]"
        )
        lines = report.mapping.rstrip()
        mapping = Syntax(lines, "yaml", theme="ansi_dark", background_color="default")
        console.print(Padding(mapping, (0, 2)))
    console.print(f"\n[bold]Next[/]  {next_command(report)}", highlight=False, soft_wrap=True)


def next_command(report: "Report") -> str:
    """What to type next."""
    paths = " ".join(shlex.quote(path) for path in report.paths)
    if report.verdict and not report.needs_mapping:
        return f"mpp finetune --checkpoint mpp-mini --data {paths} --out finetuned"
    name = f"{report.system or 'data'}.zarr"
    return f"mpp convert {paths} --mapping mapping.yaml --out {shlex.quote(name)}"


def _title(report: "Report") -> str:
    kinds = {
        "pdebench": "PDEBench HDF5",
        "thewell": "The Well HDF5",
        "netcdf4": "NetCDF-4",
        "netcdf3": "NetCDF-3",
        "zarr": "Zarr",
    }
    files = f"{report.files} files" if report.files > 1 else "1 file"
    joined = f", {report.joined}" if report.joined else ""
    return (
        f"\n[bold]{report.system}[/]  {kinds[report.format]}, {files}{joined}, "
        f"{_size(report.nbytes)} in memory\n"
    )


def _size(nbytes: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < 1024:
            return f"{nbytes:.4g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.4g} TiB"


def _dims(report: "Report") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for column in ("axis", "in the file"):
        table.add_column(column, style="cyan" if column == "axis" else "")
    for column in ("points", "from", "to", "step"):
        table.add_column(column, justify="right")
    for column in ("units", "boundary", "fields say"):
        table.add_column(column)
    table.add_row("sample", report.sample_source or "[dim]-[/]", str(report.samples))
    time = report.time
    step = _step(time.step, time.even)
    ends = (f"{time.low:.6g}", f"{time.high:.6g}")
    table.add_row("time", time.source or "-", str(time.size), *ends, step, time.units)
    for axis in report.axes:
        table.add_row(*_axis_row(axis))
    return table


def _step(step: float, even: bool) -> str:
    return f"{step:.4g}" if even else f"[red]{step:.4g} uneven[/]"


def _axis_row(axis: "AxisReport") -> list[str]:
    agrees = "yellow" if axis.suspect else "dim"
    return [
        axis.name,
        axis.source,
        str(axis.size),
        f"{axis.low:.6g}",
        f"{axis.high:.6g}",
        _step(axis.spacing, axis.even),
        axis.units,
        axis.boundary or "[bold red]missing[/]",
        f"[{agrees}]{axis.sides}[/]",
    ]


def _fields(report: "Report") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("field", style="cyan")
    for column in ("in the file", "units", "vector"):
        table.add_column(column)
    for column in ("lowest", "highest", "missing", "change"):
        table.add_column(column, justify="right")
    table.add_column("chunk")
    for field in report.fields:
        own = report.format in ("pdebench", "thewell")
        table.add_row(*_field_row(field, "" if own else "one piece"))
    pace = "change: RMS from a frame to the next, over the field's spread"
    table.caption = f"from {report.sampled} frames; {pace}"
    table.caption_justify = "left"
    return table


def _others(report: "Report") -> "Table":
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, what in report.others.items():
        table.add_row(f"[cyan]{name}[/]", what)
    for name, why in report.left_out.items():
        table.add_row(f"[dim]{name}[/]", f"[dim]left out: {why}[/]")
    return table


def _field_row(field: "FieldReport", whole: str) -> list[str]:
    missing = f"[bold red]{field.missing:.2%}[/]" if field.missing else "[dim]none[/]"
    return [
        field.name,
        field.source,
        field.units,
        field.vector,
        f"{field.low:.4g}",
        f"{field.high:.4g}",
        missing,
        f"{field.change:.2%}" if field.change == field.change else "-",
        "×".join(map(str, field.chunks)) or f"[dim]{whole}[/]",
    ]
