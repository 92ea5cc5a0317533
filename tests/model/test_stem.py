"""The ends of the default model: marks beside sides."""

import numpy as np
import pytest
import torch

from mpp.batch import Axis
from mpp.model.stem import BoundaryEmbedding


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_laws_only_tokens_at_a_side_are_marked_and_none_along_a_ring(tokens):
    axes = (
        Axis("x", np.arange(3), "m", ("periodic", "periodic")),
        Axis("y", np.arange(tokens), "m", ("wall", "open")),
    )
    marked = (
        BoundaryEmbedding(width=4)(torch.zeros(1, 1, 3, tokens, 4), axes).abs().amax((0, 1, -1))
    )
    at_side = torch.tensor([number in (0, tokens - 1) for number in range(tokens)])
    assert torch.equal(marked > 0, at_side.expand(3, -1))
