"""``mpp infer``: what the numbers of the equation probably are, from frames alone."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mpp.cli.outputs import add_output, claim, tell
from mpp.cli.parsing import CHECKPOINT, CommandParser, add_device
from mpp.cli.source import add_mapping, opened

if TYPE_CHECKING:
    import rich.table
    import xarray as xr


def parser() -> CommandParser:
    """Options of the command."""
    made = CommandParser(
        "infer",
        "Estimate parameters such as a viscosity from the first frames of every run, with "
        "intervals that are meant to hold nine true values in ten. A picture is written beside it.",
        "mpp infer --checkpoint mpp-mini --data data/gray_scott.nc --history 4 --out parameters.nc",
    )
    made.add_argument("--checkpoint", required=True, help=CHECKPOINT)
    made.add_argument("--data", required=True, help="file or folder with the runs")
    made.add_argument(
        "--parameters", nargs="+", help="names to estimate (default: all that the model knows)"
    )
    made.add_argument(
        "--history", type=int, help="frames of each run to use (default: the model's)"
    )
    add_device(made)
    add_output(made, "file to write, .nc")
    add_mapping(made.add_argument_group("what is in the files"))
    return made


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from mpp import infer, load
    from mpp.cli.outputs import Console
    from mpp.data.convert import write
    from mpp.devices import device_named
    from mpp.errors import InputError
    from mpp.viz.estimates import estimates
    from mpp.viz.style import save

    out: Path = claim(arguments.out, arguments.overwrite, (".nc",))
    picture = claim(out.with_suffix(".png"), arguments.overwrite, (".png",))
    model = load(arguments.checkpoint).to(device_named(arguments.device))
    ds = opened(arguments.data, arguments)
    history = model.history if arguments.history is None else arguments.history
    if not 1 <= history <= ds.sizes["time"]:
        raise InputError(
            f"{arguments.data}: {history} frames were asked for, its runs have "
            f"{ds.sizes['time']}; choose --history between 1 and that"
        )
    found = infer(model, ds.isel(time=slice(0, history)), arguments.parameters)
    write(found, out, overwrite=arguments.overwrite)
    save(estimates(found), picture)
    Console().print(_table(found))
    tell(out)
    tell(picture)


def _table(found: "xr.Dataset") -> "rich.table.Table":
    """The estimates of all runs in a few numbers."""
    import numpy as np
    from rich.table import Table

    from mpp.viz.estimates import estimate_names

    table = Table(
        title=f"{found.sizes['sample']} runs, {found.attrs['history_frames']} frames of each"
    )
    table.add_column("parameter", no_wrap=True)
    for column in ("estimates", "interval", "relative error", "intervals that hold it"):
        table.add_column(column, justify="right")
    for name in estimate_names(found):
        middle, low, high = (np.asarray(found[f"{k}{name}"]) for k in ("", "low_", "high_"))
        units = str(found[name].attrs.get("units", "1"))
        width = float(np.median((high - low) / 2 / np.abs(middle)))
        row = [
            name if units == "1" else f"{name} ({units})",
            f"{middle.min():.3g} to {middle.max():.3g}",
            f"±{width:.0%}",
        ]
        if f"truth_{name}" in found:
            truth = np.asarray(found[f"truth_{name}"])
            error = np.median(np.abs(middle - truth) / np.abs(truth))
            row += [f"{error:.1%}", f"{np.mean((low <= truth) & (truth <= high)):.0%}"]
        table.add_row(*row)
    return table
