"""How many runs of a new system pretraining saves: a checkpoint against training from scratch.

Every system that is meant for transfer is learned from 1, 4, 16 and 64 runs (`--sizes`), finetuned
from the checkpoint and from random weights, for the same number of optimizer steps on the same
runs, with three seeds. Errors are VRMSE on test runs that neither was trained on or chosen by.
A target's ratio is 64, the largest size, over the finetuned runs that match scratch on as many: the
efficiency gain, read off the learning curve between the sizes as a straight line in the logarithms
(`mpp/metrics/gains.py`), where a size matches only if all larger ones do. It is for the mean of the
fields at the first lead time. Where the smallest size matches, it is the ratio to that, and could
be larger; where none does, it is 0. `ratio` is the median over the targets. Where the finetuned
model is worse at any size, field or lead time stands under `negative_transfer`.

Data and finished trainings are kept in a folder, and a later call goes on from there. On two cores
the defaults take about three hours.

example: python benchmarks/transfer.py --keep runs/transfer --json transfer.json
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import xarray as xr
from reporting import circumstances, write_json
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import mpp
from mpp.cli.demo import DATASETS
from mpp.cli.transfer import add_settings, render, settings
from mpp.data.generate import default_workers, file_of, generate, solver_pool
from mpp.data.system import Split
from mpp.errors import InputError
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Surrogate
from mpp.study.compare import Comparison, compare, headlines, verdict
from mpp.study.plan import Study
from mpp.viz.transfer_report import transfer_report

TARGETS = ("kuramoto_sivashinsky", "swift_hohenberg", "cahn_hilliard", "wave_equation")
FULL = Study(sizes=(1, 4, 16, 64), max_steps=250)
QUICK_TARGETS, QUICK_SOURCE = ("cahn_hilliard", "wave_equation"), "gray_scott"
QUICK = Study(
    sizes=(1, 2), seeds=2, lead_steps=(1, 3), test_runs=2, validation_runs=1, max_steps=4,
    validate_every=2,
)  # fmt: skip
QUICK_DATA: dict[str, Any] = {"resolution": 32, "frames": 12}
QUICK_SHAPE: dict[str, Any] = {"history": 4, "width": 16, "heads": 2, "depth": 1, "hidden": 8}
TABLE_WIDTH = 64
"""Columns of text, so that the title stays on one line."""


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--checkpoint", default="mpp-mini", metavar="CKPT", help="default mpp-mini")
    add("--targets", nargs="+", default=TARGETS, metavar="NAME", help="folders of datasets/")
    add("--data", type=Path, metavar="DIR", help="NAME.nc of each target (default: generate them)")
    add("--test", type=Path, metavar="DIR", help="their test runs (default: generate them)")
    add("--resolution", type=int, default=64, metavar="R", help="of generated data (default 64)")
    add("--keep", type=Path, default=Path("runs/transfer"), help="folder of data and trainings")
    add("--workers", type=int, default=2, help="trainings at once, one core each (default 2)")
    add("--json", metavar="FILE", help="write JSON there, - for standard output")
    add("--quick", action="store_true", help="a tiny model and study, to see that it runs")
    add_settings(parser, FULL)
    arguments = parser.parse_args()
    quick, workers = arguments.quick, 1 if arguments.quick else arguments.workers
    keep = arguments.keep / "quick" if quick else arguments.keep
    targets = QUICK_TARGETS if quick else arguments.targets
    size: dict[str, Any] = QUICK_DATA if quick else {"resolution": arguments.resolution}
    try:
        study = settings(arguments, QUICK if quick else FULL)
        # As many as for the usual sizes at least, so that larger ones can be added to a study.
        runs = max(*study.sizes, *(QUICK if quick else FULL).sizes) + study.validation_runs
        # Processes start with the first task: where all the runs are there, none does.
        with solver_pool(1 if quick else default_workers()) as pool:
            model = pretrained(keep, pool) if quick else mpp.load(arguments.checkpoint)
            new = partial(simulate, pool, keep / "data", targets)
            data = arguments.data or new(trajectories=runs, **size)
            test = arguments.test or new("test", trajectories=study.test_runs, **size)
        found = measure(model, targets, data, test, keep / "study", study, workers)
    except InputError as error:
        parser.error(str(error))
    report = transfer_report(found, keep / "study", study.lead_steps)
    result = {
        "what": "runs of a new system that pretraining saves",
        **summary({name: compare(ds, study.lead_steps) for name, ds in found.items()}),
        "seconds": {name: seconds(ds) for name, ds in found.items()},
        "checkpoint": str(keep / "pretrained") if quick else arguments.checkpoint,
        "weights": model.card.get("sha256"),
        "study": asdict(study),
        **circumstances(),
    }
    if arguments.json:
        write_json(result, arguments.json)
    if arguments.json != "-":
        show(found, study, result)
        Console().print(f"wrote {report}", soft_wrap=True)


def simulate(
    pool: Executor, folder: Path, targets: Sequence[str], split: Split = "train", **size: Any
) -> Path:
    """Generate the runs of those targets that are not there yet; gives the folder they are in."""
    missing = [name for name in targets if not file_of(folder, name, split).is_file()]
    if missing:
        with Progress(console=Console(stderr=True)) as bar:
            for name in missing:
                shown = bar.add_task(name, total=size["trajectories"])
                generate(
                    DATASETS / name,
                    folder,
                    split=split,
                    pool=pool,
                    on_trajectory=lambda _, shown=shown: bar.advance(shown),
                    **size,
                )
    return file_of(folder, targets[0], split).parent


def pretrained(keep: Path, pool: Executor) -> Surrogate:
    """A tiny model that has seen a few runs of one system for a few steps."""
    if not (keep / "pretrained" / "model.json").is_file():
        data = simulate(pool, keep / "data", [QUICK_SOURCE], trajectories=3, **QUICK_DATA)
        model = mpp.pretrain(
            [mpp.open_dataset(data / f"{QUICK_SOURCE}.nc")],
            keep / "pretrained",
            lambda names: AxialTransformer(names, **QUICK_SHAPE),
            held_out=0.3,
            max_steps=8,
            seed=100,  # of no training of the study, whose first weights it would share
        )
        mpp.save(model, keep / "pretrained")
    return mpp.load(keep / "pretrained")


def measure(
    model: Surrogate,
    targets: Sequence[str],
    data: Path,
    test: Path,
    out: Path,
    study: Study,
    workers: int,
) -> dict[str, xr.Dataset]:
    """The study of all targets, with a bar where trainings in processes show none.

    Raises:
        InputError: As `mpp.transfer` does.
    """
    trained, tested = (
        [mpp.open_dataset(side / f"{name}.nc") for name in targets] for side in (data, test)
    )
    stderr = Console(stderr=True)
    with Progress(console=stderr, disable=workers == 1) as bar:
        shown = bar.add_task("trainings", total=None)
        return mpp.transfer(
            model, trained, out, study, tested, workers,
            progress=lambda done, total: bar.update(shown, completed=done, total=total),
            note=lambda sentence: stderr.print(sentence, soft_wrap=True),
        )  # fmt: skip


def summary(comparisons: Mapping[str, Sequence[Comparison]]) -> dict[str, Any]:
    """The ratio of the benchmark, those of all targets and lead times, and all negative transfer.

    Args:
        comparisons: By target, as `compare` gives them.
    """
    targets = {
        name: {str(part.step): gains(part) for part in headlines(parts)}
        for name, parts in comparisons.items()
    }
    steps = list(next(iter(targets.values())))
    medians = {
        step: statistics.median(found[step]["ratio"] for found in targets.values())
        for step in steps
    }
    negative = [
        {
            "target": name,
            "field": part.field,
            "step": part.step,
            "runs": part.sizes[place],
            "finetuned": finite(part.means[0][place]),
            "scratch": finite(part.means[1][place]),
        }
        for name, parts in comparisons.items()
        for part in parts
        for place in part.worse
    ]
    return {
        "ratio": medians[steps[0]],
        "ratio_by_step": medians,
        "targets": targets,
        "negative_transfer": negative,
    }


def gains(part: Comparison) -> dict[str, Any]:
    """What one target gains at one lead time; an error that is not finite is ``None``."""
    needed = part.needed
    finetuned, scratch = part.means
    return {
        "ratio": 0.0 if needed.sign == ">" else part.sizes[-1] / needed.value,
        "runs_needed": str(needed),
        "sizes": list(part.sizes),
        "finetuned": [finite(error) for error in finetuned],
        "scratch": [finite(error) for error in scratch],
        "persistence": part.persistence,
        "accuracy_gain": [finite(gain) for gain in part.accuracy_gains],
        "efficiency_gain": [str(gain) for gain in part.efficiency_gains],
    }


def finite(value: float) -> float | None:
    """A number as JSON can hold it."""
    return float(value) if isfinite(value) else None


def seconds(ds: xr.Dataset) -> dict[str, list[float]]:
    """Median time of a training by arm: that passed, and that of processors."""
    return {
        str(arm): [float(ds[name].sel(arm=arm).median()) for name in ("seconds", "cpu_seconds")]
        for arm in ds["arm"].values
    }


def show(found: Mapping[str, xr.Dataset], study: Study, result: Mapping[str, Any]) -> None:
    """Tables and verdicts of all targets, then the ratios."""
    console = Console()
    for ds in found.values():
        comparisons = compare(ds, study.lead_steps)
        console.print(render(headlines(comparisons)))
        for line in verdict(comparisons):
            console.print(f"- {line}", markup=False, highlight=False)
        console.print()
    steps = list(result["ratio_by_step"])
    columns = [f"step {step}" for step in steps]
    table = Table("target", *columns, title=result["what"], min_width=TABLE_WIDTH)
    table.caption = f"{max(study.sizes)} over the finetuned runs that match scratch on as many"
    for name, by_step in result["targets"].items():
        table.add_row(name, *(f"{by_step[step]['ratio']:.3g}" for step in steps))
    table.add_row("median", *(f"{result['ratio_by_step'][step]:.3g}" for step in steps))
    console.print(table)


if __name__ == "__main__":
    main()
