"""The study behind `benchmarks/numbers.py`: data, trainings, scores, and the table of them."""

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from number_encodings import ENCODINGS
from reporting import circumstances, write_json
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

from mpp import schema
from mpp.data.generate import generate, solver_pool
from mpp.errors import InputError
from mpp.evaluation import evaluate
from mpp.files import written_beside
from mpp.inference import infer
from mpp.model.axial import AxialTransformer
from mpp.train.pretrain import pretrain

SYSTEMS = {"kolmogorov_flow": "viscosity", "gray_scott": "feed", "burgers": "viscosity"}
"""Each with its main number, by which its runs are divided."""
BEYOND, GAP = 0.1, 0.12
"""Share of the runs, by rank of the main number, beyond the range at either end, and in the gap."""
REGIONS = ("inside", "gap", "beyond")
GIVEN = ("all", "half", "none")
WITHOUT = "no numbers"
"""Name of the model that was trained without any."""
UNSEEN = 4
"""One in this many of the runs inside the range is never trained on."""


@dataclass(frozen=True)
class Study:
    """How large it is.

    Args:
        trajectories: Runs of each system.
        run: Frames of a run.
        resolution: Points along each axis.
        steps: Optimizer steps of a training.
        batch_size: Windows in a batch.
        lead_times: Steps of a forecast that are scored.
        histories: Frames that a forecast starts from.
        every: One in this many of the unseen runs is forecast; numbers are read from all.
        frames: Frames that numbers are read from.
        starts: Windows of a run that numbers are read from.
        shape: Arguments of the model.
    """

    trajectories: int = 320
    run: int = 32
    resolution: int = 64
    steps: int = 1000
    batch_size: int = 4
    lead_times: tuple[int, ...] = (1, 20)
    histories: tuple[int, ...] = (1, 4)
    every: int = 3
    frames: int = 4
    starts: int = 8
    shape: dict[str, Any] = field(
        default_factory=lambda: {
            "history": 4, "width": 64, "depth": 2, "hidden": 32, "local_out": 1
        }
    )  # fmt: skip


FULL = Study()
QUICK = Study(
    trajectories=18,
    run=10,
    resolution=32,
    steps=2,
    lead_times=(1, 3),
    starts=2,
    shape={"history": 4, "width": 16, "heads": 2, "depth": 1, "hidden": 8},
)


def main(description: str | None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--json", metavar="FILE", help="write JSON there, - for standard output")
    add("--keep", type=Path, default=Path("runs/numbers"), help="folder of data and trainings")
    add("--seeds", type=int, default=3, help="trainings of each encoding (default 3)")
    add("--workers", type=int, default=2, help="trainings at once, one thread each (default 2)")
    add("--quick", action="store_true", help="tiny models, to see that it runs")
    arguments = parser.parse_args()
    if min(arguments.seeds, arguments.workers) < 1:
        parser.error("expected at least 1 seed and 1 worker")
    study, keep = (QUICK, arguments.keep / "quick") if arguments.quick else (FULL, arguments.keep)
    missing = [name for name in SYSTEMS if not (keep / f"{name}.nc").is_file()]
    if missing:
        with solver_pool(arguments.workers) as pool:
            for name in missing:
                simulate(study, keep, name, pool)
    try:
        found = trainings(study, keep, arguments.seeds, arguments.workers)
    except InputError as error:
        parser.error(str(error))
    result = {
        "what": "the numbers of the equation",
        **summary(found),
        "study": asdict(study),
        "seeds": arguments.seeds,
        "trainings": found,
        **circumstances(),
    }
    if arguments.json:
        write_json(result, arguments.json)
    else:
        for table in tables(result):
            Console().print(table)


def simulate(study: Study, keep: Path, name: str, pool: Executor) -> None:
    """Generate the runs of one system."""
    with Progress(console=Console(stderr=True)) as bar:
        shown = bar.add_task(name, total=study.trajectories)
        generate(
            Path(__file__).parents[1] / "datasets" / name,
            keep,
            trajectories=study.trajectories,
            resolution=study.resolution,
            frames=study.run,
            pool=pool,
            on_trajectory=lambda _: bar.advance(shown),
        )


def trainings(study: Study, keep: Path, seeds: int, workers: int) -> list[dict[str, Any]]:
    """What each training of each encoding gave; those that were kept are read.

    Raises:
        InputError: What was kept is of another study.
    """
    jobs = [(name, seed) for seed in range(seeds) for name in (*ENCODINGS, WITHOUT)]
    files = {job: keep / f"{job[0].replace(' ', '_')}_{job[1]}.json" for job in jobs}
    missing = [job for job in jobs if not files[job].is_file()]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, initializer=_silent) as pool:
        running = {pool.submit(train_and_score, study, keep, *job): job for job in missing}
        about = "training" if missing else "reading"
        for done in track(as_completed(running), about, len(missing), console=Console(stderr=True)):
            with written_beside(files[running[done]]) as beside:
                write_json(done.result(), str(beside))
    found = {job: json.loads(files[job].read_text(encoding="utf-8")) for job in jobs}
    settings = json.loads(json.dumps(asdict(study)))
    for job, training in found.items():
        if training["study"] != settings:
            raise InputError(
                f"{files[job]} is of a study with other settings; remove it or choose another "
                "--keep"
            )
    return list(found.values())


