"""Euler quadrants, periodic: four constant states of a gas meet at four points.

    ∂ρ/∂t + ∇·(ρ u) = 0
    ∂(ρ u)/∂t + ∇·(ρ u ⊗ u) + ∇p = 0
    ∂E/∂t + ∇·((E + p) u) = 0,    E = p/(γ - 1) + ρ|u|²/2    on [0, 1)², periodic,

for an ideal gas of adiabatic index γ = 1.4.
"""

from mpp.data.gas import quadrants

simulate = quadrants
