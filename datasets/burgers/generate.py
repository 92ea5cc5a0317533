"""Burgers: a velocity that carries itself into steep fronts, which viscosity then wears down.

    ∂u/∂t + (u·∇)u = ν Δu    on [0, 1)², periodic,

for both components of u, with viscosity ν.
"""

from mpp.data.burgers import waves

simulate = waves
