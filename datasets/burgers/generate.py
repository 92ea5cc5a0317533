"""Burgers: a velocity that carries itself into steep fronts, which viscosity then wears down.

    ∂u/∂t + (u·∇)u = ν Δu    on [0, 1)², periodic,

for both components of u, with viscosity ν.
"""

import equinox as eqx
import exponax as ex
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from mpp.data.periodic import rollout
from mpp.data.system import System
from mpp.data.waves import random_series


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from two independent random smooth components of a drawn root mean square."""
    drawn = system.draw(rng)
    modes = system.constants["modes"]
    initial = [random_series(rng, resolution, modes, slope=-1) for _ in system.fields]
    velocity = drawn["initial_speed"] * jnp.asarray(np.stack(initial), "float32")
    return system.sample(_solve(system, velocity, jnp.asarray(drawn["viscosity"])), drawn)


@eqx.filter_jit
def _solve(
    system: System, velocity: Float[Array, "2 x y"], viscosity: Float[Array, ""]
) -> Float[Array, "frame 2 x y"]:
    points = velocity.shape[-1]
    step = system.courant_step(points)
    stepper = ex.stepper.Burgers(2, system.extent, points, step, diffusivity=viscosity)
    return rollout(system, stepper, velocity)
