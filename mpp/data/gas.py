"""What the generators of a gas without friction share: its equations, and quadrants to start from.

    ∂ρ/∂t + ∇·(ρ u) = 0
    ∂(ρ u)/∂t + ∇·(ρ u ⊗ u) + ∇p = 0
    ∂E/∂t + ∇·((E + p) u) = 0,    E = p/(γ - 1) + ρ|u|²/2

A primitive state is (ρ, u_x, u_y, p), a conserved one (ρ, ρ u_x, ρ u_y, E).
"""

import numpy as np
import xarray as xr
from clawpack import riemann  # pyright: ignore[reportMissingImports]  # it needs gfortran
from jaxtyping import Float

from mpp.data.system import System
from mpp.data.volumes import rollout


def euler(system: System, initial: Float[np.ndarray, "4 x y"]) -> Float[np.ndarray, "frame 4 x y"]:
    """The primitive frames that a system stores, by Roe's solver with an entropy fix.

    Args:
        system: Its constant ``adiabatic_index`` is γ.
        initial: Density, velocity and pressure at the start.
    """
    gamma = system.constants["adiabatic_index"]
    constants = {"gamma": gamma, "gamma1": gamma - 1}
    conserved = _conserved(initial[None], gamma)[0]
    return _primitive(rollout(system, riemann.euler_4wave_2D, conserved, constants), gamma)


def quadrants(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from four constant states that meet at a point.

    The logarithms of the densities and pressures are uniform within ranges whose ends are
    ``density_ratio`` and ``pressure_ratio`` apart; the velocity components are uniform up to
    ``mach_number`` times the speed of sound at density and pressure 1. Cells that the edges of the
    quadrants cut hold averages, of the primitive states.
    """
    drawn = system.draw(rng)
    speed = drawn["mach_number"] * np.sqrt(system.constants["adiabatic_index"])
    density = drawn["density_ratio"] ** rng.uniform(-0.5, 0.5, (1, 2, 2))
    velocity = speed * rng.uniform(-1, 1, (2, 2, 2))
    pressure = drawn["pressure_ratio"] ** rng.uniform(-0.5, 0.5, (1, 2, 2))
    states = np.concatenate([density, velocity, pressure])
    low = [_share_below(system, resolution, drawn[name]) for name in ("centre_x", "centre_y")]
    along_x, along_y = (np.stack([share, 1 - share]) for share in low)
    initial = np.einsum("fij,ix,jy->fxy", states, along_x, along_y)
    return system.sample(euler(system, initial), drawn)


def _share_below(system: System, resolution: int, edge: float) -> Float[np.ndarray, " cell"]:
    """The share of every cell along an axis that lies below ``edge``."""
    low = system.domain[0] + system.extent / resolution * np.arange(resolution)
    return np.clip((edge - low) / (system.extent / resolution), 0, 1)


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
