"""FitzHugh-Nagumo: an activator that feeds itself and its inhibitor, which spreads faster.

    ∂u/∂t = D_u Δu + u - u³ - k - v
    ∂v/∂t = D_v Δv + u - v    on [-1, 1]², no flux through the walls,

with diffusivities D_u, D_v and threshold k: the equations of PDEBench's diffusion-reaction
set and its method, finite volumes in space and adaptive Runge-Kutta of order 4(5) in time.
"""

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.fft import idctn
from scipy.integrate import solve_ivp

from mpp.data.system import System
from mpp.errors import InputError


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from two independent random smooth fields."""
    drawn = system.draw(rng)
    initial = np.stack([_waves(rng, resolution, system.constants["modes"]) for _ in range(2)])
    spacing = system.extent / resolution

    def change(time: float, state: Float[np.ndarray, " unknown"]) -> Float[np.ndarray, " unknown"]:
        u, v = state.reshape(initial.shape)
        du = drawn["diffusivity_activator"] * _laplacian(u, spacing) + u - u**3 - v
        dv = drawn["diffusivity_inhibitor"] * _laplacian(v, spacing) + u - v
        return np.stack([du - drawn["threshold"], dv]).ravel()

    solution = solve_ivp(
        change,
        (0, system.times[-1]),
        initial.ravel(),
        t_eval=system.times,
        rtol=system.step,
        atol=system.step,
    )
    if not solution.success:
        raise InputError(f"{system.name}: the solver gave up with {drawn}: {solution.message}")
    return system.sample(solution.y.T.reshape(-1, *initial.shape), drawn)


def _waves(rng: np.random.Generator, resolution: int, modes: int) -> Float[np.ndarray, "x y"]:
    """Random cosines, whose slope is zero at the walls, of mean square 1."""
    spectrum = np.zeros((resolution, resolution))
    spectrum[:modes, :modes] = rng.normal(size=(modes, modes))
    spectrum[0, 0] = 0
    field = idctn(spectrum)
    return field / np.sqrt(np.mean(field**2))


def _laplacian(values: Float[np.ndarray, "x y"], spacing: float) -> Float[np.ndarray, "x y"]:
    """Sum of the fluxes through a cell's four faces; the walls' faces let nothing through."""
    total = np.zeros_like(values)
    for axis in (0, 1):
        flux = np.diff(values, axis=axis) / spacing**2
        total += np.diff(flux, axis=axis, prepend=0, append=0)
    return total
