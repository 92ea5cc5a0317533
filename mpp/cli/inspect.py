"""``mpp inspect``: what a checkpoint is."""

import argparse
import json
import sys

from mpp.cli.parsing import CommandParser


def parser() -> CommandParser:
    """Options of the command."""
    made = CommandParser(
        "inspect",
        "Show a checkpoint's model, size, fields with units, systems, recipe and hash.",
        "mpp inspect demo/pretrained",
    )
    made.add_argument("checkpoint", help="checkpoint folder")
    made.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return made


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from rich.console import Console
    from rich.table import Table

    from mpp.weights import describe, load

    found = describe(arguments.checkpoint)
    model = load(arguments.checkpoint)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if arguments.json:
        sys.stdout.write(json.dumps({**found, "parameters": parameters}, indent=2) + "\n")
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("model", f"{found['model']}, {parameters:,} parameters")
    shape = {key: value for key, value in found["arguments"].items() if key != "names"}
    table.add_row("shape", ", ".join(f"{key} {value}" for key, value in shape.items()))
    for key, value in found["card"].items():
        table.add_row(key.replace("_", " "), _readable(value))
    table.add_row("sha256", found["sha256"])
    table.add_row("written by", f"mpp {found['mpp']}, format {found['format']}")
    Console(markup=False).print(table)


def _readable(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(
            f"{key} [{item.get('units', '1')}]" if isinstance(item, dict) else f"{key} {item}"
            for key, item in value.items()
        )
    return str(value)
