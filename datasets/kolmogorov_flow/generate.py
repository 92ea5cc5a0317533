"""Kolmogorov flow: turbulence in two dimensions that a steady shear force keeps going.

    ∂u/∂t + (u·∇)u = -∇p + ν Δu - λ u + f sin(k y) e_x,    ∇·u = 0,    on [0, 2π)²,

with viscosity ν, drag λ and forcing wavenumber k, solved for the vorticity.
"""

import equinox as eqx
import exponax as ex
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from mpp.data.periodic import rollout, velocity
from mpp.data.system import System
from mpp.data.waves import random_series


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from a random large-scale flow, stored once the turbulence has developed."""
    drawn = system.draw(rng)
    vorticity = 3 * random_series(rng, resolution, modes=5)[None]
    numbers = {name: jnp.asarray(value) for name, value in drawn.items()}
    return system.sample(_solve(system, jnp.asarray(vorticity, "float32"), numbers), drawn)


@eqx.filter_jit
def _solve(
    system: System, vorticity: Float[Array, "1 x y"], numbers: dict[str, Array]
) -> Float[Array, "frame 2 x y"]:
    # Exponax's force points along -sin(k y), as its vorticity has the opposite of the usual sign.
    stepper = ex.stepper.KolmogorovFlowVorticity(
        2,
        system.extent,
        vorticity.shape[-1],
        system.courant_step(vorticity.shape[-1]),
        diffusivity=numbers["viscosity"],
        injection_mode=numbers["forcing_wavenumber"],
        injection_scale=-system.constants["forcing"],
        drag=-system.constants["drag"],
        order=4,  # order 2 amplifies waves that are carried along without friction
    )
    frames = rollout(system, stepper, vorticity)
    return jax.vmap(lambda frame: velocity(frame, system.extent))(frames)
