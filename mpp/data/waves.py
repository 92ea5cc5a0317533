"""Smooth random periodic fields, to start a solver from."""

from functools import reduce

import numpy as np
from jaxtyping import Float


def random_series(
    rng: np.random.Generator, resolution: int, modes: int, slope: float = 0.0, axes: int = 2
) -> Float[np.ndarray, "*space"]:
    """A random periodic field of mean 0 and mean square 1, the same at every resolution.

    It is the real part of the Fourier series sum_k a_k exp(2 pi i k.x / L) over the wavenumbers
    0 < |k| <= modes, with independent complex normal a_k of standard deviation |k|^slope.

    Args:
        rng: Source of the coefficients.
        resolution: Points along each axis, more than twice ``modes``.
        modes: Largest wavenumber, in waves per side of the domain.
        slope: Exponent of the coefficients' spread; negative favours large structures.
        axes: Number of space axes.
    """
    span = np.arange(-modes, modes + 1)
    length = reduce(np.hypot, np.ix_(*[span] * axes), np.zeros(()))
    spread = np.where((length > 0) & (length <= modes), np.maximum(length, 1) ** slope, 0)
    parts = rng.normal(size=(2, *length.shape)) * spread
    spectrum = np.zeros((resolution,) * axes, dtype=complex)
    spectrum[np.ix_(*[span % resolution] * axes)] = parts[0] + 1j * parts[1]
    field = np.fft.ifftn(spectrum).real
    return field / np.sqrt(np.mean(field**2))
