"""What the finite-volume generators share: clawpack's PyClaw, without its log file."""

import logging.config
from collections.abc import Mapping
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from jaxtyping import Float

from mpp.data.system import System
from mpp.errors import InputError

# On import PyClaw opens pyclaw.log in the working folder and takes over the root logger.
with patch.object(logging.config, "fileConfig"):
    from clawpack import pyclaw


def rollout(
    system: System,
    riemann: ModuleType,
    conserved: Float[np.ndarray, "field x y"],
    constants: Mapping[str, float],
) -> Float[np.ndarray, "frame field x y"]:
    """The frames that a system stores, by clawpack's second-order wave propagation.

    Args:
        system: Its ``step`` is the Courant number aimed at, its boundary periodic or open.
        riemann: One of ``clawpack.riemann``'s solvers in two dimensions.
        conserved: Initial cell averages of the conserved quantities.
        constants: What the Riemann solver wants to know.
    """
    solver = pyclaw.ClawSolver2D(riemann)
    kind = pyclaw.BC.periodic if system.boundary == "periodic" else pyclaw.BC.extrap
    solver.all_bcs = kind
    solver.limiters = pyclaw.limiters.tvd.MC
    solver.cfl_desired, solver.cfl_max = system.step, 1.0
    solver.dt_initial = 1e-2 * system.extent / conserved.shape[-1]
    solver.max_steps = 10_000

    axes = [
        pyclaw.Dimension(*system.domain, points, name=name)
        for name, points in zip("xy", conserved.shape[1:], strict=True)
    ]
    domain = pyclaw.Domain(axes)
    state = pyclaw.State(domain, len(conserved))
    state.problem_data.update(constants)
    state.q[...] = conserved  # pyright: ignore[reportOptionalSubscript]  # it has been allocated
    solution = pyclaw.Solution(state, domain)
    return _frames(system, solver, solution)


def _evolve(system: System, solver: Any, solution: Any, time: float) -> None:
    try:
        solver.evolve_to_time(solution, time)
    except Exception as error:  # PyClaw raises this bare class when no step is short enough
        raise InputError(
            f"{system.name}: clawpack gave up before time {time:g} ({error}); narrow the "
            "parameters in spec.yaml, or lower its step, the Courant number"
        ) from error


def _frames(system: System, solver: Any, solution: Any) -> Float[np.ndarray, "frame field x y"]:
    solver.setup(solution)
    frames = []
    for time in system.times:
        if time > solution.t:  # PyClaw takes a step of no length for a mistake
            _evolve(system, solver, solution, time)
        frames.append(solution.state.q.copy())
    return np.stack(frames)
