"""Rayleigh-Bénard convection: a fluid heated from below and cooled from above overturns.

    ∂u/∂t + u·∇u = -∇p + √(Pr/Ra) Δu + T e_y,    ∇·u = 0
    ∂T/∂t + u·∇T = ΔT / √(Ra Pr)    on [0, 1]², periodic along x,

with u = 0 at the walls, T = 1 at the lower one and T = 0 at the upper one, in units of the height,
the difference of temperature and the free-fall velocity.

The method is Galerkin's. The flow is (∂ψ/∂y, -∂ψ/∂x), a Fourier series along x and, along y, one of
the sums of Legendre polynomials that meet the walls' conditions (Shen 1994): ψ and its slope vanish
there; so do the mean flow and θ = T - (1 - y). Pressure does no work on such a flow and drops out.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from math import ceil

import numpy as np
import xarray as xr
from jaxtyping import Complex, Float
from numpy.polynomial import legendre

from mpp.data.system import System

State = Complex[np.ndarray, "2 wave function"]
"""Coefficients of the stream function, whose first row is the mean flow's instead, and of θ."""


def simulate(system: System, resolution: int, rng: np.random.Generator) -> xr.Dataset:
    """One trajectory from a fluid at rest that conducts the heat, with warm and cold spots."""
    drawn = system.draw(rng)
    rayleigh, prandtl = drawn["rayleigh_number"], drawn["prandtl_number"]
    viscosity, conductivity = np.sqrt(prandtl / rayleigh), 1 / np.sqrt(rayleigh * prandtl)
    box = Box(system.constants["modes"], viscosity, conductivity)
    state = box.spots(rng, system.constants["disturbance"])
    grid = [system.points(resolution, axis) for axis in (0, 1)]
    stepper = cache(lambda step: Stepper(box, step))
    frames, now = [], 0.0
    for time in system.times:
        parts = ceil((time - now) / system.interval)  # the burn-in is longer than a frame
        for _ in range(parts):
            span = (time - now) / parts
            steps = ceil(span * box.rate(state) / system.step)
            for _ in range(steps):
                state = stepper(span / steps)(state)
        now = time
        frames.append(box.fields(state, *grid))
    return system.sample(np.stack(frames), drawn)


@dataclass(frozen=True)
class Functions:
    """Functions of y between the walls: their values and first two derivatives at points."""

    value: Float[np.ndarray, "function point"]
    slope: Float[np.ndarray, "function point"]
    bend: Float[np.ndarray, "function point"]

    @classmethod
    def at(cls, y: Float[np.ndarray, " point"], count: int, clamped: bool) -> "Functions":
        """P_n - P_(n+2), which vanish at the walls, or sums of three whose slope vanishes too."""
        n = np.arange(count)
        series = np.zeros((count + 4, count))
        series[n, n] = 1
        series[n + 2, n] = -2 * (2 * n + 5) / (2 * n + 7) if clamped else -1
        series[n + 4, n] = (2 * n + 3) / (2 * n + 7) if clamped else 0
        series /= np.sqrt(n + 1)  # of like size
        parts = [2**m * legendre.legval(2 * y - 1, legendre.legder(series, m)) for m in range(3)]
        return cls(*parts)


