"""Which tokens count as near: around a ring, and between walls."""

import torch

from mpp.model.attention import distance_bucket


def test_laws_distance_goes_around_a_ring_and_not_past_a_wall():
    # The bucket of distance 0 is 16; up to 8 each distance has its own.
    assert (distance_bucket(5, periodic=False)[0] - 16).tolist() == [0, 1, 2, 3, 4]
    assert (distance_bucket(5, periodic=True)[0] - 16).tolist() == [0, 1, 2, -2, -1]
    assert (distance_bucket(6, periodic=True)[0] - 16).tolist() == [0, 1, 2, 3, -2, -1]


def test_laws_every_token_of_a_ring_sees_the_others_alike():
    for tokens in (1, 2, 5, 6, 40):
        bucket = distance_bucket(tokens, periodic=True)
        for number in range(tokens):
            assert torch.equal(bucket[number].roll(-number), bucket[0])
