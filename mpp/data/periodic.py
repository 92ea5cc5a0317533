"""What the pseudo-spectral generators share: stepping with exponax."""

import exponax as ex
from jaxtyping import Array, Float

from mpp.data.system import System


def rollout(
    system: System, stepper: ex.BaseStepper, initial: Float[Array, "field x y"]
) -> Float[Array, "frame field x y"]:
    """The frames that a system stores, stepped in Fourier space between them."""
    start = ex.RepeatedStepper(stepper, round(system.burn_in / stepper.dt))(initial)
    frame = ex.RepeatedStepper(stepper, round(system.interval / stepper.dt))
    frames = ex.rollout(frame, system.frames - 1, include_init=True)
    return frames(start)  # pyright: ignore[reportCallIssue]  # it takes no aux unless asked to
