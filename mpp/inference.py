"""Inference: what the numbers of the equation probably are, from a history of frames."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from mpp import schema
from mpp.batch import Batch
from mpp.data.finite import require_finite
from mpp.devices import device_of
from mpp.errors import InputError
from mpp.fields import Field
from mpp.model.axial import AxialTransformer
from mpp.model.numbers import COVERAGE, NORMAL_REACH, TIME_STEP
from mpp.model.surrogate import Surrogate

RUNS = 8
"""Runs that are looked at together; the memory that this takes does not grow with the rest."""


def infer(
    model: Surrogate, history: xr.Dataset, parameters: Sequence[str] | None = None
) -> xr.Dataset:
    """Estimate numbers of the equation, with intervals, for every run.

    Numbers that are asked for are hidden from the model together; the others are given to it where
    the history holds them.

    Args:
        model: A model that was trained on data with these numbers.
        history: Past frames in the schema; the last ``model.history`` are looked at.
        parameters: Names to estimate, of which ``time_step`` may be one; when left out, all numbers
            of the equation that the model knows and that the system has been seen with, or that the
            history holds.

    Returns:
        For each name, over ``sample``: ``NAME`` (the median), ``low_NAME`` and ``high_NAME`` (an
        interval that is meant to hold 90 % of the true values, as calibrated on validation runs),
        and ``truth_NAME`` where the history holds it. Each has the range of its values in training
        as ``trained_low`` and ``trained_high``; beyond it intervals hold less than they are meant
        to. The attribute ``calibration`` says what the intervals were calibrated on.

    Raises:
        InputError: A model that reads no numbers, a name that it does not know, or a history that
            cannot be used.

    Examples:
        >>> mpp.infer(model, ds.isel(time=slice(0, 4)))["viscosity"]  # doctest: +SKIP
    """
    if not isinstance(model, AxialTransformer):
        raise InputError(f"{type(model).__name__} reads no numbers; use the default model")
    schema.require_valid(history, "history")
    names = _names(model, history, parameters)
    batch = Batch.from_dataset(history.isel(time=slice(-model.history, None)))
    batch = batch.in_units(model.number_units)
    require_finite(batch, "history")
    numbers = model.eval().numbers
    told = {name: value for name, value in batch.parameters.items() if name not in names}
    hidden = replace(batch, parameters=told, timed=batch.timed and TIME_STEP not in names)
    reading = _read(model, hidden)
    mean, sigma = reading[..., 0], (0.5 * reading[..., 1]).exp()
    data: dict[str, xr.Variable | xr.DataArray] = {}
    calibrated = []
    for name in names:
        row = numbers.names.index(name)
        reach, windows = _reach(model, batch.system, name, batch.frames)
        calibrated.append(f"{name}: {windows}")
        half = reach * sigma
        found = {"": mean, "low_": mean - half, "high_": mean + half}
        units = batch.time_units if name == TIME_STEP else model.number_units.get(name, "1")
        low, high = model.number_ranges[name]
        trained = {"trained_low": low, "trained_high": high}
        attrs = {**Field(name, units, role="parameter").attrs(), **trained}
        for kind, value in found.items():
            values = numbers.physical(value)[:, row].cpu().numpy()
            data[f"{kind}{name}"] = xr.Variable(("sample",), values, attrs)
        true = batch.step if name == TIME_STEP else batch.parameters.get(name)
        if true is not None:
            data[f"truth_{name}"] = xr.Variable(("sample",), _last(true).numpy(), attrs)
    kept = {key: value for key, value in history.attrs.items() if key in ("system", "source")}
    made = {"coverage": COVERAGE, "history_frames": batch.frames}
    return xr.Dataset(data, attrs={**kept, **made, "calibration": "; ".join(calibrated)})


@torch.inference_mode()
def _read(model: AxialTransformer, batch: Batch) -> Float[Tensor, "sample name two"]:
    """What the last frame says, a few runs at a time."""
    runs = [batch.sample(number) for number in range(batch.samples)]
    parts = [Batch.collate(runs[first : first + RUNS]) for first in range(0, len(runs), RUNS)]
    here = device_of(model)
    return torch.cat([model.advance(part.to(here), None)[1].reading[:, -1] for part in parts])


def _reach(model: AxialTransformer, system: str, name: str, frames: int) -> tuple[float, str]:
    """Half the width of an interval in standard deviations read, and what it was calibrated on.

    A system that the model was not trained on gets the widest of those that have the number.
    """
    every = model.card.get("calibration", {})
    having = {key: numbers[name] for key, numbers in every.items() if name in numbers}
    if not having:
        return NORMAL_REACH, "not calibrated"
    if system in having:
        having = {system: having[system]}
    reaches = {
        key: found["reach"][min(frames, len(found["reach"])) - 1] for key, found in having.items()
    }
    widest = max(reaches, key=lambda key: reaches[key])
    return reaches[widest], f"{having[widest]['windows']} windows of {widest}"


def _names(
    model: AxialTransformer, history: xr.Dataset, wanted: Sequence[str] | None
) -> tuple[str, ...]:
    known = model.numbers.seen
    if wanted is None:
        seen = model.card.get("system_numbers", {}).get(schema.system(history))
        wanted = [n for n in known if n in (seen or schema.names(history, "parameter"))]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise InputError(
            f"the model knows the numbers {', '.join(known) or 'none'}; asked for was "
            f"{', '.join(unknown) or 'nothing'}; name some of them"
        )
    return tuple(wanted)


def _last(values: Tensor) -> Tensor:
    """One number a sample; of those that vary in time, the last."""
    return values if values.ndim == 1 else values[:, -1]