def _silent() -> None:
    """Trainings in several processes draw no progress bars of their own over each other."""
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as the process


def divide(ds: xr.Dataset, main_number: str) -> dict[str, xr.Dataset]:
    """The runs to train on, and unseen ones of each region, by rank of the main number."""
    order = np.argsort(np.argsort(ds[main_number].values, stable=True), stable=True)
    place = (order + 0.5) / order.size
    beyond = (place < BEYOND) | (place > 1 - BEYOND)
    gap = np.abs(place - 0.5) < GAP / 2
    inside = np.flatnonzero(~beyond & ~gap)
    unseen = inside[::UNSEEN]
    places = {
        "training": np.setdiff1d(inside, unseen),
        "inside": unseen,
        "gap": np.flatnonzero(gap),
        "beyond": np.flatnonzero(beyond),
    }
    return {name: ds.isel(sample=some) for name, some in places.items()}


def without(ds: xr.Dataset, given: str) -> xr.Dataset:
    """The runs with all of their numbers, half of them, or none.

    Half means that run after run another number is the one that is missing, by turns.
    """
    names = schema.names(ds, "parameter")
    if given == "none":
        return ds.drop_vars(names)
    if given == "half":
        turn = np.arange(ds.sizes["sample"]) % len(names)
        for number, name in enumerate(names):
            ds = ds.assign({name: ds[name].where(xr.DataArray(turn != number, dims="sample"))})
    return ds


def train_and_score(study: Study, keep: Path, encoding: str, seed: int) -> dict[str, Any]:
    """One training, and all that is asked of it."""
    torch.set_num_threads(1)
    data = {}
    for name, number in SYSTEMS.items():
        with xr.open_dataset(keep / f"{name}.nc", decode_times=False, engine="h5netcdf") as ds:
            data[name] = divide(ds.load(), number)
    told = encoding != WITHOUT
    runs = [parts["training"] for parts in data.values()]
    runs = runs if told else [without(ds, "none") for ds in runs]

    def build(names: Sequence[str]) -> AxialTransformer:
        torch.manual_seed(seed)
        model = AxialTransformer(names, **study.shape)
        if encoding in ENCODINGS:
            known = {n: None for ds in runs for n in schema.names(ds, "parameter")}
            model.numbers = ENCODINGS[encoding](tuple(known), model.shape["width"])
        return model

    folder = keep / f"{encoding.replace(' ', '_')}_{seed}"
    model = pretrain(
        runs, folder, build, study.batch_size, held_out=0.3, max_steps=study.steps,
        validate_every=study.steps, seed=seed, rollouts=0, resume=True,
    )  # fmt: skip
    assert isinstance(model, AxialTransformer)
    scores, readings = [], []
    for name, parts in data.items():
        for region in REGIONS:
            some = parts[region].isel(sample=slice(None, None, study.every))
            for given in GIVEN if told else ("none",):
                scores += errors(study, model, name, region, without(some, given), given)
            readings += reads(study, model, name, region, parts[region]) if told else []
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {
        "encoding": encoding, "seed": seed, "study": asdict(study), "parameters": parameters,
        "scores": scores, "readings": readings,
    }  # fmt: skip


def errors(
    study: Study, model: AxialTransformer, system: str, region: str, runs: xr.Dataset, given: str
) -> list[dict[str, Any]]:
    """VRMSE of forecasts, one row a history and lead time.

    The mean over fields of the median over runs: where a pattern dies out, the error of that run
    is divided by next to nothing.
    """
    rows = []
    for history in study.histories:
        found = evaluate(model, runs, max(study.lead_times), history, batch_size=32)["vrmse"]
        found = found.median("sample").mean("field")
        for step in study.lead_times:
            at = found.isel(lead_time=step - 1)
            rows.append(
                {
                    "system": system, "region": region, "given": given,
                    "history": history, "step": step,
                    "vrmse": float(at.sel(model="model")),
                    "persistence": float(at.sel(model="persistence")),
                }
            )  # fmt: skip
    return rows


