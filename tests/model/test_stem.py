"""The ends of the default model: marks beside sides, and what can be read."""

import numpy as np
import pytest
import torch

from mpp.batch import Axis
from mpp.model.stem import BoundaryEmbedding, FieldReadout, Patches


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


def test_laws_no_input_is_read_as_more_than_the_weights_allow():
    torch.manual_seed(0)
    readout = FieldReadout(2, 1, 8, Patches(4, 2, (2,)), local=1)
    axes = (Axis("x", np.arange(8), "m", ("periodic", "periodic")),)
    read = [
        readout(size * torch.randn(1, 1, 2, 8), size * torch.randn(1, 1, 4, 4), [0, 1], (8,), axes)
        for size in (1.0, 1e6)
    ]
    # Four normalized channels have squares that sum to 4, and gelu makes no number larger.
    most = 2 * readout.rows.norm(dim=-1).max()
    assert read[1].abs().max() <= most + 1e-5
    assert read[1].abs().max() < 10 * read[0].abs().max()
