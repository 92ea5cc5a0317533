"""Shallow water over a beach: humps of water spread, run up a slope, break and come back.

    ∂h/∂t + ∇·(h u) = 0
    ∂(h u)/∂t + ∇·(h u ⊗ u) + g ∇(h²/2) = -g h ∇b    on [0, 1]²,

for the depth of water h over the bottom b < 0, open to the sea at x = 0, walls elsewhere; stored is
the elevation h + b of the surface over its level at rest.
"""

import numpy as np
import xarray as xr
from clawpack import riemann
from jaxtyping import Float

from mpp.data.system import System
from mpp.data.volumes import rollout
from mpp.data.waves import random_series
from mpp.errors import InputError


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from water at rest, with humps on the deep side."""
    drawn = system.draw(rng)
    points = system.points(resolution)
    bottom = -_depth(system, points, rng, drawn)
    elevation = np.zeros_like(bottom)
    for _ in range(int(drawn["humps"])):
        x, y = rng.uniform(0.15, drawn["foot"]), rng.uniform(0.15, 0.85)
        distance = np.hypot(points[:, None] - x, points[None, :] - y)
        elevation += drawn["hump_height"] * np.exp(-((distance / drawn["hump_width"]) ** 2))
    initial = np.stack([elevation - bottom, 0 * bottom, 0 * bottom])
    constants = {"grav": system.constants["gravity"], "dry_tolerance": 0.0, "sea_level": 0.0}
    frames = rollout(system, riemann.shallow_bathymetry_fwave_2D, initial, constants, bottom[None])
    height, momentum = frames[:, :1], frames[:, 1:]
    if not (height > 0).all():
        raise InputError(
            f"{system.name}: the bottom falls dry with {drawn}; make shore_depth larger"
        )
    values = np.concatenate([height + bottom, momentum / height], axis=1)
    return system.sample(values, drawn, {"bathymetry": bottom})


def _depth(
    system: System,
    points: Float[np.ndarray, " point"],
    rng: np.random.Generator,
    drawn: dict[str, float],
) -> Float[np.ndarray, "x y"]:
    """Depth at rest: 1 up to the foot of a slope that ends at x = 1, times exp(relief)."""
    size = len(points)
    waves = random_series(rng, 2 * size, system.constants["modes"], slope=-1)[:size, :size]
    climb = np.clip((points - drawn["foot"]) / (1 - drawn["foot"]), 0, 1)
    slope = 1 - (1 - drawn["shore_depth"]) * climb
    return slope[:, None] * np.exp(drawn["relief"] * waves)
