"""Burgers in a cube: a velocity that carries itself into steep sheets, which viscosity wears down.

    ∂u/∂t + (u·∇)u = ν Δu    on [0, 1)³, periodic,

for the three components of u, with viscosity ν.
"""

from mpp.data.burgers import waves

simulate = waves
