"""Kuramoto-Sivashinsky: the wrinkling of a flame front, chaotic in space and time.

    ∂u/∂t + ½ |∇u|² - mean(½ |∇u|²) + Δu + κ Δ²u = 0    on [0, 64)², periodic,

for the displacement u of the front about its mean, with stiffness κ. In units of √κ the square has
sides 64/√κ: varying κ is varying the size of the domain.
"""

import equinox as eqx
import exponax as ex
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Complex, Float

from mpp.data.periodic import rollout
from mpp.data.system import System
from mpp.data.waves import random_series


class IsotropicKuramotoSivashinsky(ex.stepper.KuramotoSivashinsky):
    """Exponax's equation with Δ² = (∂²/∂x² + ∂²/∂y²)² in place of its ∂⁴/∂x⁴ + ∂⁴/∂y⁴."""

    def _build_linear_operator(
        self, derivative_operator: Complex[Array, "2 x y_mode"]
    ) -> Complex[Array, "1 x y_mode"]:
        laplace = ex.spectral.build_laplace_operator(derivative_operator)
        return -self.second_order_scale * laplace - self.fourth_order_scale * laplace**2


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from random waves, stored once the chaos has developed."""
    drawn = system.draw(rng)
    initial = jnp.asarray(random_series(rng, resolution, modes=8)[None], "float32")
    return system.sample(_solve(system, initial, jnp.asarray(drawn["stiffness"])), drawn)


@eqx.filter_jit
def _solve(
    system: System, initial: Float[Array, "1 x y"], stiffness: Float[Array, ""]
) -> Float[Array, "frame 1 x y"]:
    stepper = IsotropicKuramotoSivashinsky(
        2, system.extent, initial.shape[-1], system.step, fourth_order_scale=stiffness
    )
    return rollout(system, stepper, initial)
