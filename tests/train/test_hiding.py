"""What a model is told of the numbers in training."""

import numpy as np
import pytest
import torch

from mpp.batch import Batch
from mpp.model.numbers import TIME_STEP
from mpp.schema import example
from mpp.train.hiding import UNTIMED, hide_numbers


@pytest.fixture
def batch():
    """600 samples with a number of each and one of each frame; no frames to speak of."""
    one = Batch.from_dataset(example((2, 2), samples=600, frames=2))
    return one.__class__(
        **{**vars(one), "parameters": {"p": torch.ones(600), "q": torch.ones(600, 2)}}
    )


def test_every_number_is_known_or_asked_for_and_never_both(batch):
    torch.manual_seed(0)
    known, asked = hide_numbers(batch)
    assert torch.equal(known.values, batch.values)
    for name, value in batch.parameters.items():
        assert known.parameters[name].shape == asked[name].shape == value.shape
        assert torch.equal(known.parameters[name].isnan(), ~asked[name].isnan())
        assert known.parameters[name].nansum() + asked[name].nansum() == value.sum()


def test_a_third_knows_all_a_third_nothing_and_a_third_either(batch):
    torch.manual_seed(0)
    known, _ = hide_numbers(batch)
    has = torch.stack([known.parameters["p"], known.parameters["q"][:, 0]], 1).isnan().logical_not()
    count = has.sum(1)
    # Of two numbers: both are known in 1/3 + 1/3 * 1/4 of the samples, as are none; one in 1/6.
    for number, share in ((0, 5 / 12), (1, 1 / 6), (2, 5 / 12)):
        # Three standard deviations of a share of 600.
        assert (count == number).float().mean().item() == pytest.approx(share, abs=0.06)


def test_the_time_step_is_hidden_from_a_share_of_the_batches(batch):
    torch.manual_seed(0)
    drawn = [hide_numbers(batch) for _ in range(200)]
    hidden = [known.step is None for known, _ in drawn]
    assert np.mean(hidden) == pytest.approx(UNTIMED, abs=0.1)
    for gone, (_, asked) in zip(hidden, drawn, strict=True):
        assert (TIME_STEP in asked) == gone
        assert not gone or torch.equal(asked[TIME_STEP], batch.step)


def test_the_draw_is_the_seed_s(batch):
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(hide_numbers(batch)[0].parameters["p"].isnan())
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
