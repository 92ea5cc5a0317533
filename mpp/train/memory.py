"""A training that does not fit in memory says how large it is and what to lower."""

import os

import torch
from torch import nn

from mpp.batch import Batch

SIGNS = (
    "can't allocate memory",  # torch on a processor
    "not enough memory",  # the same on Windows
    "out of memory",  # drivers of accelerators
    "alloc_failed",  # cuBLAS and cuDNN
    "cannot allocate memory",  # the system
)
"""Words of the messages that tell it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is one of those that say that there is no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    told = str(error).lower()
    return isinstance(error, RuntimeError | OSError) and any(sign in told for sign in SIGNS)


def is_lost_worker(error: BaseException) -> bool:
    """Whether an error says that a process that reads windows has died.

    Whichever comes first: torch's own word, or a tensor that is handed over by a socket whose other
    end is gone.
    """
    if isinstance(error, RuntimeError):
        return str(error).startswith(("DataLoader worker (pid", "received 0 items of ancdata"))
    return isinstance(error, ConnectionError | EOFError)


def too_large(model: nn.Module, batch: Batch | None, device: torch.device) -> str:
    """The sizes of a training that needs too much memory, and what to lower, in words.

    Args:
        model: The model.
        batch: The batch it was at; ``None`` before the first.
        device: Where it trains.
    """
    parts = "the training"
    if batch is not None:
        grid = " x ".join(str(axis.points.size) for axis in batch.axes)
        channels = len(batch.fields)
        parts = (
            f"a batch of {batch.samples} windows x {batch.frames} frames x {channels} "
            f"field{'s' if channels > 1 else ''} x {grid} points of {batch.system} "
            f"({_size(batch.values.numel() * batch.values.element_size())} as it is read)"
        )
    parameters = sum(value.numel() for value in model.parameters())
    return (
        f"out of memory on {device.type} with {parts} and a model of {parameters:,} parameters; "
        f"{_free(device)}; lower --batch-size, the model's history (frames of a window) or the "
        "resolution of the data, or train a smaller model"
    )


def _free(device: torch.device) -> str:
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return f"{_size(free)} of {_size(total)} are free"
    try:
        import resource

        pages, total = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PHYS_PAGES")
    except (ValueError, AttributeError, ImportError):  # not every system tells
        return "how much is free is not known here"
    page, limit = os.sysconf("SC_PAGE_SIZE"), resource.getrlimit(resource.RLIMIT_AS)[0]
    told = f"{_size(pages * page)} of {_size(total * page)} are free"
    if limit == resource.RLIM_INFINITY:
        return told
    return f"{told}, and this process may have {_size(limit)}"


def _size(count: float) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
