"""``mpp pretrain``: train one model on many systems, as a YAML file says."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import jsonargparse

from mpp.cli.outputs import add_output, claim, tell
from mpp.errors import printable

IMPORTS = ("mpp.model", "mpp.train", "torch.nn", "torch.optim", "dadaptation")
"""Where the classes and functions come from that a configuration may name unasked."""
ALLOW = "--allow-imports"


class ConfigParser(jsonargparse.ArgumentParser):
    """A jsonargparse parser whose errors are one line, and that imports what it may alone.

    A name in a configuration is a Python object to import and call, so that one from somebody else
    could run anything that is installed. What is not under `IMPORTS` needs the user's own word on
    the command line.
    """

    def parse_args(self, args: Sequence[str] | None = None, **options: Any) -> Any:
        first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        first.add_argument(ALLOW, default="")
        allowed = first.parse_known_args(args)[0].allow_imports
        trusted = [name.strip() for name in allowed.split(",") if name.strip()]
        try:
            jsonargparse.set_parsing_settings(
                import_path_denylist=["*"], import_path_allowlist=[*IMPORTS, *trusted]
            )
        except ValueError:
            self.error(f"{ALLOW} {allowed!r}: expected packages or modules, such as my_models")
        found = super().parse_args(args, **options)
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
    made.add_argument(
        ALLOW,
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

    options = parser().instantiate(arguments).as_dict()
    out: Path = claim(options.pop("out"), options.pop("overwrite") or options["resume"])
    for name in ("config", "command"):
        options.pop(name, None)
    if options["model"] is None:
        options.pop("model")
    datasets = [open_dataset(path) for path in options.pop("data")]
    save(pretrain(datasets, out, **options), out)
    tell(out)
