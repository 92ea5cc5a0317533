"""What the pseudo-spectral generators share: smooth random fields, and stepping with exponax."""

import exponax as ex
import numpy as np
from jaxtyping import Array, Float

from mpp.data.system import System


def random_series(
    rng: np.random.Generator, resolution: int, modes: int, slope: float = 0.0
) -> Float[np.ndarray, "x y"]:
    """A random periodic field of mean 0 and mean square 1, the same at every resolution.

    It is the real part of the Fourier series sum_k a_k exp(2 pi i k.x / L) over the wavenumbers
    0 < |k| <= modes, with independent complex normal a_k of standard deviation |k|^slope.

    Args:
        rng: Source of the coefficients.
        resolution: Points along each axis, more than twice ``modes``.
        modes: Largest wavenumber, in waves per side of the domain.
        slope: Exponent of the coefficients' spread; negative favours large structures.
    """
    span = np.arange(-modes, modes + 1)
    length = np.hypot(span[:, None], span[None, :])
    spread = np.where((length > 0) & (length <= modes), np.maximum(length, 1) ** slope, 0)
    parts = rng.normal(size=(2, *length.shape)) * spread
    spectrum = np.zeros((resolution, resolution), dtype=complex)
    spectrum[np.ix_(span % resolution, span % resolution)] = parts[0] + 1j * parts[1]
    field = np.fft.ifft2(spectrum).real
    return field / np.sqrt(np.mean(field**2))


def rollout(
    system: System, stepper: ex.BaseStepper, initial: Float[Array, "field x y"]
) -> Float[Array, "frame field x y"]:
    """The frames that a system stores, stepped in Fourier space between them."""
    start = ex.RepeatedStepper(stepper, system.substeps(system.burn_in))(initial)
    frame = ex.RepeatedStepper(stepper, system.substeps(system.interval))
    frames = ex.rollout(frame, system.frames - 1, include_init=True)
    return frames(start)  # pyright: ignore[reportCallIssue]  # it takes no aux unless asked to
