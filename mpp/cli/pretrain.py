"""``mpp pretrain``: train one model on many systems, as a YAML file says."""

import sys
from pathlib import Path
from typing import Any, NoReturn

import jsonargparse

from mpp.cli.outputs import add_output, claim, tell


class ConfigParser(jsonargparse.ArgumentParser):
    """A jsonargparse parser whose errors are one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        line = " ".join(str(message).split())
        sys.stderr.write(f"mpp pretrain: {line}; see mpp pretrain --help\n")
        sys.exit(2)


def parser() -> ConfigParser:
    """Options of the command: those of `mpp.pretrain`, and the data."""
    from mpp.train.pretrain import pretrain

    made = ConfigParser(
        prog="mpp pretrain",
        description="Train one model on a weighted mixture of systems, one path a system.",
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

    options = parser().instantiate(arguments).as_dict()
    out: Path = claim(options.pop("out"), options.pop("overwrite") or options["resume"])
    for name in ("config", "command"):
        options.pop(name, None)
    if options["model"] is None:
        options.pop("model")
    datasets = [open_dataset(path) for path in options.pop("data")]
    save(pretrain(datasets, out, **options), out)
    tell(out)
