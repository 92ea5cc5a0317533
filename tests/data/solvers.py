"""Small real solutions for the files that tests write: exact ones, and explicit numpy solvers."""

import numpy as np


def advection(points=16, frames=5, samples=2, speed=0.4):
    """u(x - ct) on the unit interval: tensor [n, t, x] with x and t."""
    x, t = (np.arange(points) + 0.5) / points, 0.05 * np.arange(frames)
    phase = np.arange(samples)[:, None, None] / samples
    return np.sin(2 * np.pi * (x - speed * t[:, None] - phase)), x, t


def burgers(points=16, frames=5, samples=2, nu=0.01):
    """Exact, by Cole and Hopf: u = -2 nu phi_x / phi with phi = 2 + a exp(-nu k^2 t) cos(kx)."""
    x, t = (np.arange(points) + 0.5) / points, 0.05 * np.arange(frames)
    k, a = 2 * np.pi, (0.5 + np.arange(samples) / samples)[:, None, None]
    decay = a * np.exp(-nu * k**2 * t[:, None])
    return 2 * nu * k * decay * np.sin(k * x) / (2 + decay * np.cos(k * x)), x, t


def laplacian(u, mode):
    """Second differences along the last two axes, which go on as ``np.pad`` has it."""
    p = np.pad(u, [(0, 0)] * (u.ndim - 2) + [(1, 1), (1, 1)], mode=mode)
    return p[..., 2:, 1:-1] + p[..., :-2, 1:-1] + p[..., 1:-1, 2:] + p[..., 1:-1, :-2] - 4 * u


def fitzhugh_nagumo(seed, shape=(16, 16), frames=5, substeps=20, dt=0.005):
    """du/dt = Du lap u + u - u^3 - k - v, dv/dt = Dv lap v + u - v, no flux: [t, x, y, 2]."""
    u, v = np.random.default_rng(seed).normal(size=(2, *shape))
    out, dx = [], 2 / shape[0]
    for _ in range(frames):
        out.append(np.stack([u, v], -1))
        for _ in range(substeps):
            u, v = (
                u + dt * (1e-3 * laplacian(u, "edge") / dx**2 + u - u**3 - 5e-3 - v),
                v + dt * (5e-3 * laplacian(v, "edge") / dx**2 + u - v),
            )
    return np.stack(out)


def lax_friedrichs(state, flux, mode, dt, dx):
    """One step of q_t + sum_i F_i(q)_xi = 0 along every axis; [variable, *space]."""
    axes = state.ndim - 1
    mean, change = np.zeros_like(state), np.zeros_like(state)
    for axis in range(axes):
        pad = [(0, 0)] * state.ndim
        pad[axis + 1] = (1, 1)
        wide = np.pad(state, pad, mode=mode)
        cut = [slice(None)] * state.ndim
        low, high = list(cut), list(cut)
        low[axis + 1], high[axis + 1] = slice(None, -2), slice(2, None)
        mean += (wide[tuple(low)] + wide[tuple(high)]) / (2 * axes)
        change += (flux(wide, axis)[tuple(high)] - flux(wide, axis)[tuple(low)]) / (2 * dx)
    return mean - dt * change


def dam_break(radius, points=16, frames=5, substeps=4):
    """Shallow water from a round dam on [-2.5, 2.5]^2 that lets waves out: height [t, x, y, 1]."""
    x = (np.arange(points) + 0.5) * 5 / points - 2.5
    round_dam = np.hypot(x[:, None], x[None, :]) <= radius
    state = np.stack([1.0 + round_dam, 0 * round_dam, 0 * round_dam])

    def flux(q, axis):
        out = q[1 + axis] * q / q[0]
        out[0] = q[1 + axis]
        out[1 + axis] += q[0] ** 2 / 2
        return out

    out = []
    for _ in range(frames):
        out.append(state[0, ..., None])
        for _ in range(substeps):
            state = lax_friedrichs(state, flux, "edge", 0.02, 5 / points)
    return np.stack(out), x


def euler(seed, rank, points=8, frames=4, substeps=3, mode="wrap"):
    """Compressible flow from a smooth random state: by name, each [t, *space]."""
    gamma, grid = 5 / 3, np.meshgrid(*[np.arange(points) / points] * rank, indexing="ij")
    rng = np.random.default_rng(seed)
    waves = [np.sin(2 * np.pi * (sum(grid) + rng.uniform())) for _ in range(rank + 2)]
    density, pressure = 1 + 0.2 * waves[0], 1 + 0.2 * waves[1]
    speed = 0.1 * np.stack(waves[2:])
    energy = pressure / (gamma - 1) + density * (speed**2).sum(0) / 2
    state = np.stack([density, *(density * speed), energy])

    def primitive(q):
        speed = q[1:-1] / q[0]
        return speed, (gamma - 1) * (q[-1] - q[0] * (speed**2).sum(0) / 2)

    def flux(q, axis):
        speed, pressure = primitive(q)
        out = q * speed[axis]
        out[1 + axis] += pressure
        out[-1] += pressure * speed[axis]
        return out

    out = {name: [] for name in (*("Vx", "Vy", "Vz")[:rank], "density", "pressure")}
    for _ in range(frames):
        speed, pressure = primitive(state)
        for name, values in zip(out, [*speed, state[0], pressure], strict=True):
            out[name].append(values)
        for _ in range(substeps):
            state = lax_friedrichs(state, flux, mode, 0.01, 1 / points)
    return {name: np.stack(values) for name, values in out.items()}


def sorption(start, points=16, frames=5, substeps=50, dt=0.5):
    """Diffusion with retardation, 1 at the low side and outflow at the high one: [t, x, 1]."""
    u, dx, out = np.full(points, start), 1 / points, []
    for _ in range(frames):
        out.append(u[:, None].copy())
        for _ in range(substeps):
            retard = 1 + 0.71 / 0.29 * 2880 * 3.5e-4 * 0.874 * (u + 1e-6) ** (0.874 - 1)
            wide = np.concatenate([[1.0], u, [(u[-2] - u[-1]) / dx * 5e-4]])
            u = u + dt * 5e-4 / retard * (wide[2:] - 2 * u + wide[:-2]) / dx**2
    return np.stack(out)


def taylor_green(points=16, frames=5, samples=2, nu=0.01):
    """A decaying vortex with no flow through the sides, and a blob of tracer that it stirs."""
    x, t = (np.arange(points) + 0.5) / points, 0.1 * np.arange(frames)
    decay = (
        np.exp(-2 * nu * np.pi**2 * t)[None, :, None, None]
        * np.array([1, 2])[:samples, None, None, None]
    )
    sx, cx = np.sin(np.pi * x), np.cos(np.pi * x)
    velocity = np.stack([decay * np.outer(sx, cx), -decay * np.outer(cx, sx)], -1)
    tracer = np.empty((samples, frames, points, points))
    tracer[:, 0] = np.exp(-20 * ((x[:, None] - 0.3) ** 2 + (x[None, :] - 0.5) ** 2))
    for frame in range(frames - 1):
        c, u = tracer[:, frame], velocity[:, frame]
        gx, gy = np.gradient(c, 1 / points, axis=(1, 2))
        tracer[:, frame + 1] = c + 0.01 * (laplacian(c, "edge") - u[..., 0] * gx - u[..., 1] * gy)
    force = np.stack(np.broadcast_arrays(np.outer(sx, sx), np.outer(cx, cx)), -1)
    return velocity, tracer[..., None], np.broadcast_to(force, (samples, *force.shape)), t
