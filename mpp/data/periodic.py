"""What the pseudo-spectral generators share: stepping with exponax, velocity from vorticity."""

import exponax as ex
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpp.data.system import System


def rollout(
    system: System, stepper: ex.BaseStepper, initial: Float[Array, "field *space"]
) -> Float[Array, "frame field *space"]:
    """The frames that a system stores, stepped in Fourier space between them."""
    start = ex.RepeatedStepper(stepper, round(system.burn_in / stepper.dt))(initial)
    frame = ex.RepeatedStepper(stepper, round(system.interval / stepper.dt))
    frames = ex.rollout(frame, system.frames - 1, include_init=True)
    return frames(start)  # pyright: ignore[reportCallIssue]  # it takes no aux unless asked to


def velocity(vorticity: Float[Array, "1 x y"], extent: float) -> Float[Array, "2 x y"]:
    """The velocity of a flow without divergence and without mean, mode by mode.

    Exponax's vorticity is ω = ∂u_x/∂y - ∂u_y/∂x, so that its velocity is (∂ψ/∂y, -∂ψ/∂x) with
    Δψ = ω.
    """
    points = vorticity.shape[-1]
    gradient = ex.spectral.build_derivative_operator(2, extent, points)
    laplace = ex.spectral.build_laplace_operator(gradient)
    potential = ex.fft(vorticity) * jnp.where(
        laplace == 0, 0, 1 / jnp.where(laplace == 0, 1, laplace)
    )
    return ex.ifft(
        jnp.concatenate([gradient[1:] * potential, -gradient[:1] * potential]),
        num_spatial_dims=2,
        num_points=points,
    )
