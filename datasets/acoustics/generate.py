"""Acoustics: pulses of pressure spread through a medium whose density and sound speed vary.

∂p/∂t + ρ c² ∇·u = 0
ρ ∂u/∂t + ∇p = 0    on [0, 1]², walls at the low sides, open at the high ones.
"""

import numpy as np
import xarray as xr
from clawpack import riemann
from jaxtyping import Float

from mpp.data.system import System
from mpp.data.volumes import rollout
from mpp.data.waves import random_series


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from pulses of pressure in a medium at rest."""
    drawn = system.draw(rng)
    density, sound_speed = medium = _medium(system, resolution, rng, drawn)
    points = system.points(resolution)
    pressure = np.zeros((resolution, resolution))
    for _ in range(int(drawn["pulses"])):
        distance = _distance(points, rng.uniform(0.15, 0.85, 2))
        sign = rng.choice([-1, 1])
        pressure += sign * np.exp(-((distance / drawn["pulse_width"]) ** 2))
    initial = np.stack([pressure, 0 * pressure, 0 * pressure])
    frames = rollout(system, riemann.vc_acoustics_2D, initial, {}, medium)
    return system.sample(frames, drawn, {"density": density, "sound_speed": sound_speed})


def _medium(
    system: System, resolution: int, rng: np.random.Generator, drawn: dict[str, float]
) -> Float[np.ndarray, "2 x y"]:
    """Density and sound speed: smooth random maps around 1, and discs where they jump.

    The logarithm of each map has the standard deviation ``contrast``. In each disc both are
    multiplied or divided by factors up to ``inclusion_ratio``.
    """
    modes, ratio = system.constants["modes"], system.constants["inclusion_ratio"]
    waves = [random_series(rng, 2 * resolution, modes, slope=-1) for _ in range(2)]
    logarithm = drawn["contrast"] * np.stack(waves)[:, :resolution, :resolution]
    points = system.points(resolution)
    for _ in range(int(drawn["inclusions"])):
        distance = _distance(points, rng.uniform(0.1, 0.9, 2))
        inside = distance < rng.uniform(*system.constants["inclusion_radius"])
        logarithm += inside * rng.uniform(-np.log(ratio), np.log(ratio), (2, 1, 1))
    return np.exp(logarithm)


def _distance(
    points: Float[np.ndarray, " point"], centre: Float[np.ndarray, "2"]
) -> Float[np.ndarray, "x y"]:
    return np.hypot(points[:, None] - centre[0], points[None, :] - centre[1])
