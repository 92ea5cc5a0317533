"""``mpp evaluate``: score checkpoints on runs with a known future, baselines beside them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mpp.cli.outputs import add_output, claim, tell
from mpp.cli.parsing import CHECKPOINT, CommandParser, add_device
from mpp.cli.source import add_mapping, opened
from mpp.errors import InputError
from mpp.urls import shown

if TYPE_CHECKING:
    import rich.table
    import rich.text
    import xarray as xr

    from mpp.metrics import Table

SHOWN = ("nrmse", "vrmse")
LEAD_STEPS = (1, 5, 20, 100)
LATE = 20
"""Step at which all scores are shown together, or the last one before it."""
PIPED_WIDTH = 160
"""Columns of text where the output is no terminal and so has no width of its own."""


def parser() -> CommandParser:
    """Options of the command."""
    options = CommandParser(
        "evaluate",
        "Scores by field, sample and lead time, with persistence, linear extrapolation and the\n"
        "mean state (climatology) beside the models. Writes the scores as NetCDF, their means\n"
        "over runs with intervals as CSV beside it, and prints tables.",
        "mpp evaluate --checkpoint runs/finetuned --data data/test.nc --steps 20 --out scores.nc",
    )
    options.add_argument(
        "--checkpoint",
        nargs="+",
        required=True,
        metavar="CKPT",
        help=f"models to score, each {CHECKPOINT}",
    )
    options.add_argument(
        "--data", nargs="+", required=True, metavar="PATH", help="runs of one system, any format"
    )
    options.add_argument(
        "--steps", type=int, required=True, metavar="N", help="frames to forecast from each window"
    )
    options.add_argument(
        "--history",
        type=int,
        metavar="H",
        help="frames given to the models (default: all they use)",
    )
    options.add_argument(
        "--starts",
        type=int,
        default=1,
        metavar="K",
        help="windows a run, evenly placed (default 1)",
    )
    options.add_argument(
        "--batch-size",
        type=int,
        metavar="B",
        help="windows forecast at once, which is faster (default: each by itself, so that no "
        "number depends on the other windows, to the last bit)",
    )
    options.add_argument(
        "--scores",
        nargs="+",
        metavar="NAME",
        help="scores besides the cheap ones, or all (names: mpp/metrics/catalogue.py, "
        "docs/scores.md; default: nrmse vrmse rmse mae max_error pearson drift)",
    )
    options.add_argument(
        "--quantity",
        nargs="+",
        default=[],
        metavar="NAME=FORMULA",
        help="totals to follow, such as energy='0.5*(velocity_x**2+velocity_y**2)'",
    )
    options.add_argument(
        "--climatology",
        nargs="+",
        metavar="PATH",
        help="training runs to take the mean state of (default: the first histories of --data)",
    )
    options.add_argument(
        "--compat",
        choices=("pdebench", "well"),
        help="scores as PDEBench or The Well define them, to compare with published numbers",
    )
    add_device(options)
    add_output(options, "file for the scores, .nc; a .csv of the same name goes beside it")
    add_mapping(options.add_argument_group("what is in the files"))
    return options


def run(args: argparse.Namespace) -> None:
    """Score, write the file, print the tables.

    Raises:
        InputError: Unusable checkpoints, data or numbers, or an --out that exists.
    """
    out = claim(args.out, args.overwrite, (".nc",))
    sheet = claim(out.with_suffix(".csv"), args.overwrite, (".csv",))
    quantities = _quantities(args.quantity)
    from mpp.cli.outputs import Console
    from mpp.cli.progress import progress
    from mpp.devices import device_named
    from mpp.evaluation import LINE, MEAN, evaluate
    from mpp.metrics import with_intervals
    from mpp.weights import load

    device = device_named(args.device)
    models = {name: load(path).to(device) for name, path in _names(args.checkpoint).items()}
    sets = [opened(path, args) for path in args.data]
    training = [opened(path, args) for path in args.climatology] if args.climatology else None
    with progress("measure, then forecast", stays=False) as advance:
        scores = evaluate(
            models,
            sets,
            steps=args.steps,
            history=args.history,
            starts=args.starts,
            batch_size=args.batch_size,
            progress=advance,
            scores="all" if args.scores == ["all"] else args.scores,
            baselines=(LINE, MEAN),
            quantities=quantities,
            climatology=training,
            compat=args.compat,
        )
    scores = with_intervals(scores)
    scores = scores.assign_attrs(
        data=[shown(path) for path in args.data], checkpoints=list(args.checkpoint)
    )
    write(scores, out)
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    for made in tables(scores):
        console.print(made)
    if "left_out" in scores.attrs:
        console.print(f"left out: {scores.attrs['left_out']}", soft_wrap=True, highlight=False)
    tell(out)
    tell(sheet)


def tables(scores: "xr.Dataset") -> "list[rich.table.Table]":
    """What is printed: two scores over lead times, all others at a late one, usable steps."""
    from mpp.metrics import table

    shown = [score for score in SHOWN if score in scores]
    made = [render(table(scores, score, LEAD_STEPS)) for score in shown]
    made.append(_overview(scores, shown))
    return [*made, _usable(scores)] if "vrmse" in scores else made


def _quantities(texts: Sequence[str]) -> dict[str, str]:
    """Formulas by name from NAME=FORMULA."""
    found = {}
    for text in texts:
        name, sign, formula = text.partition("=")
        if not sign or not name.strip() or name.strip() in found:
            raise InputError(
                f"--quantity {text!r}: expected NAME=FORMULA with a name of its own, such as "
                "energy='0.5*(velocity_x**2+velocity_y**2)'"
            )
        found[name.strip()] = formula
    return found


def _names(checkpoints: Sequence[str]) -> dict[str, str]:
    """Short names of the checkpoints, or the paths as given where short names are not unique."""
    if len(set(checkpoints)) < len(checkpoints):
        raise InputError("--checkpoint names the same checkpoint twice; give each one once")
    from mpp.evaluation import BASELINE, LINE, MEAN

    short = [Path(path).resolve().name for path in checkpoints]
    unique = len(set(short)) == len(short) and not {BASELINE, LINE, MEAN} & set(short)
    return dict(zip(short if unique else checkpoints, checkpoints, strict=True))


def write(scores: "xr.Dataset", out: Path) -> None:
    """Write NetCDF and CSV beside their places and rename them, so that each is whole or absent."""
    from mpp.files import written_beside
    from mpp.metrics.summary import long_table

    with written_beside(out) as unfinished:
        scores.to_netcdf(unfinished)
    with written_beside(out.with_suffix(".csv")) as unfinished:
        long_table(scores).to_csv(unfinished, index=False)


def render(summary: "Table") -> "rich.table.Table":
    """The summary for a terminal, the best model of each field and lead time starred."""
    from rich.table import Table

    runs = f"mean over {summary.runs} run{'s' if summary.runs > 1 else ''}"
    spread = " ± standard error" if summary.runs > 1 else ""
    if summary.level:
        spread = f" ({100 * summary.level:g} % interval of it, by resampling the runs)"
    grid = Table(title=f"{summary.score.upper()} · {summary.system}", caption=f"{runs}{spread}")
    grid.add_column("field", no_wrap=True)
    grid.add_column("model", overflow="fold", min_width=len("persistence"))
    units = "" if summary.lead_units == "1" else f" {summary.lead_units}"
    for step, time in zip(summary.steps, summary.lead_times, strict=True):
        grid.add_column(f"step {step}\n({time:.4g}{units})", justify="right")
    for field in summary.fields:
        for number, model in enumerate(summary.models):
            cells = [_starred(cell.text, cell.best) for cell in summary.row(field, model)]
            last = number == len(summary.models) - 1
            grid.add_row("" if number else field, model, *cells, end_section=last)
    return grid


def _overview(scores: "xr.Dataset", shown: Sequence[str]) -> "rich.table.Table":
    """All scores but the shown ones at a late step, one column a model."""
    from rich.table import Table
    from rich.text import Text

    from mpp.metrics.summary import overview

    lines = [line for line in overview(scores, LATE) if line.score not in shown]
    step = min(LATE, int(scores["step"].max()))
    system = scores.attrs.get("system", "unknown")
    grid = Table(
        title=f"other scores at step {step} · {system}",
        caption="means over runs; * best, of a ratio the nearest to 1",
    )
    grid.add_column("field", no_wrap=True)
    grid.add_column("score", overflow="fold", min_width=len("max_error"))
    for model in scores["model"].values:
        grid.add_column(str(model), justify="right", overflow="fold")
    for number, line in enumerate(lines):
        first = number == 0 or lines[number - 1].field != line.field
        last = number == len(lines) - 1 or lines[number + 1].field != line.field
        units = "" if line.units == "1" else f" {line.units}"
        cells = [_starred(cell.text, cell.best) for cell in line.cells]
        field = (line.field or "several") if first else ""
        grid.add_row(field, Text.assemble(line.score, (units, "dim")), *cells, end_section=last)
    return grid


def _usable(scores: "xr.Dataset") -> "rich.table.Table":
    """How many steps can be used, of every field and model."""
    from rich.table import Table

    from mpp.metrics.summary import usable_steps
    from mpp.metrics.valid import USABLE

    steps = int(scores["step"].max())
    grid = Table(
        title=f"usable steps of {steps} · {scores.attrs.get('system', 'unknown')}",
        caption=f"from the first on with a VRMSE of at most {USABLE:g}; mean over windows (fewest "
        "to most)",
    )
    grid.add_column("field", no_wrap=True)
    models = [str(model) for model in scores["model"].values]
    for model in models:
        grid.add_column(model, justify="right", overflow="fold")
    counts = usable_steps(scores)
    for field in map(str, scores["field"].values):
        means = [sum(counts[field, model]) / len(counts[field, model]) for model in models]
        cells = []
        for model, mean in zip(models, means, strict=True):
            several = len(counts[field, model]) > 1
            around = f" ({min(counts[field, model])} to {max(counts[field, model])})"
            cells.append(_starred(f"{mean:.3g}{around if several else ''}", mean == max(means)))
        grid.add_row(field, *cells)
    return grid


def _starred(text: str, best: bool) -> "rich.text.Text":
    from rich.text import Text

    return Text(f"{text} *", "bold green") if best else Text(f"{text}  ")
