"""Euler: a gas without friction, in which sound, shocks, vortices and entropy move together.

    ∂ρ/∂t + ∇·(ρ u) = 0
    ∂(ρ u)/∂t + ∇·(ρ u ⊗ u) + ∇p = 0
    ∂E/∂t + ∇·((E + p) u) = 0,    E = p/(γ - 1) + ρ|u|²/2    on [0, 1)², periodic,

for an ideal gas of adiabatic index γ = 1.4.
"""

import numpy as np
import xarray as xr
from clawpack import riemann
from jaxtyping import Float

from mpp.data.system import System
from mpp.data.volumes import rollout
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
    constants = {"gamma": gamma, "gamma1": gamma - 1}
    conserved = _conserved(initial[None], gamma)[0]
    frames = rollout(system, riemann.euler_4wave_2D, conserved, constants)
    return system.sample(_primitive(frames, gamma), drawn)


def _conserved(
    primitive: Float[np.ndarray, "frame 4 x y"], gamma: float
) -> Float[np.ndarray, "frame 4 x y"]:
    density, u, v, pressure = np.moveaxis(primitive, 1, 0)
    energy = pressure / (gamma - 1) + density * (u**2 + v**2) / 2
    return np.stack([density, density * u, density * v, energy], axis=1)


def _primitive(
    conserved: Float[np.ndarray, "frame 4 x y"], gamma: float
) -> Float[np.ndarray, "frame 4 x y"]:
    density, momentum_x, momentum_y, energy = np.moveaxis(conserved, 1, 0)
    kinetic = (momentum_x**2 + momentum_y**2) / (2 * density)
    pressure = (gamma - 1) * (energy - kinetic)
    return np.stack([density, momentum_x / density, momentum_y / density, pressure], axis=1)
