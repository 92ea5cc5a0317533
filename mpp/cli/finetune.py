"""``mpp finetune``: adapt a checkpoint to your own runs, and say how good it has become."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpp.cli.going_on import begins, recorded
from mpp.cli.launching import add_processes, launch
from mpp.cli.outputs import add_output, tell
from mpp.cli.parsing import CHECKPOINT, CommandParser
from mpp.cli.source import add_mapping, opened
from mpp.errors import InputError
from mpp.train import processes

if TYPE_CHECKING:
    import xarray as xr

    from mpp.cli.outputs import Console
    from mpp.model.axial import AxialTransformer

PIPED_WIDTH = 120
"""Columns of text where the output is no terminal and so has no width of its own."""


def parser() -> CommandParser:
    """Options of the command."""
    made = CommandParser(
        "finetune",
        "Train a copy of a checkpoint on the runs of one system, and score it on what was held\n"
        "out: one run in five, or the last part of the run where there is only one. The same\n"
        "command goes on where it was stopped.",
        "mpp finetune --checkpoint mpp-mini --data demo/data/kuramoto_sivashinsky.nc "
        "--out tuned --max-steps 200",
    )
    add = made.add_argument
    add("--checkpoint", required=True, metavar="CKPT", help=f"to start from: {CHECKPOINT}")
    add("--data", required=True, nargs="+", metavar="PATH", help="files or folders with the runs")
    add_output(made, "folder for the tuned checkpoint, its scores, its picture and its state")
    add("--resume", action="store_true",
        help="go on with --out though it is finished, or with another budget")  # fmt: skip
    add_mapping(made.add_argument_group("what is in the files"))
    add_what(made.add_argument_group("what trains"))
    add_how(made.add_argument_group("how long and how"))
    add_processes(made.add_argument_group("on how many processes"))
    return made


def add_what(group: argparse._ArgumentGroup) -> None:
    """Options on what of the model trains, and from where."""
    from mpp.train.modes import HEAD_SHARE, MODES, RANK

    add = group.add_argument
    add("--mode", choices=MODES, default="full",
        help="full: everything; head: both ends of the model; lora: small adapters of its blocks; "
        "gradual: the ends, then everything (default full)")  # fmt: skip
    add("--rank", type=int, default=RANK, metavar="R",
        help=f"rank of the adapters of lora (default {RANK})")  # fmt: skip
    add("--head-share", type=float, default=HEAD_SHARE, metavar="S",
        help="share of the run in which gradual trains the ends alone "
        f"(default {HEAD_SHARE:g})")  # fmt: skip
    add("--donor", action="append", default=[], metavar="NEW=OLD",
        help="field of the checkpoint that a new field starts from, or zero; repeatable "
        "(default: the one that predicts it best)")  # fmt: skip


def add_how(group: argparse._ArgumentGroup) -> None:
    """Options on the budget and the training."""
    from mpp.train.modes import MODES, PATIENCE, RATES, SKIP_LIMIT, STEPS, UNROLL_SHARE

    add = group.add_argument
    rates = ", ".join(f"{RATES[mode]:g} {mode}" for mode in MODES)
    add("--max-steps", type=int, metavar="N",
        help=f"optimizer steps (default {STEPS}, or no limit with --max-minutes)")  # fmt: skip
    add("--max-minutes", type=float, metavar="M", help="minutes of training")
    add("--patience", type=float, default=PATIENCE, metavar="S",
        help="share of the run without a better validation after which it ends; 1 for never "
        f"(default {PATIENCE:g})")  # fmt: skip
    add("--lr", type=float, metavar="R", help=f"learning rate (default {rates})")
    add("--batch-size", type=int, default=2, metavar="B", help="windows in a batch (default 2)")
    add("--unroll", type=int, metavar="K",
        help="steps of a rollout on its own frames (default: half a window)")  # fmt: skip
    add("--unroll-share", type=float, default=UNROLL_SHARE, metavar="S",
        help="share of the run, at its end, in which every other batch is rolled out "
        f"(default {UNROLL_SHARE:g})")  # fmt: skip
    add("--seed", type=int, default=0, help="fixes split and order (default 0)")
    add("--on-bad-loss", choices=["stop", "skip"], default="stop",
        help="before a step whose loss or gradient is NaN, infinite or has exploded: stop, or skip "
        "the step (default stop)")  # fmt: skip
    add("--skip-limit", type=int, default=SKIP_LIMIT, metavar="N",
        help=f"steps that may be skipped before the run ends (default {SKIP_LIMIT})")  # fmt: skip
    add("--precision", choices=["32-true", "bf16-mixed"], default="32-true",
        help="of the training (default 32-true)")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    out: Path = arguments.out
    launch(arguments.devices, arguments.num_nodes, arguments.command)
    processes.start()
    anew = processes.by_first(lambda: begins(out, arguments.overwrite, arguments.resume))
    from mpp import load
    from mpp.cli.outputs import Console
    from mpp.finetuning import finetune, hold_out
    from mpp.weights import save

    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    model, ds = load(arguments.checkpoint), opened(arguments.data, arguments)
    options = settings(arguments)
    training, held_out = hold_out(model, ds, arguments.seed)
    with ExitStack() as kept:
        # Only the first process writes and tells; the others wait for it before they train.
        processes.by_first(
            lambda: kept.enter_context(
                recorded(out, anew, arguments.resume, record(model, ds, options))
            )
        )
        if processes.rank() == 0:
            _say(console, _held_out(model, ds, arguments.seed))
            if not anew:
                _say(console, f"going on with what is in {out}")
        tuned = finetune(model, training, out, held_out, resume=not anew, **options)
    if processes.rank():
        return
    save(tuned, out)
    for new, old in tuned.card["donors"].items():
        _say(console, f"new field {new}: its rows started from {old}")
    recipe = tuned.card["finetuning"]
    _say(
        console,
        f"{recipe['steps']} steps in {recipe['minutes']:.3g} minutes (ended by "
        f"{recipe['ended_by']}), {recipe['trained_parameters']:,} parameters trained; the weights "
        "that validated best are kept",
    )
    close(console, model, tuned, training, held_out, out)
    tell(out)


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `mpp.finetune` is called with.

    Raises:
        InputError: A donor that is not NEW=OLD.
    """
    names = (
        "mode", "rank", "head_share", "max_steps", "max_minutes", "patience", "lr", "batch_size",
        "unroll", "seed", "precision", "on_bad_loss", "skip_limit", "accumulate", "devices",
        "num_nodes", "strategy",
    )  # fmt: skip
    chosen = {name: getattr(arguments, name) for name in names}
    return chosen | {"donors": donors(arguments.donor), "rollouts": arguments.unroll_share}