def reads(
    study: Study, model: AxialTransformer, system: str, region: str, runs: xr.Dataset
) -> list[dict[str, Any]]:
    """How well each number is read from a few frames; one row a number."""
    starts = np.linspace(0, runs.sizes["time"] - study.frames, study.starts).astype(int)
    windows = [runs.isel(time=slice(start, start + study.frames)) for start in starts]
    found = [infer(model, window) for window in windows]
    rows = []
    for name in schema.names(runs, "parameter"):
        middle, low, high, truth = (
            np.concatenate([each[f"{kind}{name}"].values for each in found])
            for kind in ("", "low_", "high_", "truth_")
        )
        error = np.abs(middle - truth) / np.abs(truth)
        typical = np.median(truth)
        rows.append(
            {
                "system": system, "region": region, "number": name, "windows": truth.size,
                "error": float(np.median(error)),
                "error_of_the_median": float(np.median(np.abs(typical - truth) / np.abs(truth))),
                "coverage": float(np.mean((low <= truth) & (truth <= high))),
                "half_width": float(np.median((high - low) / 2 / np.abs(middle))),
            }
        )  # fmt: skip
    return rows


def summary(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The ratio of the errors at one step from one frame, told all numbers and told none.

    The geometric mean over the systems, for the model's own encoding inside the range.
    """
    own = next(iter(ENCODINGS))
    wanted = {"encoding": own, "region": "inside", "history": 1, "step": 1}
    cells = {given: cell(found, **wanted, given=given)[0] for given in ("none", "all")}
    return {"ratio": cells["none"] / cells["all"]}


def cell(found: Sequence[Mapping[str, Any]], encoding: str, **wanted: Any) -> tuple[float, float]:
    """Geometric mean over systems of the VRMSE: mean and standard deviation over seeds."""
    means = []
    for training in found:
        if training["encoding"] == encoding:
            rows = [r for r in training["scores"] if all(r[k] == v for k, v in wanted.items())]
            means.append(np.exp(np.mean([np.log(row["vrmse"]) for row in rows])))
    return float(np.mean(means)), float(np.std(means, ddof=1)) if len(means) > 1 else 0.0


def tables(result: Mapping[str, Any]) -> list[Table]:
    """Errors by encoding, and what the model's own encoding reads."""
    found, study = result["trainings"], result["study"]
    shown = []
    for history in study["histories"]:
        for step in study["lead_times"]:
            title = f"VRMSE at step {step} from {history} frame{'s' if history > 1 else ''}"
            columns = [f"{region}, {given}" for region in REGIONS for given in GIVEN]
            table = Table("", *columns, title=title, caption="geometric mean of the systems")
            for encoding in (*ENCODINGS, WITHOUT):
                cells = []
                for region in REGIONS:
                    for given in GIVEN:
                        if encoding == WITHOUT and given != "none":
                            cells.append("")
                            continue
                        mean, spread = cell(
                            found, encoding, region=region, given=given, history=history, step=step
                        )
                        cells.append(f"{mean:.4f} ± {spread:.4f}")
                table.add_row(encoding, *cells)
            shown.append(table)
    return [*shown, reading_table(found, study["frames"])]


def reading_table(found: Sequence[Mapping[str, Any]], frames: int) -> Table:
    """Relative errors and coverage of the model's own encoding, means over seeds."""
    own = next(iter(ENCODINGS))
    columns = [f"{region}, {what}" for region in REGIONS for what in ("error", "coverage")]
    table = Table(
        "", *columns, "error of the median",
        title=f"numbers read from {frames} frames", caption="coverage is meant to be 90 %",
    )  # fmt: skip
    rows = [
        row for training in found if training["encoding"] == own for row in training["readings"]
    ]
    for system, number in dict.fromkeys((row["system"], row["number"]) for row in rows):
        same = [row for row in rows if (row["system"], row["number"]) == (system, number)]
        cells = []
        for region in REGIONS:
            here = [row for row in same if row["region"] == region]
            cells.append(f"{np.mean([row['error'] for row in here]):.1%}")
            cells.append(f"{np.mean([row['coverage'] for row in here]):.0%}")
        inside = [row["error_of_the_median"] for row in same if row["region"] == "inside"]
        table.add_row(f"{system}: {number}", *cells, f"{np.mean(inside):.1%}")
    return table
