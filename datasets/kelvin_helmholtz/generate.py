"""Kelvin-Helmholtz: two shear layers of a gas without friction roll up into billows and pair.

    ∂ρ/∂t + ∇·(ρ u) = 0
    ∂(ρ u)/∂t + ∇·(ρ u ⊗ u) + ∇p = 0
    ∂E/∂t + ∇·((E + p) u) = 0,    E = p/(γ - 1) + ρ|u|²/2    on [0, 1)², periodic,

for an ideal gas of adiabatic index γ = 1.4. The streams flow at speeds 1 and -1; the Mach number
sets the pressure.
"""

import numpy as np
import xarray as xr
from jaxtyping import Float

from mpp.data.gas import euler
from mpp.data.system import System


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from a stream along x between two opposite ones, perturbed along y.

    The profile between the streams is tanh(distance / thickness); the density follows it from 1
    outside to ``density_ratio`` inside. The pressure is such that the outer streams, of density
    and speed 1, have the Mach number.
    """
    drawn = system.draw(rng)
    points = system.points(resolution)
    thickness, ratio = drawn["thickness"], drawn["density_ratio"]
    low, high = (
        system.domain[0] + system.extent * rng.uniform(*span) for span in ((0.2, 0.3), (0.7, 0.8))
    )
    inside = (np.tanh((points - low) / thickness) - np.tanh((points - high) / thickness)) / 2
    velocity_y = sum(
        _ripple(system, points, rng) * np.exp(-(((points - edge) / (4 * thickness)) ** 2))
        for edge in (low, high)
    )
    shape = (resolution, resolution)
    density = np.broadcast_to(1 + (ratio - 1) * inside, shape)
    velocity_x = np.broadcast_to(2 * inside - 1, shape)
    pressure = np.full(shape, 1 / (system.constants["adiabatic_index"] * drawn["mach_number"] ** 2))
    initial = np.stack([density, velocity_x, velocity_y, pressure])
    return system.sample(euler(system, initial), drawn)


def _ripple(
    system: System, points: Float[np.ndarray, " x"], rng: np.random.Generator
) -> Float[np.ndarray, "x 1"]:
    """A random series of a few waves along x, whose root mean square is the perturbation."""
    modes = np.arange(1, system.constants["modes"] + 1)
    parts = rng.normal(size=modes.size) + 1j * rng.normal(size=modes.size)
    parts *= system.constants["perturbation"] / np.sqrt(np.sum(np.abs(parts) ** 2) / 2)
    waves = np.exp(2j * np.pi * modes * points[:, None] / system.extent)
    return np.real(waves @ parts)[:, None]
