"""``mpp pretrain``: train one model on many systems, as a YAML file says."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import jsonargparse
import yaml

from mpp.cli.going_on import begins, recorded
from mpp.cli.launching import launch
from mpp.cli.outputs import add_output, tell
from mpp.errors import printable
from mpp.ranges import RANGES, require
from mpp.safe_yaml import refuse_aliases
from mpp.train import processes

if TYPE_CHECKING:
    import xarray as xr

FREE = ("config", "command", "data", "out", "overwrite", "resume", "max_steps", "workers",
        "on_bad_loss", "skip_limit", "devices", "num_nodes", "strategy")  # fmt: skip
"""Options that the weights after a step do not depend on, the budget and the data apart."""
IMPORTS = ("mpp.model", "mpp.train", "torch.nn", "torch.optim", "dadaptation")
"""Where the classes and functions come from that a configuration may name unasked."""
ALLOW = "--allow-imports"
_usual = jsonargparse.get_loader("yaml")


class ConfigParser(jsonargparse.ArgumentParser):
    """A jsonargparse parser whose errors are one line, and that imports what it may alone.

    A name in a configuration is a Python object to import and call, so that one from somebody else
    could run anything that is installed. What is not under `IMPORTS` needs the user's own word on
    the command line. Options may be written with dashes.
    """

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        words = sys.argv[1:] if args is None else args
        first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        first.add_argument(ALLOW, "--allow_imports", default="")
        allowed = first.parse_known_args(words)[0].allow_imports
        trusted = [name.strip() for name in allowed.split(",") if name.strip()]
        try:
            jsonargparse.set_parsing_settings(
                import_path_denylist=["*"], import_path_allowlist=[*IMPORTS, *trusted]
            )
        except ValueError:
            self.error(f"{ALLOW} {allowed!r}: expected packages or modules, such as my_models")
        jsonargparse.set_loader("yaml", _loaded, exceptions=(yaml.YAMLError,))
        found = super().parse_args([_underscored(word) for word in words], *more, **options)
        require(**{name: found[name] for name in RANGES if name in found})
        if found.pop("allow_imports", None) != (allowed or None):
            self.error(f"{ALLOW} is for the command line; take it out of the configuration")
        return found

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        line = printable(" ".join(str(message).split()))
        denied = re.search(r"Importing '([\w.]+)' is not allowed", line)
        if denied:
            name = denied[1]
            line = (
                f"it names {name}, which is under none of {', '.join(IMPORTS)} and could run "
                f"anything; if you trust it, add {ALLOW} {name.partition('.')[0]}"
            )
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
    made.add_argument(
        "--allow_imports",
        type=str,
        metavar="PACKAGE[,PACKAGE]",
        help="packages of yours that the configuration may import classes and functions from, "
        f"beside {', '.join(IMPORTS)}",
    )
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
    launch(options["devices"], options["num_nodes"], arguments.command)
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


def _loaded(text: str) -> Any:
    """YAML as jsonargparse reads it, without aliases: nine of nine of them make billions."""
    refuse_aliases(text)
    return _usual(text)


def _underscored(word: str) -> str:
    """An option as it is called here, with underscores, however it was written."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value
