"""Cahn-Hilliard: a mixture that separates into two phases, whose domains then coarsen.

    ∂c/∂t = Δ(c³ - c - ε² Δc)    on [0, 64)², periodic,

for the concentration c, near -1 in one phase and near 1 in the other, with interfaces of shape
tanh(x / (√2 ε)).
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
    """One trajectory from small random waves about the mean, stored while the phases part."""
    drawn = system.draw(rng)
    waves = 0.1 * random_series(rng, resolution, system.constants["modes"])[None]
    initial = jnp.asarray(drawn["mean_concentration"] + waves, "float32")
    frames = _solve(system, initial, jnp.asarray(drawn["interface_width"] ** 2))
    return system.sample(frames, drawn)


@eqx.filter_jit
def _solve(
    system: System, initial: Float[Array, "1 x y"], gradient_energy: Float[Array, ""]
) -> Float[Array, "frame 1 x y"]:
    stepper = ex.stepper.reaction.CahnHilliard(
        2, system.extent, initial.shape[-1], system.step, diffusivity=1.0, gamma=gradient_energy
    )
    return rollout(system, stepper, initial)
