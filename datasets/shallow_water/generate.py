"""Shallow water: a round column of water collapses into a ring wave that leaves the square.

    ∂h/∂t + ∇·(h u) = 0
    ∂(h u)/∂t + ∇·(h u ⊗ u) + g ∇(h²/2) = 0    on [-2.5, 2.5]², open sides,

with gravity g = 1 over a flat bottom: PDEBench's radial dam break and its solver.
"""

import numpy as np
import xarray as xr
from clawpack import riemann
from einops import reduce
from jaxtyping import Float

from mpp.data.system import System
from mpp.data.volumes import rollout


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from still water that is higher inside a circle."""
    drawn = system.draw(rng)
    outside = system.constants["outer_height"]
    inside = _share_inside(system, resolution, **drawn)
    height = outside + (drawn["dam_height"] - outside) * inside
    conserved = np.stack([height, 0 * height, 0 * height])
    constants = {"grav": system.constants["gravity"]}
    frames = rollout(system, riemann.shallow_roe_with_efix_2D, conserved, constants)
    height, momentum = frames[:, :1], frames[:, 1:]
    return system.sample(np.concatenate([height, momentum / height], axis=1), drawn)


def _share_inside(
    system: System,
    resolution: int,
    radius: float,
    centre_x: float,
    centre_y: float,
    dam_height: float,
) -> Float[np.ndarray, "x y"]:
    """The share of every cell that lies inside the dam, from 8 x 8 points in it."""
    points = system.points(8 * resolution)
    distance = np.hypot(points[:, None] - centre_x, points[None, :] - centre_y)
    return reduce((distance < radius).astype(float), "(x i) (y j) -> x y", "mean", i=8, j=8)
