"""The wave equation: waves that cross each other unchanged, without loss or dispersion.

    ∂u/∂t = v,    ∂v/∂t = c² Δu    on [0, 1)², periodic,

for the displacement u of a membrane and its rate v, with wave speed c.
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
    """One trajectory from independent random waves, which hold as much energy in u as in v."""
    drawn = system.draw(rng)
    modes = system.constants["modes"]
    displacement, rate = (random_series(rng, resolution, modes, slope) for slope in (-1, 0))
    number = 2 * np.pi / system.extent * np.fft.fftfreq(resolution, 1 / resolution)
    steepness = np.fft.fft2(displacement) * np.hypot(number[:, None], number)
    rate = rate * drawn["wave_speed"] * np.sqrt(np.mean(np.abs(steepness) ** 2)) / resolution
    initial = jnp.asarray(np.stack([displacement, rate]), "float32")
    return system.sample(_solve(system, initial, jnp.asarray(drawn["wave_speed"])), drawn)


@eqx.filter_jit
def _solve(
    system: System, initial: Float[Array, "2 x y"], wave_speed: Float[Array, ""]
) -> Float[Array, "frame 2 x y"]:
    stepper = ex.stepper.Wave(
        2, system.extent, initial.shape[-1], system.step, speed_of_sound=wave_speed
    )
    return rollout(system, stepper, initial)
