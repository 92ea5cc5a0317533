"""One way to run a training: Lightning's trainer with this project's habits around it."""

import csv
import logging
import shutil
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any, Literal

import lightning as L
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import DDPStrategy

from mpp.errors import InputError, RunError, Stopped, require_at_least
from mpp.files import FULL, no_room
from mpp.train import processes
from mpp.train.budget import Budget
from mpp.train.datamodule import MixtureData
from mpp.train.guard import BAD, Guard
from mpp.train.memory import is_lost_worker, is_out_of_memory, too_large
from mpp.train.modes import SKIP_LIMIT, OnBadLoss
from mpp.train.modules import TrainingModule
from mpp.train.progress import TrainingBar
from mpp.train.states import BEST, FOLDER, LAST, Found, StateIO, find, forget, read_best
from mpp.train.stop import Stop
from mpp.train.watch import Neglect, Throughput

log = logging.getLogger(__name__)
NOT_EMPTY = ".*exists and is not empty.*"
"""What Lightning says of a folder; whether it may be used was settled before."""
Precision = Literal["32-true", "bf16-mixed"]


def fit(
    module: TrainingModule,
    data: MixtureData,
    out: Path,
    max_steps: int | None,
    task: str = "train",
    precision: Precision = "32-true",
    accumulate: int = 1,
    validate_every: int = 100,
    resume: bool = False,
    keep_best: bool = False,
    max_minutes: float | None = None,
    patience: float = 1.0,
    on_bad_loss: OnBadLoss = "stop",
    skip_limit: int = SKIP_LIMIT,
    devices: int | None = None,
    num_nodes: int | None = None,
    strategy: processes.Strategy = "auto",
) -> Budget:
    """Train; metrics go to ``out/metrics.csv``, states to go on from to ``out/checkpoints``.

    Args:
        module: What to train.
        data: What to train it on.
        out: Folder of this run.
        max_steps: Optimizer steps; no limit when left out.
        task: What the progress bar calls it.
        precision: As Lightning names it: ``32-true``, ``bf16-mixed``.
        accumulate: Batches an optimizer step of all processes together; the mixture changes from
            batch to batch.
        validate_every: Optimizer steps between validations and checkpoints, at most; they are
            spread evenly, so that the last one is near the end.
        resume: Go on from the last checkpoint in ``out``, if there is one.
        keep_best: Leave the module with the weights that validated best, not with the last ones.
        max_minutes: Minutes of training; no limit when left out.
        patience: Share of the budget without a better validation after which it ends early.
        on_bad_loss: What to do before a step whose loss or gradient is NaN, infinite or has
            exploded: ``stop``, or ``skip`` the step.
        skip_limit: Steps that may be left out.
        devices: Processes a machine that there must be; those that were started when left out.
        num_nodes: Machines that there must be.
        strategy: How several processes share the work.

    Returns:
        The budget, which tells why and after how long the run ended.

    Raises:
        InputError: A number below one, no limit, states that are all damaged, no room to write,
            or processes that cannot share the batches of a step out.
        RunError: A bad loss, too little memory, or a process that reads windows has died.
        Stopped: There was a SIGTERM; the state is saved.
    """
    require_at_least(1, accumulate=accumulate, validate_every=validate_every)
    launched = processes.require(devices, num_nodes, accumulate, strategy)
    several = launched.count > 1
    if several and max_minutes is not None:
        raise InputError("max_minutes is for one process, whose clock tells; give max_steps")
    guard = Guard(out, on_bad_loss, skip_limit)
    budget = Budget(max_steps, max_minutes, patience)
    every = validate_every
    if max_steps is not None:
        every = max_steps // ceil(max_steps / validate_every)
    io = StateIO()
    stop = Stop(out / FOLDER / LAST, io)
    best = Movable(
        out / FOLDER, Path(BEST).stem, monitor="val", save_top_k=1, save_weights_only=True,
        enable_version_counter=False,
    )  # fmt: skip
    # Saved at every validation, and after `best`, whose score it holds.
    last = Movable(out / FOLDER, Path(LAST).stem, enable_version_counter=False)
    checkpoints = [best, last] if keep_best else [last]
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    state = processes.by_first(lambda: _before(out, resume))
    if state is not None and state.warning is not None:
        log.warning(state.warning)
    logger = _metrics(out, 0 if state is None else state.step)
    bar = TrainingBar(task, budget.total)
    watching = [budget, guard, stop, Neglect(), Throughput(), LearningRateMonitor("step"), bar]
    trainer = L.Trainer(
        accelerator="auto",
        devices=launched.per_node,
        num_nodes=launched.nodes,
        # What a batch of one system does not touch has no gradient. Buffers are the same in all
        # processes, and a validation has not as many batches in each.
        strategy=DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)
        if several
        else "auto",
        use_distributed_sampler=False,  # the data shares itself out
        max_steps=-1 if max_steps is None else max_steps,
        max_epochs=-1,
        precision=precision,  # type: ignore[arg-type]  # Lightning checks it
        accumulate_grad_batches=accumulate // launched.count,
        gradient_clip_val=1.0,
        val_check_interval=every * accumulate // launched.count,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=min(10, every),
        callbacks=[*watching, *checkpoints],
        enable_progress_bar=False,
        logger=logger,
        plugins=[io, launched.environment()] if several else [io],
        default_root_dir=out,
        enable_model_summary=False,
    )
    with expected_warnings(), _interruptible(), _in_words(module, guard, stop, out):
        try:
            trainer.fit(module.train(), data, ckpt_path=None if state is None else str(state.file))
        finally:
            data.end_workers()
    if processes.any_of(stop.asked):
        raise stop.stopped(processes.by_first(lambda: io.step))
    if keep_best:
        module.load_state_dict(processes.by_first(lambda: read_best(out / FOLDER / BEST)))
    return budget


