"""The time step as a direction scaled by its logarithm."""

import torch

from mpp.model.numbers import FARTHEST, TimeStepEmbedding


def test_the_mean_adds_nothing_and_the_rest_is_in_units_of_the_spread():
    embedding = TimeStepEmbedding(8)
    # Logarithms -4 and 4: mean 0, spread 4.
    embedding.set_steps([torch.tensor(-4.0).exp().item(), torch.tensor(4.0).exp().item()])
    steps = torch.tensor([0.0, 4.0, -2.0], dtype=torch.float64).exp()
    expected = torch.tensor([0.0, 1.0, -0.5])[:, None] * embedding.direction
    torch.testing.assert_close(embedding(steps), expected)


def test_one_system_has_a_spread_of_a_factor_of_e_and_far_steps_are_held():
    embedding = TimeStepEmbedding(8)
    embedding.set_steps([0.5])
    added = embedding(torch.tensor([0.5 * torch.e, 1e30]))
    torch.testing.assert_close(added[0], embedding.direction)
    torch.testing.assert_close(added[1], FARTHEST * embedding.direction)
