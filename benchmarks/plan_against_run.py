"""What `mpp plan` says of a training against the training itself: time of a step, and peak memory.

Each case is planned and pretrained for some steps on this machine, in turns, with 1-D, 2-D and 3-D
grids, a small and a larger model. Time is that between a short and a longer training, so that
starting and validating do not count; memory is what a fresh process that
has the data grows by. The ratio is planned over measured, of the case where that is farthest from
one.

python benchmarks/plan_against_run.py --json -
"""

import argparse
import gc
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from reporting import circumstances, write_json
from rich.console import Console
from rich.table import Table

import mpp
from mpp import schema
from mpp.model.axial import AxialTransformer
from mpp.plan.plan import Training, plan
from mpp.plan.shape import Shape

FRAMES, RUNS = 24, 3
GROWN = """
import json, sys
from pathlib import Path
import plan_against_run as here
def status(key):
    return 1024 * int(next(
        line.split()[1] for line in open("/proc/self/status") if line.startswith(key)))
case = here.Case(**json.loads(sys.argv[1]))
data = case.data()
case.train(case.data(most=16), Path(sys.argv[2]) / "warm", steps=1)
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
case.train(data, Path(sys.argv[2]) / "whole", steps=4)
print(status("VmHWM") - before)
"""


@dataclass(frozen=True)
class Case:
    """A training to plan and to run."""

    name: str
    grid: Sequence[int]
    batch_size: int
    model: dict[str, Any]

    def make(self, names: Sequence[str]) -> AxialTransformer:
        """The model with rows for these names."""
        return AxialTransformer(names, ranks=(len(self.grid),), **self.model)

    def data(self, most: int | None = None) -> xr.Dataset:
        """Runs on its grid, or on one of at most so many points along an axis."""
        grid = tuple(min(most or points, points) for points in self.grid)
        return schema.example(grid, RUNS, FRAMES).astype("float32", keep_attrs=True)

    def train(self, ds: xr.Dataset, out: Path, steps: int) -> float:
        """Seconds of a pretraining of so many steps."""
        start = time.perf_counter()
        mpp.pretrain(
            [ds], out, self.make, self.batch_size, held_out=1 / 3, max_steps=steps,
            validate_every=steps,
        )  # fmt: skip
        return time.perf_counter() - start

    def plan(self, steps: int) -> dict[str, Any]:
        """What `mpp plan` says of it."""
        shape = Shape.of(self.data())
        return plan(Training(self.make, (shape,), self.batch_size, steps)).to_dict()


MINI = {"width": 192}
CASES = (
    Case("mpp-mini, 64 x 64", (64, 64), 2, MINI),
    Case("mpp-mini, 32 x 32", (32, 32), 4, MINI),
    Case("mpp-mini, 128 x 96", (128, 96), 1, MINI),
    Case("Ti, 64 x 64", (64, 64), 2, {"width": 356, "coarse": 4}),
    Case("default, 512", (512,), 4, {}),
    Case("width 64, 32 x 32 x 32", (32, 32, 32), 1, {"width": 64}),
)
QUICK = (Case("width 16, 16 x 16", (16, 16), 1, {"width": 16, "depth": 1, "hidden": 8}),)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", metavar="FILE", help="write JSON there, - for standard output")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of a case (default 20)")
    parser.add_argument("--quick", action="store_true", help="one tiny case, to see that it runs")
    arguments = parser.parse_args()
    found = [measure(case, arguments.steps) for case in (QUICK if arguments.quick else CASES)]
    ratios = [row[key] for row in found for key in ("time_ratio", "memory_ratio")]
    result = {
        "what": "time and memory that were planned over those measured, farthest from one",
        "ratio": max(ratios, key=lambda ratio: abs(math.log(ratio))),
        "cases": found,
        "threads": torch.get_num_threads(),
        **circumstances(),
    }
    if arguments.json:
        write_json(result, arguments.json)
    if arguments.json != "-":
        show(found)


def measure(case: Case, steps: int) -> dict[str, Any]:
    """Plan and run a case."""
    with tempfile.TemporaryDirectory() as folder:
        out, ds = Path(folder), case.data()
        case.train(ds, out / "warm", 2)
        before = case.plan(steps)
        short = case.train(ds, out / "short", 4)
        long = case.train(ds, out / "long", 4 + steps)
        gc.collect()
        after = case.plan(steps)
        words = [sys.executable, "-c", GROWN, json.dumps(vars(case)), folder]
        done = subprocess.run(
            words, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        )
    planned = (before["seconds_a_step"] + after["seconds_a_step"]) / 2
    measured, grown = (long - short) / steps, int(done.stdout.split()[-1])
    return {
        "case": case.name,
        "parameters": before["total_parameters"],
        "flops": before["total_flops"],
        "reached": [before["reached"], after["reached"]],
        "planned_seconds": planned,
        "measured_seconds": measured,
        "time_ratio": planned / measured,
        "planned_bytes": before["total_memory"],
        "measured_bytes": grown,
        "memory_ratio": before["total_memory"] / grown,
    }


def show(found: Sequence[dict[str, Any]]) -> None:
    """Print the cases."""
    table = Table(box=None, pad_edge=False, header_style="bold cyan", padding=(0, 2, 0, 0))
    for title in ("case", "GFLOP", "s planned", "measured", "ratio", "MiB planned", "measured",
                  "ratio"):  # fmt: skip
        table.add_column(title, justify="left" if title == "case" else "right")
    for row in found:
        memory = (row["planned_bytes"] / 2**20, row["measured_bytes"] / 2**20)
        table.add_row(
            row["case"],
            f"{row['flops'] / 1e9:.3g}",
            f"{row['planned_seconds']:.3g}",
            f"{row['measured_seconds']:.3g}",
            f"{row['time_ratio']:.2f}",
            *(f"{value:.0f}" for value in memory),
            f"{row['memory_ratio']:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
