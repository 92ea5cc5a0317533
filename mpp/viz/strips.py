"""What a rollout picture shows of one field and run: truth, prediction, error, and their scales."""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from mpp import metrics, schema
from mpp.errors import InputError
from mpp.fields import Field
from mpp.viz import tiles
from mpp.viz.style import Scale, error_scale, field_scale, spread_scale


@dataclass(frozen=True)
class Strip:
    """The truth, the prediction or the error of one field and run.

    Args:
        name: Which of them.
        values: The field over (time, *space), in its unit.
        scale: Its colours.
        scores: VRMSE of each frame; empty for none.
    """

    name: str
    values: xr.DataArray
    scale: Scale
    scores: tuple[float, ...] = ()


def select(ds: xr.Dataset, name: str, sample: int) -> tuple[Field, xr.DataArray, xr.DataArray]:
    """A field, its values in one run in double precision, and where they are defined.

    Raises:
        InputError: No such field or run.
    """
    if name not in schema.names(ds):
        known = ", ".join(schema.names(ds))
        raise InputError(f"no field {name!r} in this dataset; choose one of: {known}")
    if not 0 <= sample < ds.sizes["sample"]:
        last = ds.sizes["sample"] - 1
        raise InputError(f"run {sample} was asked for, and the file holds runs 0 to {last}")
    values = ds[name].isel(sample=sample).astype(np.float64)
    return Field.from_attrs(name, ds[name].attrs), values, tiles.inside(ds, values, sample)


def strips(ds: xr.Dataset, name: str, sample: int) -> list[Strip]:
    """Truth, prediction and error of a run, or the prediction alone where no truth is known.

    Truth and prediction share the scale of the truth. Of an ensemble the prediction is its mean,
    and the spread comes last.

    Args:
        ds: The frames of a rollout that are shown; an ensemble after `mpp.viz.members.joined`.
        name: Name of the field.
        sample: Which run.

    Raises:
        InputError: No such field or run.
    """
    field, predicted, defined = select(ds, name, sample)

    def shown(values: xr.DataArray) -> np.ndarray:
        return values.where(defined).values

    beside = []
    if f"spread_{name}" in ds:
        values = ds[f"spread_{name}"].isel(sample=sample).transpose(*predicted.dims)
        beside.append(Strip("spread", values, spread_scale(shown(values))))
    if f"truth_{name}" not in ds:
        return [Strip("prediction", predicted, field_scale(shown(predicted), field)), *beside]
    truth = ds[f"truth_{name}"].isel(sample=sample).transpose(*predicted.dims).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        error = predicted - truth
    shared = field_scale(shown(truth), field)
    known = shown(truth)[np.isfinite(shown(truth))]
    span = float(np.ptp(known)) if known.size else 0.0
    scores = tuple(frame_scores(predicted, truth, defined))
    return [
        Strip("truth", truth, shared),
        Strip("prediction", predicted, shared),
        Strip("error", error, error_scale(shown(error), span), scores),
        *beside,
    ]


def frame_scores(
    predicted: xr.DataArray, truth: xr.DataArray, defined: xr.DataArray
) -> list[float]:
    """VRMSE of every frame; the floor is a small part of the truth's own deviation."""
    floor = torch.tensor([metrics.FLOOR_FRACTION * float(truth.where(defined).std())]).double()
    first, second = (torch.tensor(values.values)[None, :, None] for values in (predicted, truth))
    mask = torch.tensor(defined.isel(time=0).values)[None]
    return metrics.vrmse(first, second, mask, floor)[0, :, 0].tolist()


def score_text(score: float) -> str:
    """A score as it stands above a panel."""
    return f"VRMSE {f'{score:#.2g}'.rstrip('.')}" if np.isfinite(score) else "not finite"
