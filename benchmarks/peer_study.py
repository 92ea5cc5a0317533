"""The study behind `benchmarks/peers.py`: one training, and the order of all of them.

For each system and arm the three recipes are trained with the first seed, the one that forecasts
the validation runs best by one step is chosen, and trained with the other seeds. The same follows
for one model of the whole suite, and for its finetuning. Everything is kept as it is done.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from equal_time import Recipe, middle, steps_within, train
from peer_arms import DEFAULT, FINER, PERSISTENCE, PUBLISHED, Stage, arms, prepare
from reporting import circumstances, write_json
from rich.console import Console
from rich.progress import track
from safetensors.torch import load_file, save_file

from mpp import schema
from mpp.data.splits import split_runs
from mpp.errors import InputError
from mpp.evaluation import evaluate
from mpp.files import written_beside
from mpp.model.surrogate import Persistence, Surrogate
from mpp.train.datamodule import MixtureData, window_frames

SUITE = "suite"
SCORES = ("nrmse", "vrmse")


@dataclass(frozen=True)
class Study:
    """How large it is; trainings of studies that differ here are never mixed.

    Args:
        budget: Seconds of a training on one system; a suite gets the sum of its systems'.
        share: Part of the budget that finetuning gets.
        history: Frames that every model is given.
        lead_times: Steps of a forecast that tables show.
        held_out: Share of the training runs that recipes are chosen on.
        trial: Steps of the trainings that measure what a step costs.
        rounds: How often that is measured, all arms in turn.
        shapes: Arguments of the models, by arm.
    """

    budget: float = 120.0
    share: float = 0.25
    history: int = 8
    lead_times: tuple[int, ...] = (1, 5, 20)
    held_out: float = 0.15
    trial: int = 10
    rounds: int = 2
    shapes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Itself as JSON gives it back."""
        return json.loads(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Place:
    """Where things are.

    Args:
        training: A file of each system, in the order of the suite.
        test: The same, of runs with another seed.
        keep: Folder of what is done.
    """

    training: Mapping[str, Path]
    test: Mapping[str, Path]
    keep: Path

    @property
    def systems(self) -> tuple[str, ...]:
        """The suite."""
        return tuple(self.training)

    def file(self, name: str, suffix: str = ".json") -> Path:
        """Where something done is kept."""
        return self.keep / "cells" / f"{name}{suffix}"


@dataclass(frozen=True)
class Job:
    """One training.

    Args:
        stage: On one system, on all of them, or on one after all of them.
        arm: Which model.
        recipe: Which of the arm's recipes at this stage.
        system: The system, or ``suite``.
        seed: Fixes the first weights and the order of the batches.
        steps: Optimizer steps.
        start: Name of the training to go on from.
    """

    stage: Stage
    arm: str
    recipe: str
    system: str
    seed: int
    steps: int
    start: str | None = None

    @property
    def name(self) -> str:
        """What its result is kept as."""
        return f"{self.stage}_{self.arm}_{self.system}_{self.recipe}_{self.seed}"

    def systems(self, place: Place) -> tuple[str, ...]:
        """The systems that it trains on."""
        return place.systems if self.stage == "suite" else (self.system,)


@cache
def runs(path: Path) -> xr.Dataset:
    """The runs of a file, without the numbers of the equation; read once by a process.

    No peer can be told them, so none of the models is.
    """
    ds = xr.load_dataset(path, decode_times=False, engine="h5netcdf")
    return ds.drop_vars(schema.names(ds, "parameter"))


def parts(study: Study, place: Place, system: str) -> tuple[xr.Dataset, xr.Dataset]:
    """Runs to train on and runs to choose by; every arm and seed has the same."""
    frames = study.history + 1
    return split_runs(runs(place.training[system]), study.held_out, frames=frames)


def mixture(
    study: Study, place: Place, systems: Iterable[str], model: Surrogate, recipe: Recipe, seed: int
) -> MixtureData:
    """The training data of some systems; Lightning validates on a single run, which is not used."""
    pairs = [parts(study, place, system) for system in systems]
    training = [seen for seen, _ in pairs]
    return MixtureData(
        training, [held.isel(sample=[0]) for _, held in pairs],
        window_frames(model, training), recipe.batch_size, None, seed,
    )  # fmt: skip


def build(study: Study, place: Place, arm: str, systems: Iterable[str], seed: int) -> Surrogate:
    """A new model of an arm, for the fields of some systems."""
    torch.manual_seed(seed)
    datasets = [runs(place.training[system]) for system in systems]
    shape = {"history": study.history, **study.shapes.get(arm, {})}
    return arms()[arm].build(datasets, shape)


def measure(study: Study, place: Place, system: str, chosen: Sequence[str]) -> dict[str, Any]:
    """Seconds of an optimizer step, by arm and amount of work, all in turn round by round.

    Each is a short training of its own, in which as large a part is rolled out as in a long one.
    """
    torch.set_num_threads(1)
    rounds: list[dict[str, float]] = []
    for _ in range(study.rounds):
        found = {}
        for arm in chosen:
            for work, recipe in arms()[arm].works.items():
                model = build(study, place, arm, [system], 0)
                data = mixture(study, place, [system], model, recipe, 0)
                prepare(model, data)
                found[f"{arm}: {work}"] = train(model, data, recipe, study.trial, 0, arm).step
        rounds.append(found)
    return {"system": system, "seconds": middle(rounds), "rounds": rounds, **about(study)}


def train_and_score(study: Study, place: Place, job: Job) -> dict[str, Any]:
    """One training, and its scores on validation and test runs."""
    torch.set_num_threads(1)
    systems, recipe = job.systems(place), arms()[job.arm].recipes(job.stage)[job.recipe]
    known = place.systems if job.start else systems
    model = build(study, place, job.arm, known, job.seed)
    if job.start:
        model.load_state_dict(load_file(place.file(job.start, ".safetensors")))
    data = mixture(study, place, systems, model, recipe, job.seed)
    prepare(model, data)
    module = train(model, data, recipe, job.steps, job.seed, job.name)
    if job.stage == "suite":
        with written_beside(place.file(job.name, ".safetensors")) as beside:
            weights = {n: v.cpu().contiguous() for n, v in model.state_dict().items()}
            save_file(weights, beside)
    return {
        **asdict(job),
        "systems": list(systems),
        "seconds": module.seconds,
        "seconds_a_step": module.step,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "validation": {system: validated(study, place, model, system) for system in systems},
        "scores": [row for system in systems for row in scored(study, place, model, system)],
        **about(study),
    }


def validated(study: Study, place: Place, model: Surrogate, system: str) -> float | None:
    """Mean VRMSE of one step on the runs to choose by; the same windows for every arm."""
    held = parts(study, place, system)[1]
    score = evaluate(model, held, 1, study.history, starts=4, batch_size=8)["vrmse"]
    return finite(float(score.sel(model="model").mean(skipna=False)))


def scored(study: Study, place: Place, model: Surrogate, system: str) -> list[dict[str, Any]]:
    """Forecasts of the test runs, one row a field and score, one number a step.

    The arithmetic mean over runs, as in `mpp.metrics.summary`: one that diverges must show.
    """
    test, steps = runs(place.test[system]), max(study.lead_times)
    found = evaluate({"it": model}, test, steps, study.history, batch_size=8).sel(model="it")
    rows = []
    for score in SCORES:
        for name in found["field"].values:
            one = found[score].sel(field=name)
            mean, median = one.mean("sample", skipna=False), one.median("sample", skipna=False)
            rows.append(
                {
                    "system": system, "field": str(name), "score": score,
                    "mean": [finite(value) for value in mean.values.tolist()],
                    "median": [finite(value) for value in median.values.tolist()],
                }
            )  # fmt: skip
    return rows


def baseline(study: Study, place: Place, system: str) -> dict[str, Any]:
    """What copying the last frame scores."""
    row = {"stage": PERSISTENCE, "arm": PERSISTENCE, "system": system, "seed": 0}
    return {**row, "scores": scored(study, place, Persistence(), system), **about(study)}


def finite(value: float) -> float | None:
    """JSON has no infinity: a forecast that diverged has no score."""
    return value if math.isfinite(value) else None


def about(study: Study) -> dict[str, Any]:
    """What is kept with everything that is done."""
    known = circumstances("cuda" if torch.cuda.is_available() else "cpu")
    wanted = ("commit", "machine", "processor", "cores", "threads", "gpu", "load", "versions")
    return {"study": study.settings, **{name: known[name] for name in wanted}}


@dataclass(frozen=True)
class Group:
    """Trainings that differ in recipe and seed alone.

    Args:
        stage: Of the study.
        arm: Which model.
        system: The system, or ``suite``.
        steps: Optimizer steps by recipe.
        starts: For each seed, the training to go on from.
    """

    stage: Stage
    arm: str
    system: str
    steps: Mapping[str, int]
    starts: tuple[str, ...] = ()

    def job(self, recipe: str, seed: int) -> Job:
        """One of the trainings."""
        start = self.starts[seed] if self.starts else None
        steps = self.steps[recipe]
        return Job(self.stage, self.arm, recipe, self.system, seed, steps, start)


@dataclass(frozen=True)
class Choice:
    """The recipe that was chosen for a group, and its trainings.

    Args:
        group: Whose.
        recipe: The one with the smallest error on the validation runs.
        errors: That error by recipe, with the first seed.
        cells: A training a seed.
    """

    group: Group
    recipe: str
    errors: Mapping[str, float]
    cells: Sequence[Mapping[str, Any]]

    def described(self) -> dict[str, Any]:
        """What is told of it: the trainings themselves stand elsewhere."""
        of = {"stage": self.group.stage, "arm": self.group.arm, "system": self.group.system}
        errors = {name: finite(value) for name, value in self.errors.items()}
        steps = dict(self.group.steps)
        return {**of, "recipe": self.recipe, "validation": errors, "steps": steps}


class Runner:
    """Does what is not done yet, several at once, and keeps each result as it comes."""

    def __init__(self, study: Study, place: Place, pool: Executor) -> None:
        self.study, self.place, self.pool = study, place, pool
        place.file("").parent.mkdir(parents=True, exist_ok=True)

    def results(
        self, title: str, tasks: Mapping[str, tuple[Callable[..., Any], tuple[Any, ...]]]
    ) -> dict[str, dict[str, Any]]:
        """What each task gives, by its name, done now or before.

        Args:
            title: What the progress bar says.
            tasks: By name a function, and what it is called with behind study and place.

        Raises:
            InputError: What was kept is of another study.
        """
        files = {name: self.place.file(name) for name in tasks}
        missing = [name for name in tasks if not files[name].is_file()]
        running = {}
        for name in missing:
            function, arguments = tasks[name]
            running[self.pool.submit(function, self.study, self.place, *arguments)] = name
        bar = Console(stderr=True)
        try:
            for done in track(as_completed(running), title, len(missing), console=bar):
                with written_beside(files[running[done]]) as beside:
                    write_json(done.result(), str(beside))
        finally:  # one that failed or an interruption ends the others before they start
            for task in running:
                task.cancel()
        found = {n: json.loads(path.read_text(encoding="utf-8")) for n, path in files.items()}
        for name, one in found.items():
            if one["study"] != self.study.settings:
                raise InputError(
                    f"{files[name]} is of a study with other settings; remove it, give the same "
                    "--budget, or choose another --out"
                )
        return found

    def trainings(self, title: str, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """The results of some trainings, in their order."""
        tasks = {job.name: (train_and_score, (job,)) for job in jobs}
        found = list(self.results(title, tasks).values())
        for one, job in zip(found, jobs, strict=True):
            wanted = {**asdict(job), "systems": list(job.systems(self.place))}
            other = [
                f"{key} {one[key]}, not {wanted[key]}" for key in wanted if one[key] != wanted[key]
            ]
            if other:
                raise InputError(
                    f"{self.place.file(job.name)} is of a training with {'; '.join(other)}; remove "
                    "it, or choose another --out"
                )
        return found

    def chosen(self, title: str, groups: Sequence[Group], seeds: int) -> list[Choice]:
        """Train every group with each of its recipes, and the best of them with the other seeds."""
        trials = [[group.job(recipe, 0) for recipe in group.steps] for group in groups]
        flat = iter(self.trainings(f"{title}: recipes", [job for jobs in trials for job in jobs]))
        tried = [{recipe: next(flat) for recipe in group.steps} for group in groups]
        best = [min(found, key=lambda recipe: error(found[recipe])) for found in tried]
        jobs = [
            group.job(recipe, seed)
            for group, recipe in zip(groups, best, strict=True)
            for seed in range(1, seeds)
        ]
        more = iter(self.trainings(f"{title}: seeds", jobs) if jobs else [])
        return [
            Choice(
                group, recipe, {name: error(one) for name, one in found.items()},
                [found[recipe], *(next(more) for _ in range(1, seeds))],
            )
            for group, recipe, found in zip(groups, best, tried, strict=True)
        ]  # fmt: skip


def error(training: Mapping[str, Any]) -> float:
    """Geometric mean over the systems of a training's error on validation runs."""
    values = [math.inf if v is None else v for v in training["validation"].values()]
    return float(np.exp(np.mean(np.log(values))))


def complete(runner: Runner, chosen: Sequence[str], seeds: int) -> dict[str, Any]:
    """Everything there is to do, in its order.

    Args:
        runner: Does it.
        chosen: Names of the arms.
        seeds: Trainings of each arm at its best recipe.

    Returns:
        What stands in the result: scores, recipes chosen and trainings.
    """
    study, systems = runner.study, runner.place.systems
    copies = runner.results("persistence", {f"persistence_{s}": (baseline, (s,)) for s in systems})
    costs = runner.results(
        "cost of a step", {f"cost_{s}": (measure, (s, tuple(chosen))) for s in systems}
    )
    seconds = {one["system"]: one["seconds"] for one in costs.values()}
    for system, known in seconds.items():
        if missing := [n for n in chosen if not any(work.startswith(f"{n}: ") for work in known)]:
            raise InputError(
                f"{runner.place.file(f'cost_{system}')}: expected what a step of every model "
                f"costs, got nothing of {', '.join(missing)}; models that are added later cannot "
                "be measured beside the others, choose another --out"
            )

    def group(stage: Stage, arm: str, system: str, starts: Sequence[str] = ()) -> Group:
        where = systems if stage == "suite" else (system,)
        budget = study.budget * (study.share if stage == "finetuned" else len(where))
        steps = {}
        for name, recipe in arms()[arm].recipes(stage).items():
            each = [seconds[system][f"{arm}: {recipe.work}"] for system in where]
            steps[name] = steps_within(budget, float(np.mean(each)))
        return Group(stage, arm, system, steps, tuple(starts))

    alone = runner.chosen(
        "one system", [group("alone", arm, system) for system in systems for arm in chosen], seeds
    )
    names = suite_arms(alone, chosen)
    suite = runner.chosen("all systems", [group("suite", arm, SUITE) for arm in names], seeds)
    starts = {
        one.group.arm: [one.group.job(one.recipe, seed).name for seed in range(seeds)]
        for one in suite
    }
    finetuned = runner.chosen(
        "finetuned",
        [group("finetuned", arm, system, starts[arm]) for system in systems for arm in names],
        seeds,
    )
    choices = [*alone, *suite, *finetuned]
    return {
        "costs": seconds,
        "choices": [one.described() for one in choices],
        "trainings": [*copies.values(), *(cell for one in choices for cell in one.cells)],
    }


def suite_arms(alone: Sequence[Choice], chosen: Sequence[str]) -> list[str]:
    """The default model, and the better of the published ones by validation."""
    kinds = [name for name in (PUBLISHED, FINER) if name in chosen]
    errors = {
        name: np.mean([np.log(min(c.errors.values())) for c in alone if c.group.arm == name])
        for name in kinds
    }
    best = [min(kinds, key=lambda name: errors[name])] if kinds else []
    return [*([DEFAULT] if DEFAULT in chosen else []), *best]


def silent() -> None:
    """Trainings in several processes draw no progress bars of their own over each other."""
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as the process
