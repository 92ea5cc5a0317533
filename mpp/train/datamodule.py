"""The data of a training run: a mixture to train on, and held-out runs to validate on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
import xarray as xr
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader

from mpp import schema
from mpp.batch import Batch, FieldScales
from mpp.data.mixture import MixtureSampler, mixture_loader, window_loader
from mpp.data.windows import Windows
from mpp.errors import InputError, require_at_least
from mpp.fields import Field
from mpp.model.numbers import TIME_STEP, Transform
from mpp.model.surrogate import Surrogate
from mpp.train import processes
from mpp.train.stop import Stop


@dataclass(frozen=True)
class Drawn:
    """Where the windows of a batch are from.

    Args:
        system: Their system.
        runs: The run of each, as ``sample`` names it, or its place among the training runs.
        frames: The first frame of each.
        length: Frames of each.
    """

    system: str
    runs: tuple[int | str, ...]
    frames: tuple[int, ...]
    length: int

    def told(self) -> str:
        """The same in words."""
        windows = zip(self.runs, self.frames, strict=True)
        each = [f"run {run} frames {at} to {at + self.length - 1}" for run, at in windows]
        return f"{self.system} (training {', '.join(each)})"


class MixtureData(L.LightningDataModule):
    """Batches from several datasets, each batch from one, with a validation loader a dataset.

    Args:
        training: Datasets in the schema, one a system.
        validation: Held-out runs of the same systems, in the same order.
        history: Frames that the model is given; a window has one more.
        batch_size: Windows in a batch.
        weights: How often each dataset is drawn, in proportion.
        seed: Fixes the order of the batches.
        workers: Processes that read windows; 0 reads in the training process.

    Raises:
        InputError: A number that is too small, weights that do not fit the datasets, or validation
            runs of another system or with other fields than the training runs.
    """

    def __init__(
        self,
        training: Sequence[xr.Dataset],
        validation: Sequence[xr.Dataset],
        history: int = 8,
        batch_size: int = 2,
        weights: Sequence[float] | None = None,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__()
        require_at_least(1, history=history, batch_size=batch_size)
        require_at_least(0, seed=seed, workers=workers)
        if weights is not None and len(weights) != len(training):
            raise InputError(
                f"{len(weights)} weights for {len(training)} datasets; give one weight for each"
            )
        self.batch_size, self.weights, self.seed, self.workers = batch_size, weights, seed, workers
        self.training = [Windows(ds, history + 1, source=schema.system(ds)) for ds in training]
        self.validation = [
            Windows(ds, history + 1, stride=history, source=schema.system(ds)) for ds in validation
        ]
        for seen, held in zip(self.training, self.validation, strict=True):
            _require_alike(seen, held)
        self.scales = {windows.system: windows.scales() for windows in self.training}
        self.start = 0
        self.loader: DataLoader[Batch] | None = None
        self.allow_zero_length_dataloader_with_multiple_devices = True

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(windows.system for windows in self.training)

    @property
    def fields(self) -> tuple[Field, ...]:
        """Every field, static ones and the mask included, once, in the order of the datasets."""
        return vocabulary([windows.ds for windows in self.training])

    def field_scales(self) -> dict[str, tuple[float, float]]:
        """RMS of value and change by field name, the geometric mean where systems share a field."""
        logs: dict[str, list[torch.Tensor]] = {}
        for windows in self.training:
            scales = self.scales[windows.system]
            for number, name in enumerate(windows[0].names):
                pair = torch.stack([scales.value[number], scales.change[number]])
                logs.setdefault(name, []).append(pair.log())  # both above zero, as Windows says
        means = {name: torch.stack(pairs).mean(0).exp().tolist() for name, pairs in logs.items()}
        return {name: (value, change) for name, (value, change) in means.items()}

    def numbers(self) -> tuple[Field, ...]:
        """The numbers of every equation, each name once."""
        found: dict[str, Field] = {}
        for windows in self.training:
            for field in schema.fields(windows.ds, "parameter"):
                found.setdefault(field.name, field)
        return tuple(found.values())

    def system_numbers(self) -> dict[str, list[str]]:
        """Names of the numbers of each system."""
        return {w.system: list(schema.names(w.ds, "parameter")) for w in self.training}

    def transforms(self) -> dict[str, Transform]:
        """How each number becomes order one, from all runs of all systems that have it."""
        found = {TIME_STEP: [np.array([step]) for step in self.time_steps().values()]}
        for windows in self.training:
            for name in schema.names(windows.ds, "parameter"):
                values = np.asarray(windows.ds[name].values, dtype=np.float64).ravel()
                found.setdefault(name, []).append(values[~np.isnan(values)])
        joined = {name: np.concatenate(parts) for name, parts in found.items()}
        return {name: Transform.fit(values) for name, values in joined.items() if values.size}

    def time_steps(self) -> dict[str, float]:
        """Mean time between frames by system, in the unit of each system's time."""
        return {windows.system: windows.time_step for windows in self.training}

    def usual(self, batch: Batch) -> FieldScales:
        """The scales of the batch's system, on its device."""
        scales = self.scales[batch.system]
        device = batch.values.device
        return FieldScales(scales.value.to(device), scales.change.to(device))

    def drawn(self, number: int) -> Drawn:
        """Where the windows of batch ``number`` of the mixture are from."""
        sizes = [len(windows) for windows in self.training]
        sampler = MixtureSampler(sizes, self.batch_size, self.weights, self.seed)
        chosen = np.asarray(sampler.batch(number))
        dataset = int(np.searchsorted(sampler.offsets, chosen[0], side="right")) - 1
        windows = self.training[dataset]
        places = [windows.places[place] for place in chosen - sampler.offsets[dataset]]
        names = windows.ds["sample"].values.tolist() if "sample" in windows.ds.coords else None
        runs = tuple(run if names is None else names[run] for run, _ in places)
        return Drawn(windows.system, runs, tuple(at for _, at in places), windows.frames)

    def train_dataloader(self) -> DataLoader[Batch]:
        first, every = self.start + processes.rank(), processes.count()
        self.loader = mixture_loader(
            self.training, self.batch_size, self.weights, self.seed, first, self.workers, every
        )
        return self.loader

    def end_workers(self) -> None:
        """End the processes that read windows, also where Lightning was kept from doing so.

        As long as torch believes one at work, it may say at any later time that it has died.
        """
        if self.loader is not None:
            CombinedLoader(self.loader).reset()
            self.loader = None

    @property
    def idle(self) -> bool:
        """Whether there are fewer windows to validate on than processes, and none for this one."""
        return processes.rank() >= max(len(windows) for windows in self.validation)

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        shares = [
            range(processes.rank(), len(windows), processes.count()) for windows in self.validation
        ]
        if self.idle:  # Lightning passes over a validation without a batch, where others wait
            shares[0] = range(1)
        return [
            window_loader(windows, self.batch_size, share if processes.count() > 1 else None)
            for windows, share in zip(self.validation, shares, strict=True)
        ]

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Between two steps, when nothing of the next is counted yet, a run may be stopped."""
        assert self.trainer is not None
        for part in self.trainer.callbacks if self.trainer.training else ():  # type: ignore[attr-defined]
            if isinstance(part, Stop):
                part.look(self.trainer)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """How many batches have been trained on, so that a resumed run draws the next one."""
        assert self.trainer is not None
        return {"batches": (self.trainer.fit_loop.total_batch_idx + 1) * processes.count()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.start = int(state_dict["batches"])


def vocabulary(datasets: Sequence[xr.Dataset]) -> tuple[Field, ...]:
    """What a model needs rows for: every field, static map and the mask, each name once."""
    found: dict[str, Field] = {}
    for ds in datasets:
        mask = (Field("mask", role="mask"),) if schema.names(ds, "mask") else ()
        for field in (*schema.fields(ds), *schema.fields(ds, "static"), *mask):
            found.setdefault(field.name, field)
    return tuple(found.values())


def _require_alike(training: Windows, validation: Windows) -> None:
    """Scales go by system and channel, so both sides must agree in them."""
    if training.system != validation.system:
        raise InputError(
            f"the training runs are of the system {training.system}, the validation runs of "
            f"{validation.system}; give both the same attribute 'system'"
        )
    seen, held = schema.names(training.ds), schema.names(validation.ds)
    if seen != held:
        raise InputError(
            f"{training.system}: the training runs hold {', '.join(seen)}, the validation runs "
            f"{', '.join(held)}; give both the same fields in the same order"
        )


def window_frames(model: Surrogate, datasets: Sequence[xr.Dataset]) -> int:
    """Frames to give a model in training: what it asks for, fewer where runs are shorter.

    Never fewer than its history, so that runs too short for that are refused.
    """
    shortest = min(ds.sizes["time"] for ds in datasets)
    return max(model.history, min(model.training_frames, shortest - 1))
