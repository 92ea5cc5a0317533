"""Finetuning: a trained model adapts to a dataset that it has not seen, new fields included."""

import copy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import xarray as xr

from mpp.adapters import save_adapter
from mpp.data.splits import split_runs
from mpp.errors import InputError
from mpp.model.axial import AxialTransformer
from mpp.model.lora import merge
from mpp.model.surrogate import Surrogate
from mpp.ranges import require
from mpp.train import processes
from mpp.train.calibrate import calibrate
from mpp.train.datamodule import MixtureData, vocabulary, window_frames
from mpp.train.donors import ZERO, grow_from
from mpp.train.finetune import FinetuningModule
from mpp.train.fit import Precision, fit
from mpp.train.modes import (
    HEAD_SHARE,
    PATIENCE,
    RANK,
    SKIP_LIMIT,
    STEPS,
    UNROLL_SHARE,
    Mode,
    OnBadLoss,
)
from mpp.units import in_units

HELD_OUT = 0.2
"""Share of the runs, or of the one run, that only chooses weights."""
ADAPTER = "adapter.safetensors"


def finetune(
    model: Surrogate,
    ds: xr.Dataset,
    out: str | Path | None = None,
    validation: xr.Dataset | None = None,
    max_steps: int | None = None,
    lr: float | None = None,
    weight_decay: float = 0.01,
    batch_size: int = 2,
    seed: int = 0,
    workers: int = 0,
    precision: Precision = "32-true",
    validate_every: int = 25,
    resume: bool = False,
    task: str = "finetune",
    mode: Mode = "full",
    rank: int = RANK,
    head_share: float = HEAD_SHARE,
    donors: Mapping[str, str] | None = None,
    max_minutes: float | None = None,
    patience: float = PATIENCE,
    rollouts: float = UNROLL_SHARE,
    unroll: int | None = None,
    on_bad_loss: OnBadLoss = "stop",
    skip_limit: int = SKIP_LIMIT,
    accumulate: int = 1,
    devices: int | None = None,
    num_nodes: int | None = None,
    strategy: processes.Strategy = "auto",
) -> AxialTransformer:
    """Adapt a copy of a model to the runs of one system; the model given stays as it is.

    Fields that the model does not know are added, each starting from the known field whose rows
    predict it best before any training, unless you name another.

    Args:
        model: A model of this package, as `mpp.load` returns it.
        ds: Runs of one system, in the schema.
        out: Folder for metrics and checkpoints; a temporary one when left out. Mode ``lora`` also
            leaves ``adapter.safetensors`` there.
        validation: Runs to choose the best weights on; when left out, one run in five of ``ds``
            is held out, or the last part of the run where there is only one.
        max_steps: Optimizer steps; 500 when left out, no limit when minutes are given instead.
        lr: Level of the learning rate; that of the mode (`mpp.train.modes.RATES`) when left out.
        weight_decay: Decoupled weight decay of the matrices.
        batch_size: Windows in a batch.
        seed: Fixes the split and the order of the batches.
        workers: Processes that read windows.
        precision: ``32-true`` or ``bf16-mixed``.
        validate_every: Optimizer steps between validations and checkpoints.
        resume: Go on from the last checkpoint in ``out``.
        task: What the progress bar calls it.
        mode: What trains: ``full`` everything; ``head`` both ends of the model and what has a row
            by name; ``lora`` adapters of the matrices of every block, and the rows of new fields
            and numbers; ``gradual`` first ``head``, then everything.
        rank: Rank of the adapters.
        head_share: Share of the run in which ``gradual`` trains the head alone.
        donors: For a new field, the old one whose rows it starts from, or ``zero``.
        max_minutes: Minutes of training; the learning rate reaches its end with them.
        patience: Share of the run without a better validation after which it ends; 1 for never.
        rollouts: Share of the run, at its end, in which every other batch is a rollout.
        unroll: Steps of such a rollout on the model's own frames, windows being made longer where
            they must; half of a window when left out.
        on_bad_loss: What to do before a step whose loss or gradient is NaN, infinite or has
            exploded: ``stop`` the run, or ``skip`` the step.
        skip_limit: Steps that may be left out before the run ends.
        accumulate: Batches an optimizer step, which several processes share out among them.
        devices: Processes a machine, one for each of its devices; those that torchrun or SLURM has
            started when left out.
        num_nodes: Machines; those of torchrun or SLURM when left out.
        strategy: How several processes share the work; ``auto`` is ``ddp``: each has all weights,
            and gradients are averaged. ``fsdp``, which shares weights out, is refused.

    Returns:
        The adapted model with the best weights by validation, its card filled in; the same in every
        process.

    Raises:
        InputError: The dataset cannot be used, has too few runs or frames, an option is wrong, or
            there is no room for a checkpoint.
        RunError: A bad loss, or too little memory.
        Stopped: There was a SIGTERM.

    Examples:
        >>> tuned = mpp.finetune(mpp.load("checkpoint"), ds, max_steps=300)  # doctest: +SKIP
    """
    if not isinstance(model, AxialTransformer):
        raise InputError(
            f"finetuning is for AxialTransformer, the default model; got {type(model).__name__}"
        )
    require(
        max_steps=max_steps, lr=lr, weight_decay=weight_decay, batch_size=batch_size, seed=seed,
        workers=workers, validate_every=validate_every, rank=rank, head_share=head_share,
        max_minutes=max_minutes, patience=patience, rollouts=rollouts, unroll=unroll,
        skip_limit=skip_limit, accumulate=accumulate, devices=devices, num_nodes=num_nodes,
    )  # fmt: skip
    processes.require(devices, num_nodes, accumulate, strategy)
    if max_steps is None and max_minutes is None:
        max_steps = STEPS
    L.seed_everything(seed, verbose=False)
    if validation is None:
        ds, validation = hold_out(model, ds, seed)
    ds, validation = (in_units(part, model.number_units) for part in (ds, validation))
    frames = rolled_frames(model, [ds, validation], unroll if rollouts else None)
    data = MixtureData([ds], [validation], frames, batch_size, None, seed, workers)
    module = FinetuningModule(
        copy.deepcopy(model), data, lr, weight_decay, rollouts=rollouts, unroll=unroll,
        mode=mode, rank=rank, head_share=head_share, donors=donors,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(out) if out is not None else processes.by_first(lambda: Path(scratch))
        budget = fit(
            module, data, folder, max_steps, task, precision, accumulate, validate_every,
            resume=resume, keep_best=True, max_minutes=max_minutes, patience=patience,
            on_bad_loss=on_bad_loss, skip_limit=skip_limit, devices=devices, num_nodes=num_nodes,
            strategy=strategy,
        )  # fmt: skip
    tuned = module.model.eval()
    recipe = {
        "mode": mode,
        "steps": module.steps,
        "minutes": round(budget.seconds / 60, 3),
        "cpu_minutes": round(budget.cpu_seconds / 60, 3),
        "ended_by": budget.ended,
        "skipped_steps": module.skipped,
        "trained_parameters": sum(p.numel() for p in tuned.parameters() if p.requires_grad),
        "lr": module.lr,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "seed": seed,
    }
    card = fill_in(model, tuned, data) | {"donors": module.donors, "finetuning": recipe}
    if mode == "lora" and out is not None and processes.rank() == 0:
        save_adapter(tuned, model, rank, card, Path(out) / ADAPTER)
    merge(tuned)
    tuned.card = card
    return tuned.requires_grad_(True).eval()


def hold_out(model: Surrogate, ds: xr.Dataset, seed: int = 0) -> tuple[xr.Dataset, xr.Dataset]:
    """The runs to train on, and those that only choose weights, as `finetune` splits them.

    Raises:
        InputError: A single run that is too short, or a negative seed.
    """
    require(seed=seed)
    return split_runs(ds, HELD_OUT, seed, frames=model.history + 1)


def untuned(model: AxialTransformer, ds: xr.Dataset, donors: Mapping[str, str]) -> AxialTransformer:
    """What finetuning starts from: the model itself, or a copy with rows for what is new in data.

    Static maps, a mask and numbers of the equation that are new are not looked at.

    Args:
        model: The model before finetuning.
        ds: The data.
        donors: What the rows of new fields start from, as the tuned model's card tells.
    """
    fields = vocabulary([ds])
    new = [field for field in fields if field.name not in model.names]
    if not new:
        return model
    silent = {field.name: ZERO for field in new if field.role != "field"}
    grown = copy.deepcopy(model)
    grow_from(grown, [field.name for field in fields], silent | dict(donors))
    grown.set_scales(MixtureData([ds], [ds], model.history).field_scales())
    return grown.eval()


def rolled_frames(model: Surrogate, datasets: list[xr.Dataset], unroll: int | None) -> int:
    """Frames to give in training: as `window_frames`, more where a rollout needs them.

    Raises:
        InputError: Runs too short to roll out so many steps.
    """
    frames = window_frames(model, datasets)
    if unroll is None:
        return frames
    most = min(ds.sizes["time"] for ds in datasets) - 1
    if unroll >= most:
        raise InputError(
            f"unroll is {unroll}, and the shortest runs have {most + 1} frames; give at most "
            f"{most - 1}, or longer runs"
        )
    return max(frames, min(model.history + unroll, most))


def fill_in(model: AxialTransformer, tuned: AxialTransformer, data: MixtureData) -> dict[str, Any]:
    """The card of a tuned model: that of the model it started from, and what it has learned of."""
    card = {key: value for key, value in model.card.items() if key != "sha256"}
    return card | {
        "started_from": model.card.get("sha256", "not saved"),
        "finetuned_on": list(data.systems),
        "time_steps": {**card.get("time_steps", {}), **data.time_steps()},
        "fields": {
            **card.get("fields", {}),
            **{field.name: field.attrs() for field in data.fields},
        },
        "numbers": {
            **card.get("numbers", {}),
            **{field.name: field.attrs() for field in data.numbers()},
        },
        "system_numbers": {**card.get("system_numbers", {}), **data.system_numbers()},
        "calibration": {**card.get("calibration", {}), **calibrate(tuned, data)},
    }
