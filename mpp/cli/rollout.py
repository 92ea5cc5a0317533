"""``mpp rollout``: step runs forward with a checkpoint and write the frames as NetCDF or Zarr."""

import argparse
from pathlib import Path

from mpp.cli.outputs import ENDINGS, add_output, claim, tell
from mpp.cli.parsing import CHECKPOINT, CommandParser


def parser() -> CommandParser:
    """Options of the command."""
    made = CommandParser(
        "rollout",
        "Step every run of a dataset forward from its first frames. Where the data reaches as far, "
        "the truth is written beside the prediction.",
        "mpp rollout --checkpoint demo/finetuned --data demo/data/kuramoto_sivashinsky.nc "
        "--steps 16 --out rollout.nc",
    )
    made.add_argument("--checkpoint", required=True, help=CHECKPOINT)
    made.add_argument("--data", required=True, help="file or folder with the runs")
    made.add_argument("--steps", type=int, required=True, help="frames to predict")
    made.add_argument(
        "--history", type=int, help="frames of each run to start from (default: the model's)"
    )
    made.add_argument(
        "--time-step", type=float, help="time between frames, for runs of one frame only"
    )
    add_output(made, "file to write, .nc or .zarr")
    return made


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from rich.console import Console

    from mpp import load, open_dataset, rollout
    from mpp.cli.progress import progress
    from mpp.data.convert import write
    from mpp.errors import InputError
    from mpp.rollouts import with_truth

    out: Path = claim(arguments.out, arguments.overwrite, ENDINGS)
    model = load(arguments.checkpoint)
    ds = open_dataset(arguments.data)
    history = model.history if arguments.history is None else arguments.history
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
    step = float(times[1] - times[0]) if available > 1 else arguments.time_step
    with progress("rollout", arguments.steps) as advance:
        predicted = rollout(
            model, ds.isel(time=slice(0, history)), arguments.steps, step, progress=advance
        )
    if history + arguments.steps <= available:
        predicted = with_truth(predicted, ds)
    write(predicted, out, overwrite=arguments.overwrite)
    outside = predicted.attrs["numbers_outside_training"]
    if outside != "none":
        Console(stderr=True).print(
            f"mpp rollout: {outside}: beyond the values that the model was trained on; see mpp "
            "inspect",
            soft_wrap=True,
        )
    finite = predicted.attrs["finite_steps"]
    if finite < arguments.steps:
        Console(stderr=True).print(
            f"mpp rollout: step {finite + 1} and those after it are not finite; the frames before "
            "it can be used",
            soft_wrap=True,
        )
    tell(out)
