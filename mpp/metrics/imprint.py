r"""Whether an error repeats with the patches of a model.

A model that reads a field in patches of :math:`p` points can leave their pattern in its output:
seams, or one shape in every patch. Along an axis of :math:`N` points such a pattern has the
wavenumbers :math:`m_j = j N/p`, :math:`j = 1 \dots p/2`, in waves along the axis. With :math:`E(m)`
the energy of the error along that axis, over all lines of points, the index is

.. math:: \frac{\sum_j E(m_j)}{\sum_j \sqrt{E(m_j - d)\,E(m_j + d)}} ,

the energy at these harmonics over what their neighbours in wavenumber make one expect, the sums
going over all axes. The geometric mean of the neighbours is exact for a spectrum that falls
exponentially and nearly so for a power law. 1 is no imprint, 3 is three times the energy that
should be there; smooth errors of few lines scatter around 1.

Around a periodic axis that whole patches fill, :math:`d = 1`. Along any other axis the whole
patches that fit are taken, under a Hann window, which spreads each wave over its next neighbours:
:math:`d = 2`. Axes with fewer than :math:`2d + 2` patches, along which a harmonic has no neighbours
of its own, are left out.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mpp.batch import Axis
from mpp.errors import InputError
from mpp.metrics.moments import Frames, Mask, Numbers
from mpp.metrics.scores import difference


def patch_imprint(
    prediction: Frames,
    target: Frames,
    axes: Sequence[Axis],
    patch: int,
    mask: Mask | None = None,
) -> Numbers:
    """Energy of the error at harmonics of the patch over that at neighbouring wavenumbers, best 1.

    An error of zero has no imprint: 1. One that repeats exactly with the patches is infinite.
    Invariant to the unit of the field and, around a periodic axis, to its translation.

    Args:
        prediction: What a model gave.
        target: What the solver gave.
        axes: The space axes.
        patch: Points of a patch along every axis, at least 2.
        mask: True where the fields are defined; the error is zero outside.

    Raises:
        InputError: Shapes that differ, a patch of one point, or no axis with enough patches.
    """
    if patch < 2:
        raise InputError(f"a patch of {patch} points leaves no pattern; give one of at least 2")
    error = difference(prediction, target, mask)
    counted = [(dim, axis) for dim, axis in enumerate(axes, 3) if _reach(axis, patch)]
    if not counted:
        sizes = ", ".join(f"{axis.name}: {len(axis.points)}" for axis in axes)
        raise InputError(
            f"patches of {patch} points are too few along every axis ({sizes}) to tell an imprint"
        )
    parts = [_along(error, axis, dim, patch) for dim, axis in counted]
    at, around = (torch.stack(column).sum(0) for column in zip(*parts, strict=True))
    return torch.where(at == around, 1.0, at / around)


def enough(axes: Sequence[Axis], patch: int) -> bool:
    """Whether any axis holds enough patches to tell an imprint."""
    return patch > 1 and any(_reach(axis, patch) for axis in axes)


def _reach(axis: Axis, patch: int) -> int:
    """Distance of the neighbours of a harmonic, 0 where there are too few patches."""
    points = len(axis.points)
    reach = 1 if axis.periodic and points % patch == 0 else 2
    return reach if points // patch >= 2 * reach + 2 else 0


def _along(error: Frames, axis: Axis, dim: int, patch: int) -> tuple[Tensor, Tensor]:
    """Energy at the harmonics along one axis, and what the neighbours make one expect."""
    reach = _reach(axis, patch)
    patches = len(axis.points) // patch
    lines = error.movedim(dim, -1)[..., : patches * patch].unsqueeze(3).flatten(3, -2)
    if reach == 2:
        lines = lines * torch.hann_window(lines.shape[-1], dtype=lines.dtype, device=lines.device)
    modes = torch.fft.fft(lines)
    energy = (modes.real**2 + modes.imag**2).mean(3)
    harmonics = patches * torch.arange(1, patch // 2 + 1, device=lines.device)
    low, high = energy[..., harmonics - reach], energy[..., (harmonics + reach) % lines.shape[-1]]
    return energy[..., harmonics].sum(-1), (low.sqrt() * high.sqrt()).sum(-1)