class Movable(ModelCheckpoint):
    """A `ModelCheckpoint` that knows its files again where the folder of the run was moved."""

    @property
    def state_key(self) -> str:
        # As states have always called it.
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(self.dirpath or "") / Path(path).name) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        super().load_state_dict(
            {
                **state_dict,
                **{name: here(state_dict[name]) for name in paths},
                "dirpath": self.dirpath,
                "best_k_models": {here(k): v for k, v in state_dict["best_k_models"].items()},
            }
        )


def _before(out: Path, resume: bool) -> Found | None:
    """The state to go on from; without one to go on from, what is left of an earlier run goes."""
    if not resume:
        forget(out)
        shutil.rmtree(out / BAD, ignore_errors=True)
    return find(out)


@contextmanager
def _in_words(module: TrainingModule, guard: Guard, stop: Stop, out: Path) -> Iterator[None]:
    """Say in one line why a run cannot go on, where it is not a mistake of this package."""
    try:
        yield
    except (RunError, Stopped):
        raise
    except Exception as error:
        if stop.asked:  # what the signal broke on its way
            raise stop.stopped(stop.io.step) from error
        kept = f"what is saved in {out / FOLDER} stays"
        if isinstance(error, InputError):
            raise _from_worker(error) from error
        if is_out_of_memory(error):
            told = too_large(module.model, guard.batch, module.device)
            raise RunError(f"{told}; {kept}") from error
        if processes.is_lost_peer(error):
            told = "another process of the run has ended without a word"
            raise RunError(f"{told}; {kept}") from error
        if is_lost_worker(error):
            raise RunError(
                "a process that reads windows died, perhaps for lack of memory (then give fewer "
                f"workers or a smaller --batch-size); {kept}"
            ) from error
        if isinstance(error, OSError) and error.errno in FULL:
            raise InputError(f"{no_room(out, error)}; {kept}") from error
        if isinstance(error, OSError):
            reason = str(error).strip().splitlines()[-1]
            raise RunError(f"the data could not be read on ({reason}); {kept}") from error
        raise


def _from_worker(error: InputError) -> InputError:
    """The error itself; torch hands on one of a process that reads windows with its traceback."""
    return InputError(str(error).rpartition(f"{InputError.__name__}: ")[2])


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Without the warnings of Lightning that a training of ours brings about on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=NOT_EMPTY)
        # Windows are read in the training process unless the user asks for workers.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # In bf16-mixed the weights stay in float32, on purpose.
        warnings.filterwarnings("ignore", message=".*Mismatch dtype between input and weight.*")
        # Of several processes all log the same, and one may have no window of a system.
        warnings.filterwarnings("ignore", message=".*It is recommended to use .*sync_dist=True.*")
        warnings.filterwarnings("ignore", message=".*was called before the ``update`` method.*")
        # Its new name is not known to every version of torch that is supported.
        warnings.filterwarnings("ignore", message=".*`broadcast_buffers` is deprecated.*")
        # Lightning's own use of torch.utils._pytree.
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
        yield


def _metrics(out: Path, done: int) -> CSVLogger:
    """The log of a run; of one that is resumed, with what it held up to ``done`` steps."""
    file, kept = out / "metrics.csv", []
    if processes.rank():
        return CSVLogger(out, name="", version="")
    if done and file.is_file():
        with file.open(newline="") as rows:
            kept = [row for row in csv.DictReader(rows) if _whole(row) and int(row["step"]) < done]
    logger = CSVLogger(out, name="", version="")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=NOT_EMPTY)
        logger.experiment.metrics.extend(kept)
    logger.save()
    return logger


def _whole(row: dict[str, str]) -> bool:
    """Whether a line was written to its end; that of a process that was killed may not be."""
    return None not in row.values() and row["step"].isdigit()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let an interruption end the program as usual: Lightning turns it into an exit of its own."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, before)
            raise KeyboardInterrupt from None
        raise
