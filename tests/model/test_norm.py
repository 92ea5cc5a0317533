"""What the norm makes of loud and quiet places."""

import pytest
import torch

from mpp.model.norm import quiet_norm


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        # Channels of -1 and 1 have the variance 1: one over the root of 2.
        (1.0, 2**-0.5),
        (1e6, 1.0),
        (1e-6, 1e-6),
        (0.0, 0.0),
    ],
)
def test_laws_loud_becomes_order_one_and_quiet_stays_quiet(size, expected):
    channels = size * torch.tensor([-1.0, 1.0, -1.0, 1.0])
    found = quiet_norm(4)(channels)
    torch.testing.assert_close(found, expected * torch.tensor([-1.0, 1.0, -1.0, 1.0]))
