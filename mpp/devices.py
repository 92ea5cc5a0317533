"""Where models compute when no training places them: on an accelerator where there is one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from mpp.errors import InputError


def accelerator() -> torch.device:
    """The accelerator that this process computes on, as training does, or the CPU."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cpu") if found is None else found


def device_named(name: str | None) -> torch.device:
    """A device by its name, such as ``cpu``, ``cuda`` or ``cuda:1``; `accelerator` without one.

    Raises:
        InputError: There is no such device here.
    """
    here = accelerator()
    if name is None:
        return here
    names = ["cpu"]
    if here.type != "cpu":
        numbered = (f"{here.type}:{n}" for n in range(torch.accelerator.device_count()))
        names += [here.type, *numbered]
    if name not in names:
        raise InputError(f"expected a device that is here ({', '.join(names)}), got {name}")
    return torch.device(name)


def finish(device: torch.device) -> None:
    """Wait until a device has done all that was asked of it."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def device_of(model: nn.Module) -> torch.device:
    """Where a model computes."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


@contextmanager
def placed(*models: nn.Module) -> Iterator[torch.device]:
    """Have models on the accelerator for a while; afterwards they are where they were."""
    there = accelerator()
    before = [device_of(model) for model in models]
    try:
        _move(models, [there] * len(models))
        yield there
    finally:
        _move(models, before)


def _move(models: Sequence[nn.Module], devices: Sequence[torch.device]) -> None:
    with torch.inference_mode(False):  # weights that move within it could not be trained again
        for model, device in zip(models, devices, strict=True):
            model.to(device)
