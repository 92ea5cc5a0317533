"""Euler: a gas without friction, in which sound, shocks, vortices and entropy move together.

    ∂ρ/∂t + ∇·(ρ u) = 0
    ∂(ρ u)/∂t + ∇·(ρ u ⊗ u) + ∇p = 0
    ∂E/∂t + ∇·((E + p) u) = 0,    E = p/(γ - 1) + ρ|u|²/2    on [0, 1)², periodic,

for an ideal gas of adiabatic index γ = 1.4.
"""

import numpy as np
import xarray as xr

from mpp.data.gas import euler
from mpp.data.system import System
from mpp.data.waves import random_series


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from random density, velocity and pressure.

    The velocity's root mean square is the Mach number times the speed of sound at density and
    pressure 1, which the initial fields vary around.
    """
    drawn = system.draw(rng)
    gamma, contrast = (system.constants[name] for name in ("adiabatic_index", "contrast"))
    modes = system.constants["modes"]
    waves = [random_series(rng, resolution, modes, slope=-1) for _ in system.fields]
    speed = drawn["mach_number"] * np.sqrt(gamma / 2)  # √½ for each of the two components
    density, pressure = np.exp(contrast * waves[0]), np.exp(contrast * waves[3])
    initial = np.stack([density, speed * waves[1], speed * waves[2], pressure])
    return system.sample(euler(system, initial), drawn)
