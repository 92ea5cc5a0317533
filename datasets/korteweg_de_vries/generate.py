"""Korteweg-de Vries: a soliton that runs through waves, which steepen and break up into more.

    ∂u/∂t + u ∂u/∂x + δ² ∂³u/∂x³ = 0    on [0, 2), periodic,

for the displacement u of a surface, with dispersion δ.
"""

import equinox as eqx
import exponax as ex
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Complex, Float

from mpp.data.periodic import rollout
from mpp.data.system import System
from mpp.data.waves import random_series


class IntegratingFactor(ex.etdrk.BaseETDRK):
    """The classic Runge-Kutta method of order 4 on exp(-Lt) û, in which the linear term is exact.

    Exponax's own methods of order 1 to 4 keep the real parts of their coefficients only (version
    0.2), which is right where L is real, and not here, where it is imaginary.
    """

    half: Complex[Array, "1 mode"]
    nonlinear: ex.nonlin_fun.BaseNonlinearFun

    def __init__(
        self,
        step: float,
        linear: Complex[Array, "1 mode"],
        nonlinear: ex.nonlin_fun.BaseNonlinearFun,
    ) -> None:
        super().__init__(step, linear)
        self.half = jnp.exp(step / 2 * linear)
        self.nonlinear = nonlinear

    def step_fourier(self, u_hat: Complex[Array, "1 mode"]) -> Complex[Array, "1 mode"]:
        """The state one step later."""
        step, half = self.dt, self.half
        first = self.nonlinear(u_hat)
        second = self.nonlinear(half * (u_hat + step / 2 * first))
        third = self.nonlinear(half * u_hat + step / 2 * second)
        fourth = self.nonlinear(half * (half * u_hat + step * third))
        slopes = half * (half * first + 2 * (second + third)) + fourth
        return half * half * u_hat + step / 6 * slopes


class Stepper(ex.stepper.KortewegDeVries):
    """Exponax's equation without its viscous terms, stepped by the method above."""

    def __init__(
        self, extent: float, points: int, step: float, dispersion: Float[Array, ""]
    ) -> None:
        super().__init__(
            1,
            extent,
            points,
            step,
            convection_scale=1.0,
            dispersivity=dispersion**2,
            hyper_diffusivity=0.0,
            single_channel=True,
            conservative=True,
        )
        gradient = ex.spectral.build_derivative_operator(1, extent, points)
        linear = self._build_linear_operator(gradient)
        self._integrator = IntegratingFactor(step, linear, self._build_nonlinear_fun(gradient))


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from a soliton in random waves of a drawn root mean square."""
    drawn = system.draw(rng)
    waves = random_series(rng, resolution, system.constants["modes"], slope=-1, axes=1)
    place = rng.uniform(*system.domain)
    soliton = _soliton(system, resolution, drawn["soliton_speed"], drawn["dispersion"], place)
    initial = (soliton + drawn["wave_height"] * waves)[None]
    with jax.enable_x64(True):
        frames = _solve(system, jnp.asarray(initial), jnp.asarray(drawn["dispersion"]))
        return system.sample(frames, drawn)


def _soliton(
    system: System, resolution: int, speed: float, dispersion: float, place: float
) -> Float[np.ndarray, " x"]:
    """The wave 3c sech²(√c (x - place - ct) / 2δ) at time 0: the taller, the faster."""
    half = system.extent / 2
    distance = (system.points(resolution) - place + half) % system.extent - half
    return 3 * speed / np.cosh(np.sqrt(speed) / (2 * dispersion) * distance) ** 2


@eqx.filter_jit
def _solve(
    system: System, initial: Float[Array, "1 x"], dispersion: Float[Array, ""]
) -> Float[Array, "frame 1 x"]:
    points = initial.shape[-1]
    stepper = Stepper(system.extent, points, system.courant_step(points), dispersion)
    return rollout(system, stepper, initial)
