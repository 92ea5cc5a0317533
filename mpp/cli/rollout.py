"""``mpp rollout``: step runs forward with a checkpoint and write the frames as NetCDF or Zarr."""

import argparse
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mpp.cli.outputs import ENDINGS, add_output, claim, tell
from mpp.cli.parsing import CHECKPOINT, CommandParser, add_device
from mpp.cli.source import add_mapping, opened

SUMMARY = """\
Step every run of a dataset forward from its first frames. Frames are written as
they come, at a memory that grows neither with steps nor with runs. Where the data
reaches as far, the truth is written beside the prediction.

A run stops where a value is not finite or a field has drifted beyond --limit. That
is said on stderr and in the attributes stopped_step and stopped_reason; the frames
before are kept, NaN follows while other runs go on, and the exit status is 0. After
Ctrl-C (status 130) the file holds the frames so far."""
EXAMPLE = """\
mpp rollout --checkpoint demo/finetuned --data demo/data/kuramoto_sivashinsky.nc \\
      --steps 1000 --out rollout.zarr
  mpp rollout --checkpoint mpp-mini --data runs.nc --steps 40 --out ensemble.nc \\
      --members 8 --perturb 0.1"""


def parser() -> CommandParser:
    """Options of the command."""
    made = CommandParser("rollout", SUMMARY, EXAMPLE)
    made.add_argument(
        "--checkpoint",
        required=True,
        nargs="+",
        help=f"{CHECKPOINT}; several give an ensemble along the dim member",
    )
    made.add_argument("--data", required=True, help="file or folder with the runs")
    made.add_argument("--steps", type=int, required=True, help="frames to predict")
    made.add_argument(
        "--history", type=int, help="frames of each run to start from (default: the model's)"
    )
    made.add_argument(
        "--time-step", type=float, help="time between frames, for runs of one frame only"
    )
    made.add_argument(
        "--batch-size", type=int, default=4, metavar="N", help="runs stepped at once (default 4)"
    )
    made.add_argument(
        "--limit",
        type=_limit,
        default=10.0,
        metavar="X|none",
        help="stop a run in which the RMS of a field is above X times the larger of its RMS in "
        "training and in the history (default 10); none: only where it is not finite",
    )
    made.add_argument(
        "--members", type=int, default=1, metavar="N", help="perturbed histories a checkpoint"
    )
    made.add_argument(
        "--perturb",
        type=float,
        default=0.0,
        metavar="RELATIVE",
        help="RMS of the smooth perturbation, relative to that of the change from frame to frame",
    )
    made.add_argument("--seed", type=int, default=0, help="seed of the perturbations (default 0)")
    add_device(made)
    add_output(made, "file to write, .nc or .zarr")
    add_mapping(made.add_argument_group("what is in the files"))
    return made


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from mpp import load, rollout
    from mpp.cli.progress import progress
    from mpp.devices import device_named
    from mpp.errors import InputError
    from mpp.rollouts import RolloutStopped
    from mpp.rollouts.provenance import stopped_line

    out: Path = claim(arguments.out, arguments.overwrite, ENDINGS)
    device = device_named(arguments.device)
    models = [load(checkpoint).to(device) for checkpoint in arguments.checkpoint]
    ds = opened(arguments.data, arguments)
    history = arguments.history
    if history is None:
        history = max(model.history for model in models)
    available = ds.sizes["time"]
    if not 1 <= history <= available:
        raise InputError(
            f"{arguments.data}: a history of {history} frames was asked for, its runs have "
            f"{available}; choose --history between 1 and {available}"
        )
    times = ds["time"].values
    if available > 1 and arguments.time_step is not None:
        raise InputError(
            f"{arguments.data}: its times tell the time between frames; leave out --time-step"
        )
    step = arguments.time_step
    if available > 1:
        step = float(times[-1] - times[0]) / (available - 1)
    with (
        progress("rollout", arguments.steps) as advance,
        _terminable(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", RolloutStopped)  # told below, in one line
        predicted = rollout(
            models,
            ds.isel(time=slice(0, history)),
            arguments.steps,
            step,
            advance,
            out=out,
            overwrite=arguments.overwrite,
            truth=ds if 0 < arguments.steps <= available - history else None,
            batch_size=arguments.batch_size,
            limit=arguments.limit,
            members=arguments.members,
            perturb=arguments.perturb,
            seed=arguments.seed,
            command=arguments.command,
        )
    attrs = predicted.attrs
    outside = attrs["numbers_outside_training"]
    if outside != "none":
        _say(f"{outside}: beyond the values that the model was trained on; see mpp inspect")
    if "stopped_reason" in attrs:
        _say(stopped_line(attrs))
    tell(out)


def _limit(text: str) -> float | None:
    """A number, or nothing for ``none``."""
    return None if text == "none" else float(text)


_limit.__name__ = "limit"  # argparse names it in its errors


def _say(line: str) -> None:
    from mpp.cli.outputs import Console

    Console(stderr=True).print(
        f"mpp rollout: {line}", soft_wrap=True, highlight=False, markup=False
    )


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, which a scheduler sends when time is over, ends as Ctrl-C does: frames are kept."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
