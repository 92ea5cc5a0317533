"""Inference: what the numbers of the equation probably are, from a history of frames."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import xarray as xr
from torch import Tensor

from mpp import schema
from mpp.batch import Batch
from mpp.data.windows import require_finite
from mpp.errors import InputError
from mpp.fields import Field
from mpp.model.axial import AxialTransformer
from mpp.model.numbers import COVERAGE, TIME_STEP
from mpp.model.surrogate import Surrogate


def infer(
    model: Surrogate, history: xr.Dataset, parameters: Sequence[str] | None = None
) -> xr.Dataset:
    """Estimate numbers of the equation, with intervals, for every run.

    Numbers that are asked for are hidden from the model together; the others are given to it where
    the history holds them.

    Args:
        model: A model that was trained on data with these numbers.
        history: Past frames in the schema; the last ``model.history`` are looked at.
        parameters: Names to estimate; all that the model knows and that the system has been seen
            with, or that the history holds, when left out.

    Returns:
        For each name, over ``sample``: ``NAME`` (the median), ``low_NAME`` and ``high_NAME`` (an
        interval that is meant to hold 90 % of the true values, as calibrated on validation runs),
        and ``truth_NAME`` where the history holds it.

    Raises:
        InputError: A model that reads no numbers, a name that it does not know, or a history that
            cannot be used.

    Example:
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
    hidden = replace(
        batch, parameters={n: v for n, v in batch.parameters.items() if n not in names}
    )
    with torch.inference_mode():
        reading = model.advance(hidden, None)[1].reading[:, -1]
    mean, sigma = reading[..., 0], (0.5 * reading[..., 1]).exp()
    half = sigma * numbers.reach[:, batch.frames - 1]
    found = {"": mean, "low_": mean - half, "high_": mean + half}
    data: dict[str, xr.Variable | xr.DataArray] = {}
    for name in names:
        row = numbers.names.index(name)
        attrs = Field(name, model.number_units.get(name, "1"), role="parameter").attrs()
        for kind, value in found.items():
            values = numbers.physical(value)[:, row].cpu().numpy()
            data[f"{kind}{name}"] = xr.Variable(("sample",), values, attrs)
        if name in batch.parameters:
            truth = _last(batch.parameters[name]).numpy()
            data[f"truth_{name}"] = xr.Variable(("sample",), truth, attrs)
    kept = {key: value for key, value in history.attrs.items() if key in ("system", "source")}
    return xr.Dataset(data, attrs={**kept, "coverage": COVERAGE, "history_frames": batch.frames})


def _names(
    model: AxialTransformer, history: xr.Dataset, wanted: Sequence[str] | None
) -> tuple[str, ...]:
    known = [name for name in model.numbers.names if name != TIME_STEP]
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
