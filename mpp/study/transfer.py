"""Transfer against scratch: what a pretrained model is worth on systems that it has not seen.

For each system, number of training runs and seed, two models train for the same number of steps on
the same runs in the same order of batches: a copy of the pretrained model, and one of the same
architecture from random weights. Some runs are set aside for all of them alike: test runs, which
are only scored on, and validation runs, by which each training keeps its best weights and, where
several are given, each arm takes its learning rate. So the size of a training is the number of runs
it learns from, with the validation runs beside them. The runs of a smaller size are the first of
those of a larger one.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import xarray as xr

from mpp.errors import InputError, require_at_least
from mpp.evaluation import evaluate
from mpp.files import file_name, written_beside
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Persistence, Surrogate
from mpp.study.gather import best, gather, rows
from mpp.study.plan import ARMS, Cell, Study, Target, make_targets
from mpp.study.record import run_digests, settle, weights_digest
from mpp.study.train import Trainer

RECORD, CELLS = "study.json", "cells"
FREE = ("sizes", "seeds", "lead_steps", "arms", "mode_lr", "on_bad_loss", "skip_limit")
"""What may change in a folder: what a cell holds does not depend on it, or says so itself."""


def transfer(
    model: Surrogate,
    datasets: Sequence[xr.Dataset],
    out: str | Path,
    study: Study | None = None,
    test: Sequence[xr.Dataset] = (),
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> dict[str, xr.Dataset]:
    """Compare finetuning a model with training the same architecture from scratch.

    Each training is kept in ``out`` with its scores when it is done, and a later call with the same
    arguments goes on from there. Sizes, seeds, systems and arms may be added; anything else that
    differs from what is kept is refused. At the end ``out`` holds ``SYSTEM.nc`` and ``scores.csv``.

    Args:
        model: The pretrained model; it stays as it is.
        datasets: Runs to train on, one dataset a system, in the schema.
        out: Folder of the study.
        study: How it is done; the defaults of `Study` when left out.
        test: Test runs, matched to ``datasets`` by system; when left out, some of the runs in
            ``datasets`` are set aside.
        workers: Trainings at once. Several run in processes of their own with an equal share of the
            cores each (in a script, call this under ``if __name__ == "__main__"`` then).
        progress: Called with the trainings done and their total.
        note: Called with a sentence where the study differs from what was asked for.

    Returns:
        By system, scores over (arm, size, seed, field, lead_time, sample), those of persistence as
        ``persistence_nrmse`` and so on, and ``seconds``, ``cpu_seconds`` and ``validation`` (the
        error that chose the weights, in units of the change) over (arm, size, seed).

    Raises:
        InputError: Too few runs, runs too short, a test run that is also trained on, or a folder
            that holds another study.
        RunError: A training met a bad loss, or too little memory.
        Stopped: There was a SIGTERM.

    Examples:
        >>> from mpp.study.plan import Study
        >>> model = mpp.load("checkpoint")  # doctest: +SKIP
        >>> found = mpp.transfer(model, [ds], "study", Study(sizes=(1, 4)))  # doctest: +SKIP
    """
    study, out = study or Study(), Path(out)
    require_at_least(1, workers=workers)
    if not isinstance(model, AxialTransformer):
        raise InputError(
            "a transfer study is for AxialTransformer, the default model; got "
            f"{type(model).__name__}"
        )
    targets = make_targets(datasets, test, study, note or (lambda sentence: None))
    record = _record(model, study, targets)
    for target in targets:  # lengths and values, before hours of training
        evaluate(Persistence(), target.test, max(study.lead_steps), model.history, study.starts)
    if not (out / RECORD).is_file() and out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} holds something else than a study; choose another folder")
    settle(out / RECORD, record)
    choices = {
        (target, arm): [Cell(target, arm, lr, target.middle, 0) for lr in study.rates(arm)]
        for target in targets
        for arm in study.arms
    }
    total = sum(
        study.seeds * len(target.sizes) + len(trials) - 1 for (target, _), trials in choices.items()
    )
    train = Trainer(model, study, out / CELLS, total, workers, progress)
    train([cell for trials in choices.values() if len(trials) > 1 for cell in trials])
    rates = {
        place: (best(trials, train.folder) if len(trials) > 1 else trials[0]).lr
        for place, trials in choices.items()
    }
    cells = {
        target: [
            Cell(target, arm, rates[target, arm], size, seed)
            for seed in range(study.seeds)
            for size in target.sizes
            for arm in study.arms
        ]
        for target in targets
    }
    train([cell for own in cells.values() for cell in own])
    found = {
        target.system: gather(own, train.folder).assign_attrs(
            {f"rates_{arm}": list(study.rates(arm)) for arm in study.arms},
            rates_chosen_at=target.middle,
        )
        for target, own in cells.items()
    }
    for system, ds in found.items():
        with written_beside(out / f"{file_name(system)}.nc") as unfinished:
            ds.to_netcdf(unfinished)
    with written_beside(out / "scores.csv") as unfinished:
        rows(found).to_csv(unfinished, index=False)
    return found


def _record(model: AxialTransformer, study: Study, targets: Sequence[Target]) -> dict[str, Any]:
    """What cells depend on.

    Raises:
        InputError: A test run is among the runs to train or validate on.
    """
    settings = {name: value for name, value in asdict(study).items() if name not in FREE}
    record: dict[str, Any] = {
        "study": {**settings, "frames_to_forecast": max(study.lead_steps)},
        "model": {"weights": weights_digest(model), **model.arguments},
    }
    for target in targets:
        digests, tested = run_digests(target.ds), run_digests(target.test)
        division = target.division
        learned = {digests[run]: run for run in (*division.training, *division.validation)}
        for place, digest in enumerate(tested):
            if digest in learned:
                raise InputError(
                    f"{target.system}: test run {place} is the same as run {learned[digest]} of "
                    "those to train and validate on; give test runs that are not among them"
                )
        choosing = {arm: target.middle for arm in ARMS if len(study.rates(arm)) > 1}
        record[f"system {target.system}"] = {
            "runs": digests,
            "test runs": tested,
            "sizes": dict(target.ds.sizes),
            "rates chosen at": choosing,
        }
        for arm in set(study.arms) - set(ARMS):
            if len(study.rates(arm)) > 1:
                record[f"system {target.system}, rates of {arm} chosen at"] = target.middle
    return record
