"""A small system that is solved in a moment, for tests of what generates data."""

from pathlib import Path

SPEC = """
title: Waves
purpose: pretrain
solver: numpy
licence: BSD-3-Clause
fields: [tracer]
domain: [0, 2]
boundary: periodic
frames: 3
interval: 0.5
burn_in: 1
step: 0.1
trajectories: 2
resolution: 8
least_resolution: 4
parameters:
  speed: {low: 1, high: 2, beyond: [[2, 3]]}
"""

SOLVER = """
import numpy as np

def simulate(system, resolution, rng):
    drawn = system.draw(rng)
    x = np.arange(resolution) / resolution * 2
    wave = np.sin(np.pi * (x - drawn["speed"] * system.times[:, None]))
    return system.sample(wave[:, None], drawn)
"""


def write(folder: Path, spec: str = SPEC, solver: str = SOLVER) -> Path:
    """Write the folder of a system."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.yaml").write_text(spec)
    (folder / "generate.py").write_text(solver)
    return folder
