r"""The scores of PDEBench as its released code computes them, to compare with published numbers.

How they differ from the scores of the same kind here, with :math:`e` the error, :math:`\langle\cdot
\rangle` the mean over all points and :math:`\overline{\,\cdot\,}` that over samples:

- ``rmse`` :math:`\overline{\sqrt{\langle e^2\rangle}}`: the same;
- ``nrmse`` :math:`\overline{\sqrt{\langle e^2\rangle/\langle t^2\rangle}}`: without a floor, so
  that a field which is zero somewhere makes it infinite;
- ``crmse`` :math:`\sqrt{\overline{(\langle p\rangle-\langle t\rangle)^2}}`: `drift` before it is
  made relative, and the root of the mean square over samples, not the mean;
- ``brmse``: over the outermost points of every side together, periodic sides included, corners
  counted once for each side that they are on; `side_rmse` is over a strip at each side that is not
  periodic;
- ``frmse_low``, ``frmse_mid``, ``frmse_high``: the modulus of the Fourier coefficients of the error
  divided by the number of points, in bins of the wavenumber in waves per axis, rounded down; root
  of the mean square over samples in each bin, then the mean over the bins 0 to 3, 4 to 11 and from
  12 on. In two and three dimensions only modes with all wavenumbers below half the points and not
  negative are seen, one quadrant or octant, and none beyond the smallest half. `band_nrmse` sees
  all modes, is relative, and its bands scale with the grid. A length of 1 along every axis is
  assumed, and periodic fields;
- ``max_error``: the largest over points and samples, not the mean over samples of the largest.

The paper's text writes fRMSE as the root of a sum over the band divided by its bins; the code,
whose numbers are published, takes the mean of roots, and so do we. In three dimensions that code
adds all fields up in ``brmse``; here every field stays by itself. Masks and cell sizes are not
known to these definitions.

Source: Takamoto et al., PDEBench (NeurIPS Datasets and Benchmarks 2022): its metrics and its code.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mpp.metrics.moments import Frames, Numbers, space_mean
from mpp.metrics.scores import difference

LOW, HIGH = 4, 12
"""Waves along an axis at which the middle and the high band of the Fourier error start."""
NAMES = ("rmse", "nrmse", "crmse", "brmse", "frmse_low", "frmse_mid", "frmse_high", "max_error")


def __getattr__(name: str) -> Any:
    """`PDEBench`, imported when it is first used: torchmetrics takes seconds to read."""
    if name != "PDEBench":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mpp.metrics.pdebench_batches import PDEBench

    return PDEBench


def of_samples(prediction: Frames, target: Frames) -> dict[str, Numbers]:
    """Every score of every sample by itself, as a set of that sample alone.

    The mean over samples is the published number for ``rmse``, ``nrmse`` and ``brmse``, the root of
    the mean square for ``crmse`` and the largest for ``max_error``; for the Fourier error only
    `PDEBench` or `of_set` give it, because a root is taken over samples before a mean over bins.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    parts = parts_of(prediction, target)
    spectrum = parts.pop("spectrum")
    return {**parts, **bands_of(spectrum.sqrt())}


def of_set(prediction: Frames, target: Frames) -> dict[str, Float[Tensor, "time field"]]:
    """The published numbers of a set of samples, by lead time and field.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    from mpp.metrics.pdebench_batches import PDEBench

    metric = PDEBench()
    metric.update(prediction, target)
    return metric.compute()


def parts_of(prediction: Frames, target: Frames) -> dict[str, Tensor]:
    """What every score needs of each sample."""
    error = difference(prediction, target, None)
    square = space_mean(error**2)
    return {
        "rmse": square.sqrt(),
        "nrmse": (square / space_mean(target.double() ** 2)).sqrt(),
        "crmse": space_mean(error).abs(),
        "brmse": _outermost(error).sqrt(),
        "spectrum": _spectrum(error),
        "max_error": error.abs().flatten(3).amax(-1),
    }


def _outermost(error: Frames) -> Numbers:
    """Mean square over the outermost points of all sides."""
    parts = [
        error.select(dim, end).reshape(*error.shape[:3], -1)
        for dim in range(3, error.ndim)
        for end in (0, -1)
    ]
    return (torch.cat(parts, -1) ** 2).mean(-1)


def _spectrum(error: Frames) -> Float[Tensor, "sample time field bin"]:
    """Squared coefficients of the modes that are seen, by whole waves, over squared points."""
    sizes = error.shape[3:]
    if len(sizes) == 1:
        modes = torch.fft.rfft(error)
        return (modes.real**2 + modes.imag**2) / sizes[0] ** 2
    halves = [size // 2 for size in sizes]
    modes = torch.fft.fftn(error, dim=list(range(3, error.ndim)))
    modes = modes[(..., *(slice(half) for half in halves))]
    squares = torch.zeros(())
    for half in halves:
        squares = squares[..., None] + torch.arange(half, dtype=torch.float64) ** 2
    index = squares.sqrt().floor().long().flatten()
    seen = index < min(halves)
    energy = (modes.real**2 + modes.imag**2).flatten(3)[..., seen]
    bins = torch.zeros(*energy.shape[:3], min(halves), dtype=energy.dtype, device=energy.device)
    return bins.index_add_(3, index[seen].to(energy.device), energy) / error[0, 0, 0].numel() ** 2


def bands_of(spectrum: Float[Tensor, "... bin"]) -> Mapping[str, Tensor]:
    """Mean over the bins of each band; NaN where the grid has none of them."""
    bounds = {"low": (0, LOW), "mid": (LOW, HIGH), "high": (HIGH, None)}
    return {f"frmse_{name}": spectrum[..., a:b].mean(-1) for name, (a, b) in bounds.items()}
