"""A weighted mixture of datasets: each batch from one of them, in an order that a seed fixes.

Which dataset and which windows make batch ``k`` depends on the seed and on ``k`` alone. A run that
goes on after ``k`` batches therefore sees what it would have seen without the break.
"""

import atexit
import os
import signal
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import ConcatDataset, DataLoader, Sampler, Subset

from mpp.batch import Batch
from mpp.data.windows import Windows
from mpp.errors import InputError

GOLDEN = 0.6180339887498949


class MixtureSampler(Sampler[list[int]]):
    """Index lists into the concatenation of several datasets, without end.

    The datasets take turns by a golden-ratio sequence, so that every stretch of batches, however
    short, is close to the weights.

    Args:
        sizes: Number of windows of each dataset.
        batch_size: Windows in a batch.
        weights: How often each dataset is drawn, in proportion; equal when left out.
        seed: Fixes the order.
        start: Number of the first batch.
        every: Batches from one to the next; those between are of other processes.

    Raises:
        InputError: Weights that are negative or all zero.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        batch_size: int,
        weights: Sequence[float] | None = None,
        seed: int = 0,
        start: int = 0,
        every: int = 1,
    ) -> None:
        self.sizes, self.batch_size, self.seed = sizes, batch_size, seed
        self.start, self.every = start, every
        shares = np.asarray(weights if weights is not None else np.ones(len(sizes)), dtype=float)
        if not (np.all(np.isfinite(shares) & (shares >= 0)) and shares.sum() > 0):
            raise InputError(
                f"the weights are {shares.tolist()}; give numbers of which one is above 0"
            )
        self.edges = np.cumsum(shares / shares.sum())
        self.offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def batch(self, number: int) -> list[int]:
        """The windows of batch ``number``."""
        phase = np.random.default_rng(self.seed).random()
        place = (phase + number * GOLDEN) % 1.0
        dataset = min(int(np.searchsorted(self.edges, place, side="right")), len(self.sizes) - 1)
        size = self.sizes[dataset]
        rng = np.random.default_rng([self.seed, number])
        chosen = rng.choice(size, self.batch_size, replace=size < self.batch_size)
        return (chosen + self.offsets[dataset]).tolist()

    def __iter__(self) -> Iterator[list[int]]:
        number = self.start
        while True:
            yield self.batch(number)
            number += self.every


def mixture_loader(
    datasets: Sequence[Windows],
    batch_size: int,
    weights: Sequence[float] | None = None,
    seed: int = 0,
    start: int = 0,
    workers: int = 0,
    every: int = 1,
) -> DataLoader[Batch]:
    """An endless loader of batches, each from one of the datasets."""
    sizes = [len(data) for data in datasets]
    sampler = MixtureSampler(sizes, batch_size, weights, seed, start, every)
    return DataLoader(
        ConcatDataset(datasets),
        batch_sampler=sampler,
        collate_fn=Batch.collate,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=_prepare if workers else None,
    )


def _prepare(worker: int) -> None:
    """Leave it to the training to end a worker, and end it without a way to fail.

    Schedulers send SIGTERM to every process. Python's own ending stops the thread that hands
    batches over; inside a call of torch that aborts the process, and the training takes the worker
    for lost.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    atexit.register(os._exit, 0)


def window_loader(
    windows: Windows, batch_size: int, places: Sequence[int] | None = None
) -> DataLoader[Batch]:
    """All windows of one dataset once, in order, or those at some places."""
    chosen = windows if places is None else Subset(windows, places)
    return DataLoader(chosen, batch_size=batch_size, collate_fn=Batch.collate)
