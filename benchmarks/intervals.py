"""How far off numbers are that a model reads from a few frames, and how often its intervals hold.

Half of the runs of each file calibrate the intervals, the other half are asked; with --kept the
checkpoint's own calibration stays, and all runs are asked. Estimates start at several places of
each run. Give runs that the model was not trained on:

    for s in gray_scott kolmogorov_flow burgers; do
      mpp generate datasets/$s --split test --trajectories 128 --seed 5 --out numbers
    done
    python benchmarks/intervals.py --data numbers/test/*.nc --json intervals.json
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from reporting import circumstances, write_json
from rich.console import Console
from rich.table import Table

import mpp
from mpp import schema
from mpp.errors import InputError
from mpp.model.axial import AxialTransformer
from mpp.model.numbers import COVERAGE
from mpp.train.calibrate import calibrate
from mpp.train.datamodule import MixtureData, window_frames
from mpp.units import in_units

COLUMNS = ("number", "guess", "error", "held", "runs")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--checkpoint", default="mpp-mini", metavar="CKPT", help="default mpp-mini")
    add("--data", nargs="+", required=True, metavar="PATH", help="new runs, one system a path")
    add("--history", type=int, default=4, help="frames to estimate from (default 4)")
    add("--kept", action="store_true", help="keep the checkpoint's own calibration")
    add("--json", metavar="FILE", help="write JSON there, - for standard output")
    arguments = parser.parse_args()
    try:
        model = mpp.load(arguments.checkpoint)
        if not isinstance(model, AxialTransformer):
            raise InputError(f"{type(model).__name__} reads no numbers; use the default model")
        datasets = [mpp.open_dataset(path) for path in arguments.data]
        asked = datasets if arguments.kept else calibrated(model, datasets)
        rows = [row for ds in asked for row in measure(model, ds, arguments.history)]
    except InputError as error:
        parser.error(str(error))
    result = {
        "what": "intervals that are meant to hold 90 % of the numbers",
        "ratio": float(np.mean([row["held"] for row in rows])) / COVERAGE,
        "checkpoint": arguments.checkpoint,
        "weights": model.card.get("sha256"),
        "history": arguments.history,
        "calibrated_on": "the checkpoint's runs" if arguments.kept else "half of the runs",
        "numbers": rows,
        **circumstances(),
    }
    if arguments.json:
        write_json(result, arguments.json)
    if arguments.json != "-":
        show(rows)


def calibrated(model: AxialTransformer, datasets: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Calibrate on the first half of the runs of each system; gives the other halves."""
    own = [in_units(ds, model.number_units) for ds in datasets]
    firsts = [ds.isel(sample=slice(0, ds.sizes["sample"] // 2)) for ds in own]
    if not all(ds.sizes["sample"] for ds in firsts):
        raise InputError("one run cannot calibrate and be asked; give more, or --kept")
    data = MixtureData(firsts, firsts, window_frames(model, firsts))
    model.card["calibration"] = calibrate(model, data)
    return [ds.isel(sample=slice(ds.sizes["sample"] // 2, None)) for ds in datasets]


def measure(model: AxialTransformer, ds: xr.Dataset, history: int) -> list[dict[str, Any]]:
    """A row for each number of a system's equation."""
    ds = ds.load()
    names = schema.names(ds, "parameter")
    starts = range(0, ds.sizes["time"] - history + 1, history)
    found = [mpp.infer(model, ds.isel(time=slice(t, t + history)), names) for t in starts]
    rows = []
    for name in names:
        true, median, low, high = (
            np.stack([part[f"{kind}{name}"].values for part in found])
            for kind in ("truth_", "", "low_", "high_")
        )
        held = ((low <= true) & (true <= high)).mean(0)
        relative = np.abs(median - true) / np.abs(true)
        runs = len(held)
        rows.append(
            {
                "system": schema.system(ds),
                "name": name,
                "guess": float(np.median(np.abs(np.median(true) - true) / np.abs(true))),
                "error": float(np.median(relative)),
                "held": float(held.mean()),
                # Windows of a run are alike: the spread is that over runs.
                "held_error": float(held.std(ddof=1) / runs**0.5) if runs > 1 else None,
                "runs": runs,
            }
        )
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table."""
    table = Table(*COLUMNS, title="numbers read from a few frames; medians of relative errors")
    for row in rows:
        spread = f" ± {row['held_error']:.1%}" if row["held_error"] is not None else ""
        table.add_row(
            f"{row['system']}: {row['name']}",
            f"{row['guess']:.1%}",
            f"{row['error']:.1%}",
            f"{row['held']:.1%}{spread}",
            str(row["runs"]),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
