r"""Ensembles: histories that differ a little, and what their rollouts say together.

A member starts from the history plus one smooth pattern a field, the same in all frames of the
history, so that changes between them stay what they were:

.. math:: x_i \to x_i + p \, c \, n, \qquad c^2 = \langle (x_i - x_{i-1})^2 \rangle, \qquad
          \langle n \rangle = 0, \quad \langle n^2 \rangle = 1

with :math:`p` the perturbation asked for and :math:`n` white noise whose waves :math:`k` (counted
across each axis) are damped by :math:`\exp(-k^2 / 2 \cdot 8^2)`. The mean of a field stays. All
members are perturbed alike; none is the plain rollout. Noise is drawn from the seed, the member,
the field's name and the last frame, so that a run is perturbed in the same way wherever it stands.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from mpp import schema
from mpp.batch import Batch, mean_square
from mpp.errors import InputError

WAVES = 8
"""Waves across an axis beyond which the noise falls off."""


def perturbed(
    history: Batch,
    members: Sequence[int],
    relative: float,
    seed: int,
    scales: Mapping[str, tuple[float, float]],
) -> Batch:
    """Histories a little off from those given.

    Args:
        history: Frames of some runs.
        members: Which member each of them is.
        relative: RMS of the perturbation, as a part of the RMS of the field's change from frame to
            frame in the history.
        seed: Where the noise comes from.
        scales: RMS of value and change of fields in training; the ratio serves for single frames.

    Raises:
        InputError: A single frame of a field whose change is not known.
    """
    size = relative * _change(history, scales)
    values = history.values.clone()
    for row, member in enumerate(members):
        for channel, name in enumerate(history.names):
            last = history.values[row, -1, channel]
            noise = smooth_noise(last.shape, _generator(seed, member, name, last))
            values[row, :, channel] += (size[row, channel] * noise).to(values.dtype)
    return replace(history, values=values)


def smooth_noise(shape: Sequence[int], generator: torch.Generator) -> Float[Tensor, " *space"]:
    """Noise of mean 0 and RMS 1 that has few waves across each axis, periodic along all of them."""
    white = torch.randn(*shape, generator=generator, dtype=torch.float64)
    counts = [torch.fft.fftfreq(points, 1 / points, dtype=torch.float64) for points in shape]
    squares = torch.stack(torch.meshgrid(*counts, indexing="ij")).square().sum(0)
    damped = torch.exp(-squares / (2 * WAVES**2)) * (squares > 0)
    noise = torch.fft.ifftn(torch.fft.fftn(white) * damped).real
    size = noise.square().mean().sqrt()
    return noise / size if size > 0 else noise


def _change(
    history: Batch, scales: Mapping[str, tuple[float, float]]
) -> Float[Tensor, "sample field"]:
    """RMS of the change of each field from frame to frame, in its unit."""
    values = history.values.double()
    if history.frames > 1:
        return mean_square(values.diff(dim=1), history.mask).mean(1).sqrt()
    unknown = [name for name in history.names if name not in scales]
    if unknown:
        raise InputError(
            f"one frame does not tell how much {', '.join(unknown)} changes, and the model does "
            "not know; give a history of at least 2 frames to perturb"
        )
    rate = torch.tensor([scales[name][1] / scales[name][0] for name in history.names])
    return rate * mean_square(values, history.mask)[:, 0].sqrt()


def _generator(seed: int, member: int, name: str, frame: Tensor) -> torch.Generator:
    key = hashlib.sha256(f"{seed} {member} {name} ".encode())
    key.update(np.ascontiguousarray(frame.numpy()).tobytes())
    return torch.Generator().manual_seed(int.from_bytes(key.digest()[:8], "big") >> 1)


def ensemble_mean(ds: xr.Dataset) -> xr.Dataset:
    """The mean of every field over the members, in the schema; the truth stays beside it.

    It is NaN where a member has stopped: a mean over those that are left would be of other runs.

    Args:
        ds: A rollout with several members.

    Raises:
        InputError: It has no ``member`` dim.

    Examples:
        >>> mpp.rollouts.ensemble_mean(xr.open_dataset("ensemble.nc"))  # doctest: +SKIP
    """
    return _reduced(ds, "mean", lambda field: field.mean("member", skipna=False, keep_attrs=True))


def ensemble_spread(ds: xr.Dataset) -> xr.Dataset:
    """The standard deviation of every field over the members, with one degree of freedom less.

    As `ensemble_mean` otherwise. Where an ensemble is reliable, the square of the spread is on
    average that of the error of the mean, but for a factor of (members + 1) / members.
    """
    return _reduced(
        ds, "spread", lambda field: field.std("member", ddof=1, skipna=False, keep_attrs=True)
    )


def _reduced(ds: xr.Dataset, what: str, reduce) -> xr.Dataset:  # noqa: ANN001  # of a DataArray
    if "member" not in ds.dims:
        raise InputError("the rollout has no member dim; make one with members=..., --members")
    fields = {name: reduce(ds[name]) for name in schema.names(ds) if "member" in ds[name].dims}
    left = ds.assign(fields).drop_dims("member", errors="ignore")  # gone without a coordinate
    return left.assign_attrs(ensemble=what)