def donors(words: list[str]) -> dict[str, str]:
    """``NEW=OLD`` words as pairs.

    Raises:
        InputError: A word of another form, or a field with two donors.
    """
    pairs: dict[str, str] = {}
    for word in words:
        new, equals, old = (part.strip() for part in word.partition("="))
        if not (new and equals and old):
            raise InputError(f"--donor {word!r}: expected NEW=OLD, such as temperature=tracer")
        if pairs.setdefault(new, old) != old:
            raise InputError(f"--donor: {new} has the donors {pairs[new]} and {old}; give one")
    return pairs


def record(model: Any, ds: "xr.Dataset", options: dict[str, Any]) -> dict[str, Any]:
    """What the weights of a finetuning depend on, its budget apart."""
    from mpp.adapters import weights_hash
    from mpp.study.record import run_digests

    budget = ("max_steps", "max_minutes", "patience")
    free = (*budget, "on_bad_loss", "skip_limit", "devices", "num_nodes", "strategy")
    if options["accumulate"] == 1:  # not in records of earlier versions
        free = (*free, "accumulate")
    return {
        "settings": {name: value for name, value in options.items() if name not in free},
        "budget": {name: options[name] for name in budget},
        "model": {"weights": weights_hash(model)},
        "data": {"runs": run_digests(ds), "sizes": {str(k): v for k, v in ds.sizes.items()}},
    }


def close(
    console: "Console",
    model: Any,
    tuned: "AxialTransformer",
    training: "xr.Dataset",
    held_out: "xr.Dataset",
    out: Path,
) -> None:
    """Score the tuned model beside the untuned one and the baselines: table, words and picture."""
    from mpp.cli.evaluate import render
    from mpp.cli.progress import progress
    from mpp.finetuning import untuned
    from mpp.metrics import table
    from mpp.metrics.valid import USABLE
    from mpp.study.closing import LEAD_STEPS, reaches, score, write
    from mpp.viz.finetune import closing_figure
    from mpp.viz.style import save as save_figure

    before = untuned(model, training, tuned.card["donors"])
    with progress("score on held-out frames", stays=False) as advance:
        scores = score(tuned, before, held_out, advance)
    write(scores, out)
    console.print(render(table(scores, "vrmse", LEAD_STEPS)))
    for reach in reaches(scores):
        _say(console, f"- {reach}", "bold red" if reach.worse or not reach.step else None)
    _say(
        console,
        f"Usable is a VRMSE below {USABLE:g} that is also below that of copying the last frame. "
        "The held-out frames chose the weights as well, so that new runs may do a little worse: "
        "score them with mpp evaluate.",
    )
    save_figure(closing_figure(scores), out / "finetune.png")


def _held_out(model: Any, ds: "xr.Dataset", seed: int) -> str:
    """What `hold_out` holds out of these data, in words."""
    import numpy as np
    import xarray as xr

    from mpp.finetuning import hold_out
    from mpp.study.closing import told_held_out

    places = xr.Dataset(coords={dim: np.arange(ds.sizes[dim]) for dim in ("sample", "time")})
    held = hold_out(model, places, seed)[1]
    return told_held_out(ds, {dim: held[dim].values for dim in ("sample", "time")})


def _say(console: "Console", sentence: str, style: str | None = None) -> None:
    console.print(sentence, style=style, markup=False, soft_wrap=True)