@dataclass(frozen=True)
class Box:
    """The equations for the coefficients, M dU/dt = F(U) - L U.

    Args:
        modes: Points along x that the waves need, and degree of the polynomials along y.
        viscosity: √(Pr/Ra).
        conductivity: 1/√(Ra Pr).
    """

    modes: int
    viscosity: float
    conductivity: float

    @property
    def count(self) -> int:
        """Functions of y: the sums of three polynomials reach four degrees further."""
        return self.modes - 4

    @property
    def points(self) -> int:
        """Points along either axis on which products of two series are exact."""
        return 3 * self.modes // 2

    @cached_property
    def wavenumber(self) -> Float[np.ndarray, "wave 1"]:
        """2π times the number of waves, below half the points."""
        return 2 * np.pi * np.arange(self.modes // 2)[:, None]

    @cached_property
    def nodes(self) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
        """Gauss's nodes between the walls and their weights."""
        nodes, weights = legendre.leggauss(self.points)
        return (nodes + 1) / 2, weights / 2

    @cached_property
    def stream(self) -> Functions:
        """The stream function's, which let nothing through the walls nor slip along them."""
        return Functions.at(self.nodes[0], self.count, clamped=True)

    @cached_property
    def plain(self) -> Functions:
        """The mean flow's and those of θ."""
        return Functions.at(self.nodes[0], self.count, clamped=False)

    def operators(self) -> Float[np.ndarray, "2 2 wave function function"]:
        """M and L, symmetric and positive: inner products of velocities, of vorticities, of θ."""

        def inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return a * self.nodes[1] @ b.T

        k2 = self.wavenumber[:, :, None] ** 2
        stream, plain = self.stream, self.plain
        energy = inner(stream.slope, stream.slope) + k2 * inner(stream.value, stream.value)
        cross = inner(stream.bend, stream.value)
        enstrophy = inner(stream.bend, stream.bend) - k2 * (cross + cross.T)
        enstrophy += k2**2 * inner(stream.value, stream.value)
        square, gradient = inner(plain.value, plain.value), inner(plain.slope, plain.slope)
        energy[0], enstrophy[0] = square, gradient  # the mean flow's
        mass = np.stack([energy, np.broadcast_to(square, energy.shape)])
        heat = self.conductivity * (gradient + k2 * square)
        return np.stack([mass, np.stack([self.viscosity * enstrophy, heat])])

    def forces(self, state: State) -> State:
        """F(U): advection, as vorticity times velocity, buoyancy, and the heat that is carried."""
        stream, plain, k = self.stream, self.plain, self.wavenumber
        psi, mean = _split(state)
        u, v = self._velocity(state)
        theta = self._on_grid(state[1]) @ plain.value
        vorticity = self._on_grid(k**2 * psi) @ stream.value - self._on_grid(psi) @ stream.bend
        vorticity -= mean @ plain.slope
        along, across = v * vorticity, theta - u * vorticity
        flow = self._against(along, stream.slope) + 1j * k * self._against(across, stream.value)
        flow[0] = self._against(along, plain.value)[0]
        heat = self._against(v, plain.value) - 1j * k * self._against(u * theta, plain.value)
        return np.stack([flow, heat + self._against(v * theta, plain.slope)])

    def rate(self, state: State) -> float:
        """How fast the shortest waves are carried past a point, at a speed of 0.3 at least."""
        u, v = self._velocity(state)
        spacing = np.gradient(self.nodes[0]) * self.points / self.modes
        along, across = np.abs(u) * np.pi * self.modes, np.abs(v) * np.pi / spacing
        return float(max(0.3 * np.pi * self.modes, (along + across).max()))

    def _velocity(self, state: State) -> tuple[Float[np.ndarray, "x y"], Float[np.ndarray, "x y"]]:
        psi, mean = _split(state)
        u = self._on_grid(psi) @ self.stream.slope + mean @ self.plain.value
        return u, self._on_grid(-1j * self.wavenumber * psi) @ self.stream.value

    def _on_grid(self, series: Complex[np.ndarray, "wave any"]) -> Float[np.ndarray, "x any"]:
        return np.fft.irfft(series, self.points, axis=0, norm="forward")

    def _against(
        self, values: Float[np.ndarray, "x point"], functions: Float[np.ndarray, "function point"]
    ) -> Complex[np.ndarray, "wave function"]:
        """Inner products with waves times functions."""
        series = np.fft.rfft(values * self.nodes[1] @ functions.T, axis=0, norm="forward")
        return series[: self.modes // 2]

    def spots(self, rng: np.random.Generator, size: float) -> State:
        """Rest, with θ of root mean square ``size`` from up to 8 waves times up to 4 half sines."""
        parts = rng.normal(size=(2, 8, 4))
        spread = parts[0] + 1j * parts[1]
        spread *= size / np.sqrt(np.sum(np.abs(spread) ** 2))
        nodes, weights = self.nodes
        theta = spread @ np.sin(np.pi * np.arange(1, 5)[:, None] * nodes)
        tests = weights * self.plain.value
        state = np.zeros((2, self.modes // 2, self.count), dtype=complex)
        state[1, 1:9] = np.linalg.solve(tests @ self.plain.value.T, tests @ theta.T).T
        return state

    def fields(
        self, state: State, x: Float[np.ndarray, " x"], y: Float[np.ndarray, " y"]
    ) -> Float[np.ndarray, "3 x y"]:
        """Temperature and velocity anywhere."""
        stream, plain = (Functions.at(y, self.count, clamped) for clamped in (True, False))
        k = self.wavenumber
        psi, mean = _split(state)
        twice = np.where(k > 0, 2, 1)
        waves = twice * np.exp(1j * k * x)  # the sum's real part adds the negative waves
        parts = [state[1] @ plain.value, psi @ stream.slope, -1j * k * psi @ stream.value]
        theta, u, v = (np.einsum("kx,ky->xy", waves, part).real for part in parts)
        return np.stack([theta + 1 - y, u + mean @ plain.value, v])


class Stepper:
    """One step of Ascher, Ruuth and Spiteri's Runge-Kutta method (2,2,2), of order 2.

    Diffusion is implicit, all else explicit.
    """

    def __init__(self, box: Box, step: float) -> None:
        self.box, self.step = box, step
        self.implicit = 1 - np.sqrt(0.5)
        mass, loss = box.operators()
        self.solve = np.linalg.inv(mass + self.implicit * step * loss)
        self.decay = self.solve @ mass

    def __call__(self, state: State) -> State:
        """The coefficients one step later."""
        g = self.implicit
        d = 1 - 1 / (2 * g)
        held, force = _apply(self.decay, state), self.box.forces(state)
        middle = held + g * self.step * _apply(self.solve, force)
        force = d * force + (1 - d) * self.box.forces(middle)
        lost = (1 - g) / g * (middle - _apply(self.decay, middle))
        return held + self.step * _apply(self.solve, force) - lost


def _split(
    state: State,
) -> tuple[Complex[np.ndarray, "wave function"], Float[np.ndarray, " function"]]:
    """The stream function of the waves, and the mean flow."""
    psi = state[0].copy()
    psi[0] = 0
    return psi, state[0, 0].real


def _apply(matrices: Float[np.ndarray, "2 wave function function"], state: State) -> State:
    """A real matrix for each wave times its complex coefficients."""
    pairs = np.ascontiguousarray(state).view(float).reshape(*state.shape, 2)
    return np.ascontiguousarray(matrices @ pairs).view(complex)[..., 0]
