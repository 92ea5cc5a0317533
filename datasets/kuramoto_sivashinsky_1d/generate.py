"""Kuramoto-Sivashinsky on a line: the slope of a wrinkling flame front, chaotic in space and time.

    ∂u/∂t + u ∂u/∂x + ∂²u/∂x² + κ ∂⁴u/∂x⁴ = 0    on [0, 128), periodic,

for the slope u of the front, with stiffness κ. In units of √κ the line has the length 128/√κ:
varying κ is varying the size of the domain.
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
    """One trajectory from random waves, stored once the chaos has developed."""
    drawn = system.draw(rng)
    series = random_series(rng, resolution, system.constants["modes"], axes=1)
    initial = jnp.asarray(system.constants["initial_speed"] * series[None], "float32")
    return system.sample(_solve(system, initial, jnp.asarray(drawn["stiffness"])), drawn)


@eqx.filter_jit
def _solve(
    system: System, initial: Float[Array, "1 x"], stiffness: Float[Array, ""]
) -> Float[Array, "frame 1 x"]:
    stepper = ex.stepper.KuramotoSivashinskyConservative(
        1,
        system.extent,
        initial.shape[-1],
        system.step,
        fourth_order_scale=stiffness,
        single_channel=True,
        conservative=True,
    )
    return rollout(system, stepper, initial)
