"""Decaying turbulence: eddies that merge while they die away, and stretch a dye into filaments.

    ∂u/∂t + (u·∇)u = -∇p + ν Δu,    ∇·u = 0,
    ∂s/∂t + u·∇s = ν/Sc Δs    on [0, 2π)², periodic,

with viscosity ν and Schmidt number Sc, solved for the vorticity and the dye s together.
"""

import equinox as eqx
import exponax as ex
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Complex, Float

from mpp.data.periodic import rollout, velocity
from mpp.data.system import System
from mpp.data.waves import random_series


class Stirring(ex.nonlin_fun.BaseNonlinearFun):
    """-(u·∇)ω and -(u·∇)s, with the velocity u that belongs to the vorticity ω."""

    gradient: Complex[Array, "2 x y_mode"]

    def __init__(self, points: int, gradient: Complex[Array, "2 x y_mode"]) -> None:
        self.gradient = gradient
        super().__init__(2, points, dealiasing_fraction=2 / 3)

    def __call__(self, u_hat: Complex[Array, "2 x y_mode"]) -> Complex[Array, "2 x y_mode"]:
        """Both terms, for the modes of vorticity and dye."""
        laplace = ex.spectral.build_laplace_operator(self.gradient)[0]
        potential = u_hat[0] / jnp.where(laplace == 0, 1, laplace)
        flow = self.ifft(jnp.stack([self.gradient[1] * potential, -self.gradient[0] * potential]))
        slopes = self.ifft(u_hat[:, None] * self.gradient)
        return -self.fft(jnp.sum(flow * slopes, axis=1))


class DyedFlow(ex.BaseStepper):
    """Vorticity and dye, each with its own diffusivity, by ETDRK4."""

    diffusivities: Float[Array, "2"]

    def __init__(
        self, extent: float, points: int, step: float, diffusivities: Float[Array, "2"]
    ) -> None:
        self.diffusivities = diffusivities
        super().__init__(2, extent, points, step, num_channels=2, order=4)

    def _build_linear_operator(
        self, derivative_operator: Complex[Array, "2 x y_mode"]
    ) -> Complex[Array, "2 x y_mode"]:
        laplace = ex.spectral.build_laplace_operator(derivative_operator)
        return self.diffusivities[:, None, None] * laplace

    def _build_nonlinear_fun(self, derivative_operator: Complex[Array, "2 x y_mode"]) -> Stirring:
        return Stirring(self.num_points, derivative_operator)


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from random eddies of a given root mean square speed, and random dye."""
    drawn = system.draw(rng)
    modes = (system.constants["flow_modes"], system.constants["dye_modes"])
    initial = np.stack([random_series(rng, resolution, most) for most in modes])
    diffusivities = drawn["viscosity"] * np.array([1, 1 / drawn["schmidt_number"]])
    frames = _solve(system, jnp.asarray(initial, "float32"), jnp.asarray(diffusivities, "float32"))
    return system.sample(frames, drawn)


@eqx.filter_jit
def _solve(
    system: System, initial: Float[Array, "2 x y"], diffusivities: Float[Array, "2"]
) -> Float[Array, "frame 3 x y"]:
    vorticity, dye = initial[:1], initial[1:]
    speed = jnp.sqrt(jnp.mean(jnp.sum(velocity(vorticity, system.extent) ** 2, axis=0)))
    vorticity *= system.constants["initial_speed"] / speed
    points = initial.shape[-1]
    stepper = DyedFlow(system.extent, points, system.courant_step(points), diffusivities)
    frames = rollout(system, stepper, jnp.concatenate([vorticity, dye]))
    flow = jax.vmap(lambda frame: velocity(frame[:1], system.extent))(frames)
    return jnp.concatenate([flow, frames[:, 1:]], axis=1)
