"""``mpp plan``: what a training will cost, before it runs."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpp.cli.parsing import CHECKPOINT, CommandParser
from mpp.cli.source import add_mapping, opened
from mpp.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from mpp.cli.outputs import Console
    from mpp.plan.plan import Growth, Plan, Training
    from mpp.plan.shape import Shape

PARTS = {
    "blocks.time": "attention over time",
    "blocks.space": "attention over space",
    "blocks.mlp": "two-layer network",
    "embed": "fields to tokens",
    "readout": "tokens to fields",
    "numbers": "numbers of the equation",
}
"""Parts of the default model in words; those of any other keep their names."""
FRAMES = 100
"""Frames of a run where only its grid is told: more than any window has."""


def parser() -> CommandParser:
    """Options of the command."""
    made = CommandParser(
        "plan",
        "What a training will take: parameters, operations, memory and time, and how they grow. "
        "The model is a checkpoint's, to be finetuned, or one that a YAML file pretrains.",
        "mpp plan --checkpoint mpp-mini --grid 128 128 --fields 3\n"
        "  mpp plan --config experiments/pretrain/ti.yaml --grid 256 256 --on h100 --growth",
    )
    model = made.add_mutually_exclusive_group(required=True)
    model.add_argument("--checkpoint", metavar="CKPT", help=CHECKPOINT)
    model.add_argument("--config", metavar="FILE.yaml", help="as mpp pretrain takes it")
    made.add_argument(
        "--data", nargs="+", metavar="PATH", help="one path a system (default: the config's)"
    )
    made.add_argument("--grid", type=int, nargs="+", metavar="N", help="points, instead of --data")
    made.add_argument("--fields", type=int, default=3, metavar="K", help="with --grid (default 3)")
    made.add_argument("--batch-size", type=int, metavar="N", help="windows in a batch")
    made.add_argument("--max-steps", type=int, metavar="N", help="optimizer steps")
    made.add_argument("--precision", choices=["32-true", "bf16-mixed"])
    made.add_argument(
        "--on",
        default="here",
        metavar="HARDWARE",
        help="here, which is measured for some seconds, or a100, h100, h200, l40s, rtx4090",
    )
    made.add_argument(
        "--reached", type=float, metavar="SHARE", help="of the hardware's limits, 0 to 1"
    )
    made.add_argument("--growth", action="store_true", help="also what doubling each thing does")
    made.add_argument("--json", action="store_true", help="print JSON instead of tables")
    add_mapping(made)
    return made


def run(args: argparse.Namespace) -> None:
    """Print the plan.

    Raises:
        InputError: Data that is not told or that the model cannot take.
    """
    from dataclasses import asdict

    from mpp.cli.outputs import Console
    from mpp.cli.progress import progress
    from mpp.plan.plan import growth, plan

    training = _training(args)
    with progress("count", stays=False) as advance:
        found = plan(training, args.on, args.reached, advance)
    doubled = growth(training) if args.growth else []
    if args.json:
        told = {
            **found.to_dict(),
            "windows": [_window(shape) for shape in training.shapes],
            "growth": [asdict(row) for row in doubled],
        }
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        console = Console(highlight=False)
        render(found, training, console)
        if doubled:
            console.print()
            console.print(_growth(doubled))


def _training(args: argparse.Namespace) -> "Training":
    from dataclasses import replace

    from mpp.plan.plan import Training

    if args.checkpoint:
        training = _finetuning(args)
    else:
        options = _pretraining(args.config)
        made = {name: options[name] for name in ("batch_size", "precision", "accumulate")}
        paths = args.data or options["data"]
        training = Training(
            options["model"],
            _shapes(args, paths),
            steps=options["max_steps"],
            rolled=options["rollouts"] / 2,
            checkpointing=options["checkpointing"],
            **made,
        )
    stated = {"batch_size": args.batch_size, "steps": args.max_steps, "precision": args.precision}
    return replace(training, **{k: value for k, value in stated.items() if value is not None})


def _finetuning(args: argparse.Namespace) -> "Training":
    """Finetuning of all parameters, as `mpp finetune` does it by default."""
    from mpp.model.axial import AxialTransformer
    from mpp.plan.plan import Training
    from mpp.train.modes import STEPS, UNROLL_SHARE
    from mpp.weights import load

    model = load(args.checkpoint)
    if not isinstance(model, AxialTransformer):
        raise InputError(
            f"{args.checkpoint}: a {type(model).__name__}, which mpp finetune does not train; give "
            "a checkpoint of the default model, or --config"
        )
    arguments = model.arguments

    def make(names: Any) -> AxialTransformer:
        every = dict.fromkeys((*arguments["names"], *names))
        return AxialTransformer(**{**arguments, "names": list(every)})

    if not (args.data or args.grid):
        raise InputError("nothing to train on; give --data PATH, or --grid N N and --fields K")
    shapes = _shapes(args, args.data)
    return Training(make, shapes, steps=STEPS, rolled=UNROLL_SHARE / 2)


def _pretraining(config: str) -> dict[str, Any]:
    from mpp.cli.pretrain import parser as pretrain_parser
    from mpp.model.axial import AxialTransformer

    if not Path(config).is_file():
        raise InputError(f"{config}: no such file; give the YAML of a pretraining")
    made = pretrain_parser()
    parsed = made.parse_args(["--config", config, "--out", "unused"])
    options = made.instantiate(parsed).as_dict()
    return {**options, "model": options["model"] or AxialTransformer}


def _shapes(args: argparse.Namespace, paths: list[str]) -> tuple["Shape", ...]:
    from mpp.plan.shape import Shape

    if args.grid:
        return (Shape.like(args.grid, args.fields, FRAMES),)
    return tuple(Shape.of(opened(path, args)) for path in paths)


def _window(shape: "Shape") -> dict[str, Any]:
    fields = [field.name for field in shape.fields]
    return {"system": shape.system, "grid": list(shape.grid), "fields": fields}


def render(found: "Plan", training: "Training", console: "Console") -> None:
    """Print a plan for reading."""
    from rich.table import Table
    from rich.text import Text

    from mpp.doctor.checks.runs import size

    facts = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_column(style="bold cyan", no_wrap=True)
    facts.add_column(overflow="fold")
    windows = ", ".join(
        f"{shape.system} ({' x '.join(map(str, shape.grid))}, {len(shape.fields)} "
        f"{'field' if len(shape.fields) == 1 else 'fields'})"
        for shape in training.shapes
    )
    reached = "measured" if found.measured else "stated, not measured"
    facts.add_row("model", f"{found.model}, {sum(found.parameters.values()):,} parameters")
    facts.add_row("windows", f"{training.batch_size} of {windows}")
    facts.add_row("precision", training.precision)
    facts.add_row("hardware", f"{found.hardware}, {found.reached:.0%} of its limits ({reached})")
    facts.add_row(
        "a step", f"{amount(sum(found.flops.values()))}FLOP, {span(found.seconds_a_step)}"
    )
    facts.add_row(f"{found.steps:,} steps", f"{span(found.seconds)}, without validation")
    total = size(sum(found.memory.values()))
    limit = f" of {size(found.available)}" if found.available == found.available else ""
    memory = Text(f"{total}{limit}")
    if not found.fits:
        memory.append(": it does not fit", "red").append("; lower the batch size or the resolution")
    facts.add_row("memory", memory)
    console.print(facts)
    console.print()
    console.print(_parts(found))
    console.print()
    parts = Table(box=None, pad_edge=False, header_style="bold cyan", padding=(0, 2, 0, 0))
    parts.add_column("memory for")
    parts.add_column("", justify="right")
    for name, nbytes in found.memory.items():
        parts.add_row(name, size(nbytes))
    console.print(parts)


def _parts(found: "Plan") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold cyan", padding=(0, 2, 0, 0))
    table.add_column("part")
    for title in ("parameters", "FLOP a step", "share"):
        table.add_column(title, justify="right")
    parameters, flops = _grouped(found.parameters), _grouped(found.flops)
    for part in sorted({**parameters, **flops}, key=lambda name: -flops.get(name, 0)):
        own, work = parameters.get(part, 0), flops.get(part, 0)
        share = f"{work / sum(flops.values()):.1%}" if work else "-"
        table.add_row(part, f"{int(own):,}" if own else "-", amount(work) if work else "-", share)
    return table


def _grouped(parts: Any) -> dict[str, float]:
    found: dict[str, float] = {}
    for part, number in parts.items():
        group = next((words for start, words in PARTS.items() if part.startswith(start)), part)
        found[group] = found.get(group, 0) + number
    return found


def _growth(found: "list[Growth]") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold cyan", padding=(0, 2, 0, 0))
    table.add_column("twice as many")
    for title in ("parameters", "FLOP a step", "memory"):
        table.add_column(title, justify="right")
    for row in found:
        factors = (row.parameters, row.flops, row.memory)
        table.add_row(row.what, *(f"x {factor:.3g}" for factor in factors))
    return table


def amount(number: float) -> str:
    """A number with the prefix of its thousands."""
    for prefix in ("", "k", "M", "G", "T", "P", "E"):
        if abs(number) < 999.5:
            return f"{number:.3g} {prefix}"
        number /= 1000
    return f"{number:.3g} Z"


def span(seconds: float) -> str:
    """A time in the unit that people say it in."""
    for length, unit in ((365.25 * 86400, "years"), (86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
