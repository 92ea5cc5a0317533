"""``mpp transfer``: finetuning against training from scratch, as a study."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mpp.cli.outputs import claim, tell
from mpp.cli.parsing import CHECKPOINT, CommandParser
from mpp.cli.source import add_mapping, opened
from mpp.errors import InputError, require_at_least

if TYPE_CHECKING:
    import rich.table

    from mpp.study.compare import Comparison
    from mpp.study.plan import Study

PIPED_WIDTH = 120
"""Columns of text where the output is no terminal and so has no width of its own."""


def parser() -> CommandParser:
    """Options of the command."""
    made = CommandParser(
        "transfer",
        "Finetune a checkpoint on 1, 2, 4, ... runs of each system, train the same architecture\n"
        "from scratch on the same runs for as many steps, and score both on runs that neither\n"
        "has seen, persistence beside them. A few runs of each system are set aside to choose\n"
        "the best weights of every training: N runs are N runs to learn from, beside those.\n"
        "Every training is kept when it is done; the same command goes on where it was stopped.",
        "mpp transfer --checkpoint mpp-mini --data demo/data/kuramoto_sivashinsky.nc "
        "--test demo/data/test/kuramoto_sivashinsky.nc --out study --sizes 1 3 "
        "--validation-runs 1",
    )
    add = made.add_argument
    add("--checkpoint", required=True, metavar="CKPT", help=CHECKPOINT)
    add("--data", required=True, nargs="+", metavar="PATH", help="files or folders, one a system")
    add("--test", nargs="+", default=[], metavar="PATH",
        help="test runs, one path a system (default: some of --data)")  # fmt: skip
    add("--out", required=True, metavar="DIR", help="folder of the study, new or begun")
    add_settings(made)
    add(
        "--workers",
        type=int,
        default=1,
        metavar="K",
        help="trainings at once, each in one process and on one device (default 1)",
    )
    add_mapping(made.add_argument_group("what is in the files"))
    return made


def add_settings(made: argparse.ArgumentParser, usual: "Study | None" = None) -> None:
    """Add the options that say how a study is done.

    Args:
        made: What to add them to.
        usual: What options left out will mean; the defaults of `Study` when left out.
    """
    from mpp.study.plan import Study

    usual = usual or Study()

    def add(name: str, meaning: str, metavar: str = "N") -> None:
        default = getattr(usual, name)
        several = isinstance(default, tuple)
        kind = float if default == () else type(default[0]) if several else type(default)
        shown = " ".join(map(str, default)) or "that of each" if several else default
        made.add_argument(
            f"--{name.replace('_', '-')}", type=kind, nargs="+" if several else None,
            metavar=metavar, help=f"{meaning} (default {shown})",
        )  # fmt: skip

    add("arms", "what to compare: scratch and some of full, head, lora, gradual", "ARM")
    add("sizes", "numbers of training runs")
    add("seeds", "trainings of each arm and size")
    add("lead_steps", "forecast steps to score")
    add("starts", "windows a test run, evenly placed", "K")
    add("test_runs", "runs to test on where there is no --test")
    add("validation_runs", "runs to choose weights by")
    add("max_steps", "optimizer steps of every training")
    add("lr", "learning rate of finetuning; of several, each system takes what validates best at "
        "its middle size", "R")  # fmt: skip
    add("scratch_lr", "the same from scratch", "R")
    add("mode_lr", "the same of head, lora and gradual", "R")
    made.add_argument(
        "--rates", type=float, nargs="+", metavar="R",
        help="learning rates for all arms to choose from, instead of --lr, --scratch-lr, --mode-lr",
    )  # fmt: skip
    add("batch_size", "windows in a batch")
    add("validate_every", "optimizer steps between validations, at most")
    add("on_bad_loss", "before a step whose loss or gradient is NaN, infinite or has exploded: "
        "stop, or skip the step", "stop|skip")  # fmt: skip
    add("skip_limit", "steps that each training may skip")


def settings(arguments: argparse.Namespace, usual: "Study | None" = None) -> "Study":
    """The study that the options of `add_settings` ask for.

    Args:
        arguments: The options as given; those left out are ``None``.
        usual: What they then are; the defaults of `Study` when left out.

    Raises:
        InputError: A value that cannot be used, or rates given twice.
    """
    from dataclasses import fields, replace

    from mpp.study.plan import Study

    usual = usual or Study()
    given = {f.name: getattr(arguments, f.name) for f in fields(Study)}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.rates is not None:
        if {"lr", "scratch_lr", "mode_lr"} & given.keys():
            raise InputError(
                "--rates stands in place of --lr, --scratch-lr and --mode-lr; give one or other"
            )
        given |= dict.fromkeys(("lr", "scratch_lr", "mode_lr"), arguments.rates)
    tuples = {n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}
    return replace(usual, **tuples)


def run(arguments: argparse.Namespace) -> None:
    """Do what is missing of the study, write and print its result."""
    from pathlib import Path

    from mpp import load, transfer
    from mpp.cli.outputs import Console
    from mpp.cli.progress import progress
    from mpp.study.compare import NEGATIVE, compare, headlines, tuned_arms, verdict
    from mpp.viz.transfer_report import transfer_report

    require_at_least(1, workers=arguments.workers)
    study = settings(arguments)
    out = claim(Path(arguments.out), overwrite=True)  # a study that is there goes on
    model = load(arguments.checkpoint)
    datasets, test = (
        [opened(p, arguments) for p in paths] for paths in (arguments.data, arguments.test)
    )

    def note(sentence: str) -> None:
        Console(stderr=True).print(f"mpp transfer: {sentence}", soft_wrap=True, markup=False)

    with progress("trainings", stays=False) as advance:
        found = transfer(
            model,
            datasets,
            out,
            study,
            test,
            workers=arguments.workers,
            progress=advance if arguments.workers > 1 else None,
            note=note,
        )
    report = transfer_report(found, out, study.lead_steps)
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    for result, arm in [(ds, arm) for ds in found.values() for arm in tuned_arms(ds)]:
        comparisons = compare(result, study.lead_steps, arm=arm)
        console.print(render(headlines(comparisons)))
        for line in verdict(comparisons):
            style = "bold red" if line.startswith(NEGATIVE) else None
            console.print(f"- {line}", style=style, highlight=False, markup=False)
        console.print()
    tell(report)


def render(comparisons: Sequence["Comparison"]) -> "rich.table.Table":
    """The tables of a system for a terminal, negative transfer in red."""
    from rich.table import Table

    from mpp.study.compare import columns

    first = comparisons[0]
    seeds = first.finetuned.shape[1]
    spread = f"\nerrors are means ± standard deviations of {seeds} seeds" if seeds > 1 else ""
    grid = Table(
        title=f"VRMSE · {first.system}",
        caption=f"AG: scratch over finetuned error · EG: times fewer runs{spread}",
    )
    grid.add_column("field", overflow="fold")
    for name in columns(first.arm)[2:]:
        grid.add_column(name, justify="right", no_wrap=True)
    for part in comparisons:
        rows = part.rows()
        # The lead time stands below the field, so that the table fits a narrow terminal.
        names = [*rows[0][:2], *[""] * len(rows)]
        for place, (name, row) in enumerate(zip(names, rows, strict=False)):
            style = "red" if place in part.worse else None
            grid.add_row(name, *row[2:], style=style, end_section=place == len(rows) - 1)
    return grid
