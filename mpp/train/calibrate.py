"""Calibration: how far the intervals of the numbers must reach, from validation runs."""

from dataclasses import replace
from math import ceil
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from mpp.batch import Batch
from mpp.data.mixture import window_loader
from mpp.data.windows import Windows
from mpp.devices import device_of, placed
from mpp.model.axial import AxialTransformer
from mpp.model.numbers import COVERAGE, NORMAL_REACH
from mpp.train.datamodule import MixtureData

Calibration = dict[str, dict[str, dict[str, Any]]]
"""By system and number, what `calibrate` returns."""


@torch.inference_mode()
def calibrate(model: AxialTransformer, data: MixtureData) -> Calibration:
    r"""How far intervals must reach to hold 90 % of the true numbers, in standard deviations read.

    Histories are taken one after another from the whole of every validation run. All numbers are
    hidden from the model together, the time between frames with them. Windows of one run are alike,
    so that it is runs that a new run is exchangeable with: the reach is the quantile at the level
    :math:`0.9 (n + 1) / n` of the errors of all windows of :math:`n` runs, the largest error where
    there are fewer than nine (hierarchical conformal prediction: Lee, Barber and Willett 2023,
    arXiv:2306.06342).

    Args:
        model: The trained model; it stays as it is.
        data: The data it was trained on.

    Returns:
        For each system and number: the ``reach`` for each number of frames seen, on how many
        ``windows`` of how many ``runs`` it was calibrated, and of the whole history which share of
        the windows the intervals of a normal distribution hold (``uncalibrated``) and which share
        those intervals hold that the other half of the runs sets (``crossed``), which is what new
        runs can expect.
    """
    model.eval()
    found: Calibration = {}
    for held_out in data.validation:
        frames = min(model.history, held_out.ds.sizes["time"])
        windows = Windows(held_out.ds, frames, stride=frames, source=held_out.source)
        with placed(model):
            errors = _errors(model, window_loader(windows, data.batch_size))
        errors = rearrange(
            errors, "(run window) ... -> run window ...", run=held_out.ds.sizes["sample"]
        )
        parts = zip(model.numbers.names, errors.unbind(-1), strict=True)
        learned = {name: part for name, part in parts if name in model.numbers.seen}
        having = {name: part for name, part in learned.items() if not part.isnan().all()}
        found[held_out.system] = {name: _report(part) for name, part in having.items()}
    return found


def _errors(
    model: AxialTransformer, loader: DataLoader[Batch]
) -> Float[Tensor, "window frame name"]:
    """Errors in standard deviations read, NaN where a run has no such number or frame."""
    errors = []
    for window in loader:
        batch = window.to(device_of(model))
        told = replace(batch, parameters={}, timed=False)
        reading = model.advance(told, None)[1].reading
        truth = model.numbers.standard(batch, batch.step)
        mean, sigma = reading[..., 0], (0.5 * reading[..., 1]).exp()
        frames = torch.full((batch.samples, model.history, truth.shape[2]), torch.nan)
        frames[:, : batch.frames] = ((truth - mean).abs() / sigma).cpu()
        errors.append(frames)
    return torch.cat(errors)


def _report(errors: Float[Tensor, "run window frame"]) -> dict[str, Any]:
    """What is told of one number."""
    seen = errors[..., (~errors.isnan()).any(0).any(0)]
    seen = seen[~seen.isnan().flatten(1).any(1)]
    first, second = seen.tensor_split(2)
    halves = [(one, other) for one, other in ((first, second), (second, first)) if len(other)]
    held = [(one[..., -1] <= reach(other)[-1]).flatten() for one, other in halves]
    return {
        "reach": [round(value, 4) for value in reach(seen)],
        "windows": seen.shape[0] * seen.shape[1],
        "runs": len(seen),
        "uncalibrated": round((seen[..., -1] <= NORMAL_REACH).double().mean().item(), 3),
        "crossed": round(torch.cat(held).double().mean().item(), 3),
    }


def reach(errors: Float[Tensor, "run window frame"]) -> list[float]:
    """The conformal quantile for each number of frames."""
    runs, every = len(errors), errors.flatten(0, 1)
    # Rounded, since 0.9 * 20 / 19 * 19 is a little above 18.
    place = min(len(every), ceil(round(COVERAGE * (runs + 1) / runs * len(every), 9))) - 1
    return every.sort(0).values[place].tolist()
