"""The trainings of a study, each kept as a file of its scores when it is done."""

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from math import inf
from pathlib import Path
from types import FrameType

import lightning as L
import pandas as pd
import torch
import xarray as xr

from mpp import __version__
from mpp.data.generate import default_workers
from mpp.devices import placed
from mpp.errors import InputError, Stopped
from mpp.evaluation import BASELINE, evaluate
from mpp.files import written_beside
from mpp.finetuning import finetune
from mpp.model.axial import AxialTransformer
from mpp.study.plan import MODE_OF, SCRATCH, Cell, Study
from mpp.train.datamodule import vocabulary
from mpp.train.guard import BAD, Diverged


class Trainer:
    """Trains those cells whose files are missing.

    Args:
        model: The pretrained model.
        study: How trainings are done.
        folder: Where cells are kept.
        total: How many cells there will be in all.
        workers: Trainings at once; more than one run in processes of their own.
        progress: Called with the cells done and their total.
    """

    def __init__(
        self,
        model: AxialTransformer,
        study: Study,
        folder: Path,
        total: int,
        workers: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.model, self.study, self.folder, self.total = model, study, folder, total
        self.workers, self.progress = workers, progress
        self.done: set[Path] = set()

    def __call__(self, cells: Sequence[Cell]) -> None:
        """Train what is missing of these cells.

        Raises:
            InputError: The data cannot be trained on, or a process died.
        """
        files = {cell.file(self.folder): cell for cell in cells}
        missing = {file: cell for file, cell in files.items() if not file.is_file()}
        self._count(files.keys() - missing.keys())
        if self.workers > 1:
            self._in_processes(missing)
            return
        for file, cell in missing.items():
            task = f"{len(self.done) + 1} of {self.total} · {cell}"
            train_and_score(self.model, self.study, cell, file, task)
            self._count([file])

    def _in_processes(self, missing: Mapping[Path, Cell]) -> None:
        threads = max(1, default_workers() // self.workers)
        spawn = multiprocessing.get_context("spawn")
        with (
            _passed_on() as asked,
            ProcessPoolExecutor(self.workers, spawn, _prepare, (threads,)) as pool,
        ):
            running = {
                pool.submit(train_and_score, self.model, self.study, cell, file): file
                for file, cell in missing.items()
            }
            try:
                for future in as_completed(running):
                    future.result()
                    self._count([running[future]])
            except (BrokenProcessPool, Stopped) as error:
                if asked:
                    raise Stopped("stopped by SIGTERM, what is done being kept") from error
                raise InputError(
                    "a process of the study died, perhaps for lack of memory; what is done is "
                    "kept, go on with fewer workers (in a script, under if __name__ == '__main__')"
                ) from error
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _count(self, files: Iterable[Path]) -> None:
        self.done.update(files)
        if self.progress is not None:
            self.progress(len(self.done), self.total)


@contextmanager
def _passed_on() -> Iterator[list[int]]:
    """Pass SIGTERM on to the trainings, which then end with their states saved; yields those got.

    Away from the main thread, where signals cannot be caught, it does what it did before.
    """
    got: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield got
        return

    def pass_on(number: int, frame: FrameType | None) -> None:
        got.append(number)
        for child in multiprocessing.active_children():
            child.terminate()

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield got
    finally:
        signal.signal(signal.SIGTERM, before)


def _prepare(threads: int) -> None:
    """Trainings side by side draw no bars over each other, and end when the user interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(threads)
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as the process


def train_and_score(
    model: AxialTransformer, study: Study, cell: Cell, file: Path, task: str = ""
) -> None:
    """Train one model, score it on the test runs, and keep the scores with how they came about.

    Seconds are those of the training, validations included.
    """
    target = cell.target
    training = target.ds.isel(sample=list(cell.runs))
    validation = target.ds.isel(sample=list(target.division.validation))
    wall, cpu = time.perf_counter(), time.process_time()
    scratch = cell.arm == SCRATCH
    start = fresh(model, training, cell.seed) if scratch else model
    folder = file.with_name(f"{file.stem}.training")
    try:
        trained = finetune(
            start,
            training,
            folder,
            validation,
            max_steps=study.max_steps,
            lr=cell.lr,
            batch_size=study.batch_size,
            seed=cell.seed,
            validate_every=study.validate_every,
            task=task or str(cell),
            mode=MODE_OF.get(cell.arm, "full"),
            patience=1.0,  # all arms train for as many steps
            resume=True,
            on_bad_loss=study.on_bad_loss,
            skip_limit=study.skip_limit,
        )
    except Diverged:
        if len(study.rates(cell.arm)) == 1:
            raise
        trained = None  # a rate on trial, which is then not chosen
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    best, skipped = inf, 0
    if trained is not None:
        best = min(pd.read_csv(folder / "metrics.csv")["val"].dropna(), default=inf)
        recipe = trained.card["finetuning"]  # one that was stopped and went on counts all its parts
        wall, cpu = max(wall, 60 * recipe["minutes"]), max(cpu, 60 * recipe["cpu_minutes"])
        skipped = recipe["skipped_steps"]
    scored = trained or fresh(model, training, cell.seed)
    steps = max(study.lead_steps)
    with placed(scored):
        scores = evaluate({cell.arm: scored}, target.test, steps, model.history, study.starts)
    if trained is None:
        scores = scores.where(scores["model"] == BASELINE)
    scores = scores.assign_attrs(
        learning_rate=cell.lr,
        training_runs=list(cell.runs),
        seed=cell.seed,
        max_steps=study.max_steps,
        batch_size=study.batch_size,
        validation=float(best),
        seconds=wall,
        cpu_seconds=cpu,
        threads=torch.get_num_threads(),
        skipped_steps=skipped,
        parameters=sum(parameter.numel() for parameter in scored.parameters()),
        mpp_version=__version__,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(file) as unfinished:
        scores.to_netcdf(unfinished)
    for part in folder.iterdir():
        if part.name != BAD:  # what was skipped stays to be looked at
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def fresh(model: AxialTransformer, ds: xr.Dataset, seed: int) -> AxialTransformer:
    """A model of the same architecture from random weights, with rows for the dataset's names."""
    names = [field.name for field in vocabulary([ds])]
    L.seed_everything(seed, verbose=False)
    return AxialTransformer(**{**model.arguments, "names": names, "numbers": []})
