"""Finetuning: a trained model adapts to a dataset that it has not seen, new fields included."""

import copy
import tempfile
from pathlib import Path

import lightning as L
import xarray as xr

from mpp.data.splits import split_runs
from mpp.errors import InputError, require_at_least
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Surrogate
from mpp.train.calibrate import calibrate
from mpp.train.datamodule import MixtureData, window_frames
from mpp.train.finetune import FinetuningModule
from mpp.train.fit import Precision, fit
from mpp.units import in_units


def finetune(
    model: Surrogate,
    ds: xr.Dataset,
    out: str | Path | None = None,
    validation: xr.Dataset | None = None,
    max_steps: int = 500,
    lr: float = 2e-3,
    weight_decay: float = 0.01,
    batch_size: int = 2,
    seed: int = 0,
    workers: int = 0,
    precision: Precision = "32-true",
    validate_every: int = 25,
    resume: bool = False,
    task: str = "finetune",
) -> AxialTransformer:
    """Adapt a copy of a model to the runs of one system; the model given stays as it is.

    Fields that the model does not know are added, each starting from the known field whose rows
    predict it best before any training.

    Args:
        model: A model of this package, as `mpp.load` returns it.
        ds: Runs of one system, in the schema.
        out: Folder for metrics and checkpoints; a temporary one when left out.
        validation: Runs to choose the best weights on; when left out, one run in five of ``ds``
            is held out, or the last part of the run where there is only one.
        max_steps: Optimizer steps.
        lr: Level of the learning rate.
        weight_decay: Decoupled weight decay of the matrices.
        batch_size: Windows in a batch.
        seed: Fixes the split and the order of the batches.
        workers: Processes that read windows.
        precision: ``32-true`` or ``bf16-mixed``.
        validate_every: Optimizer steps between validations and checkpoints.
        resume: Go on from the last checkpoint in ``out``.
        task: What the progress bar calls it.

    Returns:
        The adapted model with the best weights by validation, its card filled in.

    Raises:
        InputError: The dataset cannot be used, or has too few runs or frames.

    Example:
        >>> tuned = mpp.finetune(mpp.load("checkpoint"), ds, max_steps=300)  # doctest: +SKIP
    """
    if not isinstance(model, AxialTransformer):
        raise InputError(
            f"finetuning is for AxialTransformer, the default model; got {type(model).__name__}"
        )
    require_at_least(0, seed=seed)
    L.seed_everything(seed, verbose=False)
    if validation is None:
        ds, validation = split_runs(ds, 0.2, seed, frames=model.history + 1)
    ds, validation = (in_units(part, model.number_units) for part in (ds, validation))
    frames = window_frames(model, [ds, validation])
    data = MixtureData([ds], [validation], frames, batch_size, None, seed, workers)
    module = FinetuningModule(copy.deepcopy(model), data, lr, weight_decay)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(out) if out is not None else Path(scratch)
        fit(
            module,
            data,
            folder,
            max_steps,
            task,
            precision,
            validate_every=validate_every,
            resume=resume,
            keep_best=True,
        )
    tuned = module.model
    tuned.card = {
        **{key: value for key, value in model.card.items() if key != "sha256"},
        "started_from": model.card.get("sha256", "not saved"),
        "finetuned_on": list(data.systems),
        "time_steps": {**model.card.get("time_steps", {}), **data.time_steps()},
        "fields": {
            **model.card.get("fields", {}),
            **{field.name: field.attrs() for field in data.fields},
        },
        "numbers": {
            **model.card.get("numbers", {}),
            **{field.name: field.attrs() for field in data.numbers()},
        },
        "system_numbers": {**model.card.get("system_numbers", {}), **data.system_numbers()},
        "calibration": {**model.card.get("calibration", {}), **calibrate(tuned, data)},
        "donors": module.donors,
        "finetuning": {"steps": max_steps, "lr": lr, "batch_size": batch_size, "seed": seed},
    }
    return tuned.eval()
