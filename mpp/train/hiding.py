"""Numbers are hidden at random in training, so that all, some or none of them will do."""

from dataclasses import replace

import torch
from torch import Tensor

from mpp.batch import Batch
from mpp.model.numbers import TIME_STEP

UNTIMED = 0.5
"""Share of the batches in which the time between frames is hidden."""


def hide_numbers(batch: Batch) -> tuple[Batch, dict[str, Tensor]]:
    """The batch with some numbers of some samples unknown, and those that were hidden alone.

    Of each sample all numbers of the equation are hidden, none, or each with even chances; a third
    of the samples each. The time between frames is hidden from a batch as a whole. The draw is
    torch's own, which the training module seeds for every batch.

    Returns:
        The batch with NaN for what is hidden (and untimed, where its time step is), and the numbers
        with NaN for what is not.
    """
    share = torch.randint(3, (batch.samples,)) / 2
    known, hidden = {}, {}
    for name, value in batch.parameters.items():
        gone = (torch.rand(batch.samples) < share).to(value.device)
        gone = gone.view(-1, *[1] * (value.ndim - 1))
        known[name] = torch.where(gone, torch.nan, value)
        hidden[name] = torch.where(gone, value, torch.nan)
    untimed = float(torch.rand(())) < UNTIMED
    if untimed and batch.step is not None:
        hidden[TIME_STEP] = batch.step
    return replace(batch, parameters=known, timed=batch.timed and not untimed), hidden
