"""Laws of the schedule: up in a line, level, down in a line to zero, and never above the level."""

import pytest
import torch
from torch import nn

from mpp.train.schedule import trapezoid


def rates(steps, warmup=0.05, decay=0.5, lr=2.0):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = trapezoid(optimizer, steps, warmup, decay)
    found = []
    for _ in range(steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_shape_of_a_hundred_steps():
    found = rates(100, warmup=0.1, decay=0.2)
    # Ten steps up (0.2, 0.4, ... 2), level until 20 are left, then down to 2 * 1/20 at the last.
    assert found[:10] == pytest.approx([0.2 * step for step in range(1, 11)])
    assert found[10:80] == pytest.approx([2.0] * 70)
    assert found[80:100] == pytest.approx([0.1 * left for left in range(20, 0, -1)])
    assert found[100] == 0


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 57])
def test_every_step_of_a_run_moves_and_none_exceeds_the_level(steps):
    found = rates(steps)
    assert all(0 < rate <= 2 for rate in found[:-1])
    assert found[-1] == 0


def test_without_warmup_or_decay_the_rate_is_level():
    assert rates(5, warmup=0, decay=0)[:5] == [2.0] * 5
