"""``mpp finetune``: adapt a checkpoint to your own runs."""

import argparse

from mpp.cli.outputs import add_output, claim, tell
from mpp.cli.parsing import CHECKPOINT, CommandParser


def parser() -> CommandParser:
    """Options of the command."""
    made = CommandParser(
        "finetune",
        "Train a copy of a checkpoint on the runs of one system. One run in five is held out to "
        "choose the best weights, or the last part of the run where there is only one.",
        "mpp finetune --checkpoint mpp-mini --data demo/data/kuramoto_sivashinsky.nc "
        "--out tuned --max-steps 200",
    )
    made.add_argument(
        "--checkpoint",
        required=True,
        help=f"checkpoint to start from: {CHECKPOINT}",
    )
    made.add_argument("--data", required=True, nargs="+", help="files or folders with the runs")
    add_output(made, "folder for the tuned checkpoint, its metrics and its state")
    made.add_argument("--max-steps", type=int, default=500, help="optimizer steps (default 500)")
    made.add_argument("--lr", type=float, default=2e-3, help="learning rate (default 0.002)")
    made.add_argument("--batch-size", type=int, default=2, help="windows in a batch (default 2)")
    made.add_argument("--seed", type=int, default=0, help="fixes split and order (default 0)")
    made.add_argument(
        "--precision", choices=["32-true", "bf16-mixed"], default="32-true", help="of the training"
    )
    made.add_argument("--resume", action="store_true", help="go on where --out was interrupted")
    return made


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from mpp import finetune, load, open_dataset, save

    out = claim(arguments.out, arguments.overwrite or arguments.resume)
    tuned = finetune(
        load(arguments.checkpoint),
        open_dataset(arguments.data),
        out,
        max_steps=arguments.max_steps,
        lr=arguments.lr,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        precision=arguments.precision,
        resume=arguments.resume,
    )
    save(tuned, out)
    tell(out)
