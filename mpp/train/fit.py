"""One way to run a training: Lightning's trainer with this project's habits around it."""

import logging
import warnings
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger

from mpp.train.datamodule import MixtureData
from mpp.train.modules import TrainingModule

CHECKPOINTS, LAST = "checkpoints", "last.ckpt"


def fit(
    module: TrainingModule,
    data: MixtureData,
    out: Path,
    max_steps: int,
    precision: str = "32-true",
    accumulate: int = 1,
    validate_every: int = 100,
    resume: bool = False,
    keep_best: bool = False,
) -> None:
    """Train; metrics go to ``out/metrics.csv``, checkpoints to resume from to ``out/checkpoints``.

    Args:
        module: What to train.
        data: What to train it on.
        out: Folder of this run.
        max_steps: Optimizer steps.
        precision: As Lightning names it: ``32-true``, ``bf16-mixed``.
        accumulate: Batches an optimizer step; the mixture changes from batch to batch.
        validate_every: Optimizer steps between validations and checkpoints.
        resume: Go on from the last checkpoint in ``out``, if there is one.
        keep_best: Leave the module with the weights that validated best, not with the last ones.
    """
    every = min(validate_every, max_steps)
    checkpoints = ModelCheckpoint(
        dirpath=out / CHECKPOINTS,
        filename="best",
        monitor="val",
        save_top_k=1 if keep_best else 0,
        save_last=True,
        enable_version_counter=False,
    )
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    trainer = L.Trainer(
        accelerator="auto",
        devices="auto",
        max_steps=max_steps,
        max_epochs=-1,
        precision=precision,  # type: ignore[arg-type]  # Lightning checks it
        accumulate_grad_batches=accumulate,
        gradient_clip_val=1.0,
        val_check_interval=every * accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=min(10, every),
        callbacks=[checkpoints, LearningRateMonitor("step"), RichProgressBar(leave=True)],
        logger=CSVLogger(out, name="", version=""),
        default_root_dir=out,
        enable_model_summary=False,
    )
    last = out / CHECKPOINTS / LAST
    with warnings.catch_warnings():
        # Windows are read in the training process unless the user asks for workers.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Lightning's own use of torch.utils._pytree.
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
        trainer.fit(module.train(), data, ckpt_path=str(last) if resume and last.is_file() else None)
    if keep_best:
        best = torch.load(checkpoints.best_model_path, weights_only=True)
        module.load_state_dict(best["state_dict"])
