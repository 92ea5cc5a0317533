"""Laws of the mixture: batch k depends on seed and k, comes from one dataset, shares are kept."""

import atexit
import itertools
import multiprocessing
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mpp.data.mixture import MixtureSampler, mixture_loader, window_loader
from mpp.data.windows import Windows
from mpp.errors import InputError
from mpp.schema import example

SIZES = (5, 100, 30)


def owner(batch: list[int]) -> int:
    """The dataset that a batch is from; fails if it is from several."""
    (found,) = set(np.searchsorted(np.cumsum(SIZES), batch, side="right").tolist())
    return found


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 10**6))
def test_a_batch_depends_on_seed_and_number_alone(seed, number):
    fresh = MixtureSampler(SIZES, 8, seed=seed).batch(number)
    later = next(iter(MixtureSampler(SIZES, 8, seed=seed, start=number)))
    assert fresh == later
    assert len(fresh) == 8
    assert 0 <= owner(fresh) < 3


def test_going_on_is_as_never_having_stopped():
    whole = list(itertools.islice(MixtureSampler(SIZES, 4, seed=3), 30))
    rest = list(itertools.islice(MixtureSampler(SIZES, 4, seed=3, start=12), 18))
    assert whole[12:] == rest


def test_seeds_differ():
    firsts = [MixtureSampler(SIZES, 8, seed=seed).batch(0) for seed in range(6)]
    assert len({tuple(batch) for batch in firsts}) == 6


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 10**5))
def test_every_short_stretch_is_near_the_weights(seed, start):
    weights, length = np.array([1.0, 2.0, 5.0]), 24
    sampler = MixtureSampler(SIZES, 1, weights.tolist(), seed, start)
    drawn = [owner(batch) for batch in itertools.islice(sampler, length)]
    counts = np.bincount(drawn, minlength=3)
    # The expected counts are 3, 6 and 15. Golden-ratio steps keep every count within 1 of them,
    # wherever the stretch starts; independent draws, with a standard deviation of
    # sqrt(24 * 5/8 * 3/8) = 2.4 for the last, would often be further off.
    assert np.all(np.abs(counts - length * weights / weights.sum()) <= 1)


def test_weights_change_the_shares():
    sampler = MixtureSampler(SIZES, 1, [0, 1, 0])
    assert {owner(sampler.batch(number)) for number in range(50)} == {1}


def test_windows_of_a_batch_differ_where_there_are_enough():
    sampler = MixtureSampler(SIZES, 8, seed=1)
    for number in range(40):
        batch = sampler.batch(number)
        assert len(set(batch)) == 8 or owner(batch) == 0


def test_every_window_has_its_turn():
    sampler = MixtureSampler(SIZES, 8, seed=1)
    drawn = {index for number in range(400) for index in sampler.batch(number)}
    assert drawn == set(range(sum(SIZES)))


@pytest.mark.parametrize("weights", [[0.0, 0.0, 0.0], [1.0, -1.0, 1.0], [1.0, float("nan"), 1.0]])
def test_weights_that_are_no_shares_are_refused(weights):
    with pytest.raises(InputError, match="weights"):
        MixtureSampler(SIZES, 4, weights)


def two() -> list[Windows]:
    other = example((6, 6), samples=3).assign_attrs(system="other")
    return [Windows(example(), 3), Windows(other, 3)]


def test_the_loader_gives_the_windows_that_the_sampler_names():
    data = two()
    loader = mixture_loader(data, 4, seed=7, start=2)
    sampler = MixtureSampler([len(part) for part in data], 4, seed=7)
    windows = [part[number] for part in data for number in range(len(part))]
    for number, batch in enumerate(itertools.islice(loader, 6), start=2):
        expected = torch.cat([windows[index].values for index in sampler.batch(number)])
        assert torch.equal(batch.values, expected)
        assert batch.system in ("example", "other")


def test_the_window_loader_gives_every_window_once_in_order():
    (data, _) = two()
    batches = list(window_loader(data, 4))
    # Two runs with three windows each, in batches of four.
    assert [batch.samples for batch in batches] == [4, 2]
    values = torch.cat([batch.values for batch in batches])
    assert torch.equal(values, torch.cat([data[i].values for i in range(6)]))


class AbortsAtExit:
    """What a worker reads; Python's own ending of that worker would abort it."""

    def __reduce__(self):
        return atexit.register, (os.abort,)


@pytest.mark.slow
def test_the_ending_of_a_worker_cannot_fail():
    data = Windows(example((16,), 2, 6), 4)
    data.beside = AbortsAtExit()
    batches = iter(mixture_loader([data], 2, workers=1))
    next(batches)
    (worker,) = multiprocessing.active_children()
    del batches
    worker.join(30)
    assert worker.exitcode == 0


@pytest.mark.slow
def test_workers_change_nothing():
    alone = itertools.islice(mixture_loader(two(), 4, seed=7), 6)
    helped = itertools.islice(mixture_loader(two(), 4, seed=7, workers=2), 6)
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one.values, other.values)
