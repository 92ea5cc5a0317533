"""Gray-Scott: a substance A that is fed, and B that consumes it, copies itself and is removed.

    ∂a/∂t = D_a Δa - a b² + F (1 - a)
    ∂b/∂t = D_b Δb + a b² - (F + K) b    on [0, 1)², periodic,

with feed rate F and kill rate K.
"""

import equinox as eqx
import exponax as ex
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from mpp.data.periodic import rollout
from mpp.data.system import System


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from round seeds of B at random places in pure A."""
    drawn = system.draw(rng)
    while not _lives(system, **drawn):
        drawn = system.draw(rng)
    initial = _seeds(system, resolution, rng)
    numbers = {name: jnp.asarray(value) for name, value in drawn.items()}
    return system.sample(_solve(system, jnp.asarray(initial, "float32"), numbers), drawn)


def _lives(system: System, feed: float, kill: float) -> bool:
    band = system.constants["band"]
    least = np.interp(feed, band["feed"], band["least_kill"])
    most = np.interp(feed, band["feed"], band["most_kill"])
    return bool(least <= kill <= most)


def _seeds(system: System, resolution: int, rng: np.random.Generator) -> Float[np.ndarray, "2 x y"]:
    points = system.points(resolution)
    count = int(rng.integers(*system.constants["seeds"], endpoint=True))
    amount = np.zeros((resolution, resolution))
    for centre, width in zip(
        rng.uniform(size=(count, 2)), rng.uniform(0.03, 0.07, count), strict=True
    ):
        x, y = ((points - middle + 0.5) % 1 - 0.5 for middle in centre)
        amount = np.maximum(amount, np.exp(-(x[:, None] ** 2 + y[None, :] ** 2) / (2 * width**2)))
    return np.stack([1 - 0.5 * amount, 0.3 * amount])


@eqx.filter_jit
def _solve(
    system: System, initial: Float[Array, "2 x y"], numbers: dict[str, Array]
) -> Float[Array, "frame 2 x y"]:
    stepper = ex.stepper.reaction.GrayScott(
        2,
        system.extent,
        initial.shape[-1],
        system.step,
        diffusivity_1=system.constants["diffusivity_a"],
        diffusivity_2=system.constants["diffusivity_b"],
        feed_rate=numbers["feed"],
        kill_rate=numbers["kill"],
        # Diffusion damps the highest modes by itself; to cut half of them off squares the rings.
        dealiasing_fraction=1.0,
    )
    return rollout(system, stepper, initial)
