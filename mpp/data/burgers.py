"""What the Burgers generators share: the equation along one to three axes, and waves to start from.

    ∂u/∂t + (u·∇)u = ν Δu    periodic,

for a velocity u of as many components as there are axes.
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


def burgers(
    system: System, velocity: Float[np.ndarray, "component *space"], viscosity: float
) -> Float[np.ndarray, "frame component *space"]:
    """The frames that a system stores, by exponential time differencing in single precision.

    Args:
        system: Its ``step`` is made shorter on a grid finer than its default.
        velocity: Velocity at the start.
        viscosity: ν.
    """
    initial = jnp.asarray(velocity, "float32")
    return np.asarray(_solve(system, initial, jnp.asarray(viscosity)))


def waves(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from independent random smooth components of a drawn root mean square."""
    drawn = system.draw(rng)
    modes, axes = system.constants["modes"], len(system.fields)
    initial = [random_series(rng, resolution, modes, -1, axes) for _ in system.fields]
    velocity = drawn["initial_speed"] * np.stack(initial).astype("float32")
    return system.sample(burgers(system, velocity, drawn["viscosity"]), drawn)


@eqx.filter_jit
def _solve(
    system: System, velocity: Float[Array, "component *space"], viscosity: Float[Array, ""]
) -> Float[Array, "frame component *space"]:
    points = velocity.shape[-1]
    step = system.courant_step(points)
    stepper = ex.stepper.Burgers(
        len(velocity),
        system.extent,
        points,
        step,
        diffusivity=viscosity,  # pyright: ignore[reportArgumentType]  # a traced number
    )
    return rollout(system, stepper, velocity)
