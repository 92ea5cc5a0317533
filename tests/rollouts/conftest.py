"""Models that grow, and a small network, for tests of rollouts."""

import pytest
import torch

from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Surrogate


class Growing(Surrogate):
    """Multiplies a run by ten times its diffusivity, plus 1, at each step."""

    def __init__(self):
        super().__init__(2)

    def forward(self, batch):
        rate = 1 + 10 * batch.parameters["diffusivity"]
        return batch.values * rate.view(-1, *[1] * (batch.values.ndim - 1))


@pytest.fixture
def growing():
    return Growing()


@pytest.fixture
def network():
    torch.manual_seed(0)
    names = ("tracer", "velocity_x", "bathymetry", "mask")
    return AxialTransformer(names, 3, 16, 2, 1, 8, fine=2, coarse=2)
