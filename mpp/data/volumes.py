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
from mpp.schema import parse_boundary

# On import PyClaw opens pyclaw.log in the working folder and takes over the root logger.
with patch.object(logging.config, "fileConfig"):
    from clawpack import pyclaw  # pyright: ignore[reportMissingImports]  # it needs gfortran

KINDS = {
    "periodic": pyclaw.BC.periodic,
    "open": pyclaw.BC.extrap,
    "wall": pyclaw.BC.wall,
}
"""PyClaw's word for each kind of side: extrapolation of order zero, or a mirror."""


def rollout(
    system: System,
    riemann: ModuleType,
    conserved: Float[np.ndarray, "field x y"],
    constants: Mapping[str, float],
    static: Float[np.ndarray, "map x y"] | None = None,
) -> Float[np.ndarray, "frame field x y"]:
    """The frames that a system stores, by clawpack's second-order wave propagation.

    Args:
        system: Its ``step`` is the Courant number aimed at, its sides periodic, open or walls.
        riemann: One of ``clawpack.riemann``'s solvers in two dimensions.
        conserved: Initial cell averages; components along x and y come second and third.
        constants: What the Riemann solver wants to know.
        static: Cell averages that do not change in time and that it wants to know.
    """
    solver = pyclaw.ClawSolver2D(riemann)
    solver.fwave = bool(solver.fwave)
    _set_sides(solver, system)
    solver.limiters = pyclaw.limiters.tvd.MC
    solver.cfl_desired, solver.cfl_max = system.step, 1.0
    solver.dt_initial = 1e-2 * system.extent / conserved.shape[-1]
    solver.max_steps = 10_000

    axes = [
        pyclaw.Dimension(*system.domain, points, name=name)
        for name, points in zip("xy", conserved.shape[1:], strict=True)
    ]
    domain = pyclaw.Domain(axes)
    state = pyclaw.State(domain, len(conserved), 0 if static is None else len(static))
    state.problem_data.update(constants)
    state.q[...] = conserved  # pyright: ignore[reportOptionalSubscript]  # it has been allocated
    if static is not None:
        state.aux[...] = static  # pyright: ignore[reportOptionalSubscript]  # so has this
    solution = pyclaw.Solution(state, domain)
    return _frames(system, solver, solution)


def _set_sides(solver: Any, system: System) -> None:
    """Kinds of all sides, for what evolves and for static maps; a wall turns the flow around."""
    for axis, kinds in enumerate(system.boundaries):
        low, high = (KINDS[kind] for kind in parse_boundary(kinds))
        solver.bc_lower[axis] = solver.aux_bc_lower[axis] = low
        solver.bc_upper[axis] = solver.aux_bc_upper[axis] = high


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
