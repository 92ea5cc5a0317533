"""Calibration: how far the intervals of the numbers must reach, from validation runs."""

from dataclasses import replace

import torch

from mpp.model.axial import AxialTransformer
from mpp.model.numbers import calibrated
from mpp.train.datamodule import MixtureData


@torch.inference_mode()
def calibrate(model: AxialTransformer, data: MixtureData) -> None:
    """Set the reach of every number that validation runs have, for each number of frames seen.

    All numbers of the equation are hidden from the model together.

    Args:
        model: The trained model; its weights stay as they are.
        data: The data it was trained on.
    """
    model.eval()
    errors = []
    for loader in data.val_dataloader():
        for batch in loader:
            past = batch.window(0, min(model.history, batch.frames - 1))
            if not past.parameters:
                continue
            reading = model.advance(replace(past, parameters={}), None)[1].reading
            truth = model.numbers.standard(past, None)
            mean, sigma = reading[..., 0], (0.5 * reading[..., 1]).exp()
            frames = torch.full((past.samples, model.history, len(model.numbers.names)), torch.nan)
            frames[:, : past.frames] = (truth - mean).abs() / sigma
            errors.append(frames)
    if errors:
        reach = calibrated(torch.cat(errors))
        model.numbers.reach.copy_(torch.where(reach.isnan(), model.numbers.reach, reach))
