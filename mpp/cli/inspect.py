"""``mpp inspect``: what a checkpoint is."""

import argparse
import json
import sys
from itertools import chain
from typing import TYPE_CHECKING, Any

from mpp.cli.parsing import CHECKPOINT, CommandParser

if TYPE_CHECKING:
    from rich.table import Table


FIRST = ("systems", "finetuned_on")
"""What of the card stands before everything else that it holds."""


def parser() -> CommandParser:
    """Options of the command."""
    made = CommandParser(
        "inspect",
        "Show a checkpoint's model, size, history, patch, fields with units, systems, recipe and "
        "hash.",
        "mpp inspect mpp-mini",
    )
    made.add_argument("checkpoint", help=CHECKPOINT)
    made.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return made


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from mpp.checkpoints import locate
    from mpp.cli.outputs import Console
    from mpp.weights import describe, load

    folder = locate(arguments.checkpoint)  # once, since it may have to be fetched
    found, model = describe(folder), load(folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    facts = {
        "parameters": parameters,
        "history": model.history,
        "patch": list(model.patch),
        "number_ranges": model.number_ranges,
    }
    if arguments.json:
        sys.stdout.write(json.dumps({**found, **facts}, indent=2) + "\n")
        return
    console = Console(highlight=False)
    console.print(_summary(found, facts))
    console.print()
    console.print(_fields(found))
    if model.number_ranges:
        console.print()
        console.print(_numbers(found, model.number_ranges))


def _summary(found: dict[str, Any], facts: dict[str, Any]) -> "Table":
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold cyan", no_wrap=True)
    table.add_column(overflow="fold")
    shown = {"names", "history", "fine", "coarse", "levels", "numbers"}
    shape = {key: value for key, value in found["arguments"].items() if key not in shown}
    frames = "frame" if facts["history"] == 1 else "frames"
    table.add_row("model", found["model"])
    table.add_row("parameters", f"{facts['parameters']:,}")
    table.add_row("history", f"{facts['history']} {frames}")
    if facts["patch"]:
        patch = " or ".join(map(str, facts["patch"]))
        table.add_row("patch", f"{patch} points a token along each axis")
    table.add_row("shape", _readable(shape))
    card = found["card"]
    elsewhere = (*FIRST, "fields", "numbers", "system_numbers", "calibration")
    later = [key for key in card if key not in elsewhere]
    for key in [key for key in FIRST if key in card] + later:
        table.add_row(key.replace("_", " "), _readable(card[key]))
    table.add_row("sha256", found["sha256"])
    table.add_row("written by", f"mpp {found['mpp']}, format {found['format']}")
    return table


def _fields(found: dict[str, Any]) -> "Table":
    """A row for each name that the model has a place for, units where its card tells them."""
    from rich.table import Table

    names, told = found["arguments"].get("names", []), found["card"].get("fields", {})
    by_system = names if isinstance(names, dict) else {}
    every = dict.fromkeys(chain.from_iterable(by_system.values()) if by_system else names)
    table = Table(box=None, pad_edge=False, header_style="bold cyan", padding=(0, 2, 0, 0))
    for title in ("field", "units", "kind", *(["slots"] if by_system else [])):
        table.add_column(title, overflow="fold")
    for name in every:
        attrs = told.get(name, {})
        row = [name, attrs.get("units", "not told"), _kind(attrs)]
        if by_system:
            has = [system for system, rows in by_system.items() if name in rows]
            row.append(", ".join(f"{system} {by_system[system][name]}" for system in has))
        table.add_row(*row)
    return table


def _numbers(found: dict[str, Any], ranges: dict[str, tuple[float, float]]) -> "Table":
    """A row for each number: its values in training, and how many its intervals held by system.

    Of intervals that one half of the validation windows set, the other half's share.
    """
    from rich.table import Table

    card = found["card"]
    table = Table(box=None, pad_edge=False, header_style="bold cyan", padding=(0, 2, 0, 0))
    for title in ("number", "units", "in training", "systems", "intervals held"):
        table.add_column(title, overflow="fold")
    for name, (low, high) in ranges.items():
        units = card.get("numbers", {}).get(name, {}).get("units", "not told")
        owners = [s for s, names in card.get("system_numbers", {}).items() if name in names]
        every = card.get("calibration", {}).values()
        held = [f"{numbers[name]['crossed']:.0%}" for numbers in every if name in numbers]
        span = f"{low:.3g} to {high:.3g}"
        table.add_row(name, units, span, ", ".join(owners) or "every", ", ".join(held))
    return table


def _kind(attrs: dict[str, str]) -> str:
    if "vector" in attrs:
        return f"{attrs.get('component', '')} of {attrs['vector']}"
    return attrs.get("role", "field")


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{str(key).replace('_', ' ')} {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)
