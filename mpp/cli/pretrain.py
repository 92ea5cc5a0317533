"""``mpp pretrain``: train one model on many systems, as a YAML file says."""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import jsonargparse

from mpp.cli.going_on import begins, recorded
from mpp.cli.outputs import add_output, tell
from mpp.errors import InputError
from mpp.train import processes

if TYPE_CHECKING:
    import xarray as xr

FREE = ("config", "command", "data", "out", "overwrite", "resume", "max_steps", "workers",
        "on_bad_loss", "skip_limit", "devices", "num_nodes", "strategy")  # fmt: skip
"""Options that the weights after a step do not depend on, the budget and the data apart."""


class ConfigParser(jsonargparse.ArgumentParser):
    """A jsonargparse parser whose errors are one line, and whose options may have dashes."""

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        words = sys.argv[1:] if args is None else args
        return super().parse_args([_underscored(word) for word in words], *more, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        line = " ".join(str(message).split())
        if processes.tells():
            sys.stderr.write(f"mpp pretrain: {line}; see mpp pretrain --help\n")
        sys.exit(2)


def parser() -> ConfigParser:
    """Options of the command: those of `mpp.pretrain`, and the data."""
    from mpp.train.pretrain import pretrain

    made = ConfigParser(
        prog="mpp pretrain",
        description="Train one model on a weighted mixture of systems, one path a system. The same "
        "command goes on where it was stopped.",
        epilog="example: mpp pretrain --config experiments/pretrain/mini.yaml --out runs/mini",
    )
    made.add_argument("--config", action="config", help="YAML with any of the options below")
    made.add_argument("--data", type=str, nargs="+", required=True, help="one path a system")
    add_output(made, "folder for the checkpoint, its metrics and its state")
    made.add_function_arguments(pretrain, skip={"datasets", "out"})
    # As a class, the default would lend its arguments to any other model that is named.
    made.set_defaults(model=None)
    return made


def run(arguments: Any) -> None:
    """Run the command."""
    from mpp import open_dataset, pretrain, save

    made = parser()
    asked = json.loads(made.dump(arguments, format="json", skip_validation=True))
    options = made.instantiate(arguments).as_dict()
    _launch(options, arguments.command)
    processes.start()
    out: Path = options.pop("out")
    resume, overwrite = options["resume"], options.pop("overwrite")
    anew = processes.by_first(lambda: begins(out, overwrite, resume, "pretraining"))
    for name in ("config", "command"):
        options.pop(name, None)
    if options["model"] is None:
        options.pop("model")
    datasets = [open_dataset(path) for path in options.pop("data")]
    options["resume"] = not anew
    with ExitStack() as kept:
        # Only the first process writes, and the others wait for it before they train.
        processes.by_first(
            lambda: kept.enter_context(
                recorded(out, anew, resume, record(asked, datasets), "pretraining")
            )
        )
        model = pretrain(datasets, out, **options)
    if processes.rank() == 0:
        save(model, out)
        tell(out)


def _launch(options: dict[str, Any], command: str) -> None:
    """Start the command anew with torchrun where it is to have several processes and has one.

    Raises:
        InputError: They are to be on several machines.
    """
    devices, nodes = options["devices"] or 1, options["num_nodes"] or 1
    if processes.launched().by or nodes * devices == 1:
        return
    if nodes > 1:
        raise InputError(
            f"num_nodes is {nodes}, and only this machine is known; start the command on each with "
            "torchrun or srun, as experiments/slurm shows, and leave it out"
        )
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
    words = shlex.split(command)[1:]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *torchrun, "-m", "mpp", *words])


def record(asked: dict[str, Any], datasets: "Sequence[xr.Dataset]") -> dict[str, Any]:
    """What the weights of a pretraining depend on, its budget apart.

    Args:
        asked: The options by name, classes by their paths.
        datasets: The data.
    """
    from mpp.study.record import run_digests

    return {
        "settings": {name: value for name, value in asked.items() if name not in FREE},
        "budget": {"max_steps": asked["max_steps"]},
        "data": {str(number): run_digests(ds) for number, ds in enumerate(datasets)},
    }


def _underscored(word: str) -> str:
    """An option as it is called here, with underscores, however it was written."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value
