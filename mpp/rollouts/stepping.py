"""Frames of many runs and members, step after step, a few runs in memory at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from torch import Tensor

from mpp.batch import Batch
from mpp.data.finite import require_finite
from mpp.devices import device_of
from mpp.model.surrogate import Surrogate
from mpp.rollouts.ensembles import perturbed
from mpp.rollouts.stops import Watch


@dataclass(frozen=True)
class Row:
    """One run of one member: what is stepped by itself.

    Args:
        sample: Its place among the samples of the history.
        member: Its place among the members.
    """

    sample: int
    member: int


@dataclass(frozen=True)
class Frames:
    """The frames of some rows after one step.

    Args:
        rows: Which rows.
        step: Which step, counted from 1.
        values: Over (row, field, *space), in physical units; NaN from where a row has stopped.
        number: Which batch of rows this is, counted from 0.
    """

    rows: tuple[Row, ...]
    step: int
    values: np.ndarray
    number: int


@dataclass
class Stepping:
    """Steps every run of a history forward, for each member.

    Members come model after model: member m is stepped by model ``m // members`` from perturbation
    ``m % members``.

    Args:
        models: The models.
        history: Past frames in the schema, lazy or not.
        steps: Number of frames to predict.
        batch_size: Runs (of all members) that are stepped at once.
        limit: Times the largest RMS in training and history that a field may reach; ``None`` for
            any finite values.
        members: Perturbed histories for each model.
        perturb: Size of the perturbations, relative to the RMS of the changes in the history.
        seed: Where the perturbations come from.

    Attributes:
        stopped: Step and problem of the rows that stopped; the frames before the step are good.
    """

    models: Sequence[Surrogate]
    history: xr.Dataset
    steps: int
    batch_size: int
    limit: float | None
    members: int = 1
    perturb: float = 0.0
    seed: int = 0
    stopped: dict[Row, tuple[int, str]] = field(default_factory=dict)

    def batches(self) -> list[tuple[Surrogate, tuple[Row, ...]]]:
        """What is stepped together: rows of one model, samples in order."""
        samples = self.history.sizes["sample"]
        together = max(1, self.batch_size // self.members)
        made = []
        for first in range(0, samples, together):
            chosen = range(first, min(first + together, samples))
            for number, model in enumerate(self.models):
                members = range(number * self.members, (number + 1) * self.members)
                rows = [Row(sample, member) for sample in chosen for member in members]
                starts = range(0, len(rows), self.batch_size)
                made += [(model, tuple(rows[i : i + self.batch_size])) for i in starts]
        return made

    def start(self, model: Surrogate, rows: Sequence[Row]) -> Batch:
        """The frames that some rows start from, their numbers in the units of the model.

        Raises:
            InputError: They hold NaN, or numbers in units that cannot be converted.
        """
        first, last = rows[0].sample, rows[-1].sample
        frames = model.history
        if self.perturb:  # by the same for all models, and a change takes two frames
            frames = max(2, *(one.history for one in self.models))
        past = self.history.isel(sample=slice(first, last + 1), time=slice(-frames, None))
        batch = Batch.from_dataset(past)
        require_finite(batch, "history")
        batch = batch.rows([row.sample - first for row in rows])
        if self.perturb:
            members = [row.member % self.members for row in rows]
            batch = perturbed(batch, members, self.perturb, self.seed, model.field_scales)
            batch = batch.window(max(0, batch.frames - model.history), batch.frames)
        return batch.in_units(model.number_units)

    def frames(self) -> Iterator[Frames]:
        """Step all batches one after the other; one in which every row has stopped ends early.

        The first frame of a batch is always given, though it may be NaN.
        """
        for number, (model, rows) in enumerate(self.batches()):
            start = self.start(model, rows)
            watch = Watch(model, start, self.limit)
            for step, frame in enumerate(forecast(model, start, self.steps), 1):
                going = [place for place, row in enumerate(rows) if row not in self.stopped]
                for stop in watch.stops(frame, step, going):
                    self.stopped[rows[stop.row]] = (step, stop.problem)
                ended = [place for place, row in enumerate(rows) if row in self.stopped]
                if len(ended) == len(rows) and step > 1:
                    break
                values = np.array(frame.float().numpy())
                values[ended] = np.nan
                yield Frames(rows, step, values, number)
                if len(ended) == len(rows):
                    break


def forecast(model: Surrogate, start: Batch, steps: int) -> Iterator[Tensor]:
    """Frames on the CPU, forecast on the model's device in evaluation mode."""
    training = model.training
    model.eval()
    try:
        for frame in model.forecast(start.to(device_of(model)), steps):
            yield frame.cpu()
    finally:
        model.train(training)
