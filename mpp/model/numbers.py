r"""A number as a direction scaled by its value, here the time between two frames.

.. math:: e = z\, d, \qquad z = \frac{\ln \Delta t - \mu}{\sigma}

with a learned direction :math:`d` and the mean and spread of :math:`\ln \Delta t` over the systems
trained on (xVal, Golkar et al. 2023, section 2). A time step that is not known adds nothing, as the
mean does.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

FARTHEST = 4.0
"""Values further than this from the mean count as this far: nothing was learned out there."""


class TimeStepEmbedding(nn.Module):
    """Adds the time step of each sample to its tokens.

    Args:
        width: Channels of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.direction = nn.Parameter(0.02 * torch.randn(width))
        self.mean = nn.Buffer(torch.zeros(()))
        self.spread = nn.Buffer(torch.ones(()))

    def set_steps(self, steps: Sequence[float]) -> None:
        """Tell it the time steps of the systems trained on, one a system."""
        logs = torch.tensor([math.log(step) for step in steps])
        self.mean.fill_(logs.mean())
        # Steps that are nearly alike keep a factor of e as their unit.
        self.spread.fill_(logs.std(correction=0).clamp(min=1))

    def forward(self, step: Float[Tensor, " sample"]) -> Float[Tensor, "sample width"]:
        value = ((step.log().float() - self.mean) / self.spread).clamp(-FARTHEST, FARTHEST)
        return value[:, None] * self.direction
