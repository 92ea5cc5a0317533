"""One way to run a training: Lightning's trainer with this project's habits around it."""

import csv
import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from mpp.errors import require_at_least
from mpp.train.budget import Budget
from mpp.train.datamodule import MixtureData
from mpp.train.modules import TrainingModule
from mpp.train.progress import TrainingBar
from mpp.train.watch import Neglect, Throughput

CHECKPOINTS, LAST = "checkpoints", Path("last.ckpt")
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
) -> Budget:
    """Train; metrics go to ``out/metrics.csv``, checkpoints to resume from to ``out/checkpoints``.

    Args:
        module: What to train.
        data: What to train it on.
        out: Folder of this run.
        max_steps: Optimizer steps; no limit when left out.
        task: What the progress bar calls it.
        precision: As Lightning names it: ``32-true``, ``bf16-mixed``.
        accumulate: Batches an optimizer step; the mixture changes from batch to batch.
        validate_every: Optimizer steps between validations and checkpoints, at most; they are
            spread evenly, so that the last one is near the end.
        resume: Go on from the last checkpoint in ``out``, if there is one.
        keep_best: Leave the module with the weights that validated best, not with the last ones.
        max_minutes: Minutes of training; no limit when left out.
        patience: Share of the budget without a better validation after which it ends early.

    Returns:
        The budget, which tells why and after how long the run ended.

    Raises:
        InputError: A number below one, or no limit.
    """
    require_at_least(1, accumulate=accumulate, validate_every=validate_every)
    budget = Budget(max_steps, max_minutes, patience)
    every = validate_every
    if max_steps is not None:
        every = max_steps // ceil(max_steps / validate_every)
    best = ModelCheckpoint(
        out / CHECKPOINTS, "best", monitor="val", save_top_k=1, enable_version_counter=False
    )
    # Saved at every validation, and after `best`, whose state it holds.
    last = ModelCheckpoint(out / CHECKPOINTS, LAST.stem, enable_version_counter=False)
    checkpoints = [best, last] if keep_best else [last]
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    state = out / CHECKPOINTS / LAST
    if not resume:
        state.unlink(missing_ok=True)
    logger = _metrics(out, state)
    bar = TrainingBar(task, budget.total)
    watching = [budget, Neglect(), Throughput(), LearningRateMonitor("step"), bar]
    trainer = L.Trainer(
        accelerator="auto",
        devices=1,
        max_steps=-1 if max_steps is None else max_steps,
        max_epochs=-1,
        precision=precision,  # type: ignore[arg-type]  # Lightning checks it
        accumulate_grad_batches=accumulate,
        gradient_clip_val=1.0,
        val_check_interval=every * accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=min(10, every),
        callbacks=[*watching, *checkpoints],
        enable_progress_bar=False,
        logger=logger,
        default_root_dir=out,
        enable_model_summary=False,
    )
    with expected_warnings(), _interruptible():
        trainer.fit(module.train(), data, ckpt_path=str(state) if state.is_file() else None)
    if keep_best:
        chosen = torch.load(best.best_model_path, weights_only=True)
        module.load_state_dict(chosen["state_dict"])
    return budget


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Without the warnings of Lightning that a training of ours brings about on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=NOT_EMPTY)
        # Windows are read in the training process unless the user asks for workers.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # In bf16-mixed the weights stay in float32, on purpose.
        warnings.filterwarnings("ignore", message=".*Mismatch dtype between input and weight.*")
        # Lightning's own use of torch.utils._pytree.
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
        yield


def _metrics(out: Path, state: Path) -> CSVLogger:
    """The log of a run; of one that is resumed, with what it held up to the checkpoint."""
    file, kept = out / "metrics.csv", []
    if state.is_file() and file.is_file():
        done = torch.load(state, weights_only=True, mmap=True)["global_step"]
        with file.open(newline="") as rows:
            kept = [row for row in csv.DictReader(rows) if int(row["step"]) < done]
    logger = CSVLogger(out, name="", version="")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=NOT_EMPTY)
        logger.experiment.metrics.extend(kept)
    logger.save()
    return logger


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
