"""Options on the processes of a training, and starting the command anew with them."""

import argparse
import os
import shlex
import sys
from typing import get_args

from mpp.errors import InputError
from mpp.train import processes


def add_processes(group: argparse._ArgumentGroup) -> None:
    """Add the options that say how many processes share a training."""
    add = group.add_argument
    shared = "batches an optimizer step, which several processes share out (default 1)"
    add("--accumulate", type=int, default=1, metavar="N", help=shared)
    add("--devices", type=int, metavar="N",
        help="processes a machine, one for each of its devices (default: those that torchrun or "
        "SLURM has started)")  # fmt: skip
    add("--num-nodes", type=int, metavar="N",
        help="machines (default: those of torchrun or SLURM)")  # fmt: skip
    add("--strategy", choices=get_args(processes.Strategy), default="auto",
        help="how several processes share the work; auto is ddp: each has all weights, and "
        "gradients are averaged; fsdp, which shares weights out, is refused")  # fmt: skip


def launch(devices: int | None, num_nodes: int | None, command: str) -> None:
    """Start the command anew with torchrun where it is to have several processes and has one.

    Raises:
        InputError: They are to be on several machines.
    """
    here, nodes = devices or 1, num_nodes or 1
    if processes.launched().by or nodes * here == 1:
        return
    if nodes > 1:
        raise InputError(
            f"num_nodes is {nodes}, and only this machine is known; start the command on each with "
            "torchrun or srun, as experiments/slurm shows, and leave it out"
        )
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={here}"]
    words = shlex.split(command)[1:]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *torchrun, "-m", "mpp", *words])
