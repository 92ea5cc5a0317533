"""Pretraining: one new model on many systems."""

from collections.abc import Callable, Sequence
from pathlib import Path

import lightning as L
import xarray as xr

from mpp import schema
from mpp.data.splits import split_runs
from mpp.errors import InputError
from mpp.model.avit import PublishedAViT
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Surrogate
from mpp.ranges import require
from mpp.train import processes
from mpp.train.calibrate import calibrate
from mpp.train.datamodule import MixtureData, vocabulary, window_frames
from mpp.train.fit import Precision, fit
from mpp.train.loss import Loss, change_loss
from mpp.train.modes import SKIP_LIMIT, OnBadLoss
from mpp.train.modules import TrainingModule
from mpp.train.optimizer import MakeOptimizer, muon_adamw
from mpp.train.schedule import Schedule
from mpp.units import in_units


def pretrain(
    datasets: Sequence[xr.Dataset],
    out: Path,
    model: Callable[[Sequence[str]], Surrogate] = AxialTransformer,
    batch_size: int = 2,
    weights: Sequence[float] | None = None,
    held_out: float = 0.15,
    max_steps: int = 2000,
    lr: float = 5e-3,
    weight_decay: float = 0.01,
    seed: int = 0,
    workers: int = 0,
    precision: Precision = "32-true",
    accumulate: int = 1,
    validate_every: int = 200,
    resume: bool = False,
    rollouts: float = 0.5,
    checkpointing: bool = False,
    compiled: bool = False,
    loss: Loss = change_loss,
    optimizer: MakeOptimizer = muon_adamw,
    schedule: Schedule | None = None,
    on_bad_loss: OnBadLoss = "stop",
    skip_limit: int = SKIP_LIMIT,
    devices: int | None = None,
    num_nodes: int | None = None,
    strategy: processes.Strategy = "auto",
) -> Surrogate:
    """Train a new model on a weighted mixture of systems.

    Args:
        datasets: One dataset a system, in the schema.
        out: Folder for metrics and checkpoints.
        model: Makes the model from the names of all fields; its history sets the windows. The
            published AViT gets a slot for every field of every system instead, as its authors had.
        batch_size: Windows in a batch.
        weights: How often each system is drawn, in proportion; equal when left out.
        held_out: Share of each system's runs that is validated on and never trained on.
        max_steps: Optimizer steps.
        lr: Level of the learning rate.
        weight_decay: Decoupled weight decay; the optimizer says of which parameters.
        seed: Fixes the split, the first weights and the order of the batches.
        workers: Processes that read windows.
        precision: ``32-true`` or ``bf16-mixed``.
        accumulate: Batches an optimizer step, which several processes share out among them.
        validate_every: Optimizer steps between validations and checkpoints.
        resume: Go on from the last checkpoint in ``out``.
        rollouts: Share of the run, at its end, in which every other batch is rolled out from its
            first half instead of stepped from true frames; 0 for the published model.
        checkpointing: Compute each block anew for its gradient: less memory, more time.
        compiled: Let torch.compile build the model's kernels: minutes at the start (it needs a C++
            compiler), faster steps after that.
        loss: What to minimize (`mpp.train.loss`).
        optimizer: Makes the optimizer (`mpp.train.optimizer`).
        schedule: Makes the learning rate's course over the run (`mpp.train.schedule`);
            `Trapezoid` when left out.
        on_bad_loss: What to do before a step whose loss or gradient is NaN, infinite or has
            exploded: ``stop`` the run, or ``skip`` the step.
        skip_limit: Steps that may be left out before the run ends.
        devices: Processes a machine, one for each of its devices; those that torchrun or SLURM has
            started when left out.
        num_nodes: Machines; those of torchrun or SLURM when left out.
        strategy: How several processes share the work; ``auto`` is ``ddp``: each has all weights,
            and gradients are averaged. ``fsdp``, which shares weights out, is refused.

    Returns:
        The trained model, with its card filled in; the same in every process.

    Raises:
        InputError: Two datasets name the same system, a dataset cannot be used, a number means
            nothing, or there is no room for a checkpoint.
        RunError: A bad loss, or too little memory.
        Stopped: There was a SIGTERM.
    """
    require(
        batch_size=batch_size, weights=weights, held_out=held_out, max_steps=max_steps, lr=lr,
        weight_decay=weight_decay, seed=seed, workers=workers, accumulate=accumulate,
        validate_every=validate_every, rollouts=rollouts, skip_limit=skip_limit, devices=devices,
        num_nodes=num_nodes,
    )  # fmt: skip
    processes.require(devices, num_nodes, accumulate, strategy)
    if not datasets:
        raise InputError("there is nothing to train on; give at least one dataset")
    systems = [schema.system(ds) for ds in datasets]
    if len(set(systems)) < len(systems):
        raise InputError(
            f"the datasets' systems are {', '.join(systems)}; give each its own name in the "
            "attribute 'system', or join runs of one system into one dataset"
        )
    units: dict[str, str] = {}
    for ds in datasets:  # a number that several systems share is learned in the unit of the first
        units = {**{f.name: f.units for f in schema.fields(ds, "parameter")}, **units}
    datasets = [in_units(ds, units) for ds in datasets]
    L.seed_everything(seed, verbose=False)
    fields = vocabulary(datasets)
    surrogate = model([field.name for field in fields])
    if isinstance(surrogate, PublishedAViT):
        surrogate.separate({schema.system(ds): schema.names(ds) for ds in datasets})
    least = surrogate.history + 1
    parts = [split_runs(ds, held_out, seed, frames=least) for ds in datasets]
    training, validation = [list(side) for side in zip(*parts, strict=True)]
    frames = window_frames(surrogate, training + validation)
    data = MixtureData(training, validation, frames, batch_size, weights, seed, workers)
    if isinstance(surrogate, AxialTransformer):
        surrogate.set_scales(data.field_scales())
        surrogate.learn_numbers(data.transforms())
        surrogate.checkpointing = checkpointing
    elif checkpointing:
        raise InputError(
            f"checkpointing is of the default model only, and this is {type(surrogate).__name__}"
        )
    if compiled:
        surrogate.compile(fullgraph=True)
    module = TrainingModule(surrogate, lr, weight_decay, loss, optimizer, schedule, rollouts)
    surrogate.card = {
        "systems": list(data.systems),
        "time_steps": data.time_steps(),
        "fields": {field.name: field.attrs() for field in fields},
        "numbers": {field.name: field.attrs() for field in data.numbers()},
        "system_numbers": data.system_numbers(),
        "recipe": {
            "steps": max_steps,
            "batch_size": batch_size,
            "accumulate": accumulate,
            "frames": frames,
            "lr": lr,
            "weight_decay": weight_decay,
            "loss": _called(module.loss),
            "optimizer": _called(module.optimizer),
            "schedule": _called(module.schedule),
            "rollouts": rollouts,
            "precision": precision,
            "seed": seed,
        },
    }
    fit(
        module, data, out, max_steps, "pretrain", precision, accumulate, validate_every, resume,
        on_bad_loss=on_bad_loss, skip_limit=skip_limit, devices=devices, num_nodes=num_nodes,
        strategy=strategy,
    )  # fmt: skip
    surrogate.card["recipe"]["skipped_steps"] = module.skipped
    if isinstance(surrogate, AxialTransformer):
        vars(surrogate).pop("predict", None)  # a copy of the model would call this one's
        surrogate.card["calibration"] = calibrate(surrogate, data)
    return surrogate.eval()


def _called(part: object) -> str:
    """A function by its name, an object as it is written."""
    return getattr(part, "__name__", None) or repr(part)
