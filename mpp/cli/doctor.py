"""``mpp doctor``: what is in these files, and will they train.

With ``--json`` everything is printed as one object, whose keys are the fields of
`mpp.doctor.report.Report` (and of what it holds, `mpp.doctor.parts` and its neighbours) by name:

- ``verdict`` (true if they will train), ``outlook`` (the same in words), ``findings`` (``level``,
  ``text``, ``todo`` and ``check`` of each), and as text ``problems``, ``warnings``, ``notes``;
- ``paths``, ``files``, ``format``, ``joined``, ``system``, ``samples``, ``sample_source``,
  ``time``, ``axes``, ``fields``, ``masks``, ``others``, ``left_out``, ``nbytes``;
- ``sampling`` (how much was read), ``twins`` (runs that appear twice), ``storage`` (chunks and
  windows a second), ``precision``, ``violations`` (of the schema);
- ``checkpoint`` (``known``, ``new``, ``resembles``, ``numbers``, ``cost``; null without
  ``--checkpoint``);
- ``mapping`` (YAML), ``needs_mapping``, ``next`` (the command to run).

What is not known is null.
"""

import argparse
import sys
from pathlib import Path

from mpp.cli.parsing import CHECKPOINT, CommandParser
from mpp.cli.source import add_source, stated_mapping
from mpp.errors import InputError
from mpp.files import make_folder, written_beside


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
    made.add_argument(
        "--checkpoint",
        help=f"what it makes of them, and what finetuning takes, by three steps: {CHECKPOINT}",
    )
    made.add_argument(
        "--precision", choices=["32-true", "bf16-mixed"], default="32-true", help="of the training"
    )
    made.add_argument("--json", action="store_true", help="the report as JSON on stdout")
    return made


def run(args: argparse.Namespace) -> None:
    """Print the report.

    Raises:
        InputError: The files cannot be read, or will not train as they are.
    """
    from mpp.cli.outputs import Console, json_text
    from mpp.cli.progress import progress
    from mpp.doctor.examine import examine
    from mpp.doctor.page import next_command, render

    mapping = stated_mapping(args)
    with progress("look", stays=False) as advance:
        report = examine(args.path, mapping, advance, args.checkpoint, args.precision, advance)
    if args.save_mapping:
        _save(report.mapping, args.save_mapping)
    if args.json:
        told = {**report.to_dict(), "next": next_command(report)}
        sys.stdout.write(json_text(told) + "\n")
    else:
        render(report, Console(markup=True))
    if not report.verdict:
        raise InputError(f"{args.path[0]}: will not train yet: {' | '.join(report.problems)}")


def _save(mapping: str, path: Path) -> None:
    if path.exists():
        raise InputError(f"{path} exists; give --save-mapping another name")
    make_folder(path.parent)
    with written_beside(path) as unfinished:
        unfinished.write_text(mapping, encoding="utf-8")
