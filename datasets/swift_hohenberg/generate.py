"""Swift-Hohenberg: stripes and hexagons that grow out of noise, compete and align.

    ∂φ/∂t = r φ - (1 + Δ)² φ + g φ² - φ³    on [0, 12π)², periodic,

with growth rate r and quadratic coefficient g; g = 0 gives stripes, large g hexagons.
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
    """One trajectory from random waves."""
    drawn = system.draw(rng)
    modes = system.constants["modes"]
    initial = jnp.asarray(0.1 * random_series(rng, resolution, modes)[None], "float32")
    numbers = {name: jnp.asarray(value) for name, value in drawn.items()}
    return system.sample(_solve(system, initial, numbers), drawn)


@eqx.filter_jit
def _solve(
    system: System, initial: Float[Array, "1 x y"], numbers: dict[str, Array]
) -> Float[Array, "frame 1 x y"]:
    stepper = ex.stepper.reaction.SwiftHohenberg(
        2,
        system.extent,
        initial.shape[-1],
        system.step,
        reactivity=numbers["growth_rate"],
        polynomial_coefficients=(0.0, 0.0, numbers["quadratic_coefficient"], -1.0),
    )
    return rollout(system, stepper, initial)
