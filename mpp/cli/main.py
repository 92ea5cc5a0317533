"""The program ``mpp``: find the command, run it, and turn a user's mistake into one line."""

import gc
import importlib
import os
import shlex
import sys
from collections.abc import Sequence

from mpp import __version__
from mpp.errors import InputError, RunError, Stopped, printable
from mpp.files import REFUSALS
from mpp.train.processes import launched, tells
from mpp.urls import shown

COMMANDS = {
    "demo": "the main job, end to end, on two cores",
    "generate": "run solvers: datasets/NAME or a whole suite into canonical files",
    "doctor": "what is in these files, and will they train",
    "plan": "what a training will cost: operations, memory, time, and how they grow",
    "convert": "any readable input to the canonical schema, as NetCDF or Zarr",
    "pretrain": "train one model on many systems",
    "finetune": "adapt a checkpoint to your own runs",
    "rollout": "step a system forward with a checkpoint",
    "evaluate": "scores by field, sample and lead time, persistence beside them",
    "transfer": "finetuning against training from scratch, as a study",
    "figures": "pictures of a rollout or an evaluation file",
    "report": "a rollout that moves, with its scores and pictures, in one HTML file",
    "view": "look through rollouts and evaluations in the browser",
    "infer": "what the numbers of the equation probably are, from frames alone",
    "inspect": "what a checkpoint is: fields, data, size, hash",
    "import-weights": "the authors' released MPP weights, any of the four sizes",
}

SHARED = ("pretrain", "finetune")
"""Commands that several processes, which torchrun or srun started, do together."""
GARBAGE = (50_000, 10, 10)
"""How much is new before the program looks for garbage. Reading the packages makes half a million
objects and no garbage, and with Python's thresholds the search takes a seventh of that time."""
GO_ON = ("pretrain", "finetune", "transfer")
"""Commands that go on where they were stopped when they are given again."""


def usage() -> str:
    """What ``mpp --help`` prints."""
    rows = "\n".join(f"  {name:<16}{summary}" for name, summary in COMMANDS.items())
    return (
        "usage: mpp COMMAND [options]\n\n"
        f"{rows}\n\n"
        "Every command explains itself, with an example: mpp COMMAND --help\n"
        "Start here: mpp demo --out demo\n"
    )


def program() -> int:
    """Run the command that the process was started with."""
    gc.set_threshold(*GARBAGE)
    return main()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after the program's name; the process's own when left out.

    Returns:
        The exit status: 0 when it worked, 1 when a run could not go on, 2 when the input was wrong,
        130 when interrupted, 143 when stopped by SIGTERM.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return 0
    if words[0] in ("-V", "--version"):
        sys.stdout.write(f"mpp {__version__}\n")
        return 0
    if words[0] not in COMMANDS:
        known = ", ".join(COMMANDS)
        return _end(f"mpp: no command {words[0]!r}; expected one of: {known}", 2)
    name = f"mpp {words[0]}"
    if (count := launched().count) > 1:
        if words[0] not in SHARED:
            return _end(f"{name}: is for one process, and {count} were started; start it alone", 2)
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else each has advice to give
    command = importlib.import_module(f"mpp.cli.{words[0].replace('-', '_')}")
    try:
        arguments = command.parser().parse_args(words[1:])
        arguments.command = shown(shlex.join(["mpp", *words]))
        command.run(arguments)
    except InputError as error:
        return _end(f"{name}: {error}", 2)
    except RunError as error:
        return _end(f"{name}: {error}{_how_to_go_on(words[0])}", 1)
    except Stopped as stopped:
        return _end(f"{name}: {stopped.message}{_how_to_go_on(words[0])}", Stopped.STATUS)
    except KeyboardInterrupt as interrupt:
        return _end(f"{name}: {str(interrupt) or 'interrupted'}", 130)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in REFUSALS:
            where = f"{error.filename}: " if error.filename else ""
            told = f"{where}the system refuses ({error.strerror})"
            return _end(f"{name}: {told}; make room, or choose another place", 2)
        if tells():
            raise
        return 1
    return 0


def _end(line: str, status: int) -> int:
    """Say why the command ends, once for all processes that run it."""
    if tells():
        sys.stderr.write(f"{printable(line)}\n")
    return status


def _how_to_go_on(command: str) -> str:
    return "; the same command goes on from there" if command in GO_ON else ""


if __name__ == "__main__":
    sys.exit(program())
