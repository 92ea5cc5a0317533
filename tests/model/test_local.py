"""What near neighbours are: around a ring, at a wall, and where the grid was padded."""

import numpy as np
import pytest
import torch

from mpp.batch import Axis
from mpp.model.local import LocalBlock, halo
from mpp.schema import parse_boundary


def axis(boundary: str, points: int = 6) -> Axis:
    return Axis("x", np.arange(points, dtype=float), "m", parse_boundary(boundary))


@pytest.mark.parametrize(
    ("boundary", "real", "expected"),
    [
        ("periodic", 5, [4, 0, 1, 2, 3, 4, 0]),
        # Five patches, the last two of them padding that goes on with 0 and 1; 2 comes next.
        ("periodic", 3, [2, 0, 1, 2, 3, 4, 2]),
        ("wall open", 5, [0, 0, 1, 2, 3, 4, 4]),
    ],
)
def test_one_patch_is_added_at_each_end(boundary, real, expected):
    frames = torch.arange(5.0).view(1, 5, 1)
    assert halo(frames, [axis(boundary)], [real]).flatten().tolist() == expected


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_patch_moves_its_neighbours_on_a_ring_and_not_through_a_wall(rank):
    torch.manual_seed(0)
    block, shape = LocalBlock(rank, hidden=4), (6,) * rank
    fine = torch.randn(1, 1, *shape, 4)
    moved = fine.clone()
    moved[0, 0, *(0,) * rank, 0] += 1
    axes = [axis("periodic"), axis("wall"), axis("periodic")][:rank]
    change = (block(moved, axes, shape) - block(fine, axes, shape)).abs().amax((0, 1, -1)) > 0
    reached = [{0, 1, 5}, {0, 1}, {0, 1, 5}][:rank]
    expected = torch.zeros(shape, dtype=torch.bool)
    expected[tuple(torch.meshgrid(*[torch.tensor(sorted(r)) for r in reached], indexing="ij"))] = 1
    assert torch.equal(change, expected)
