"""Laws of the schedules: what rises, stays and falls does so in the steps that it says."""

from math import cos, pi

import pytest
import torch
from torch import nn

from mpp.errors import InputError
from mpp.train.schedule import Cosine, Trapezoid


def rates(schedule, steps, lr=2.0):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    course = schedule(optimizer, steps)
    found = []
    for _ in range(steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        course.step()
    return found


def test_the_shape_of_a_hundred_steps():
    found = rates(Trapezoid(warmup=0.1, decay=0.2), 100)
    # Ten steps up (0.2, 0.4, ... 2), level until 20 are left, then down to 2 * 1/20 at the last.
    assert found[:10] == pytest.approx([0.2 * step for step in range(1, 11)])
    assert found[10:80] == pytest.approx([2.0] * 70)
    assert found[80:100] == pytest.approx([0.1 * left for left in range(20, 0, -1)])
    assert found[100] == 0


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 57])
def test_every_step_of_a_run_moves_and_none_exceeds_the_level(steps):
    found = rates(Trapezoid(), steps)
    assert all(0 < rate <= 2 for rate in found[:-1])
    assert found[-1] == 0


def test_without_warmup_or_decay_the_rate_is_level():
    assert rates(Trapezoid(warmup=0, decay=0), 5)[:5] == [2.0] * 5


def test_half_a_cosine_ends_at_its_least():
    found = rates(Cosine(least=0.25), 4, lr=1.0)
    # 0.25 + 0.75 (1 + cos(pi step / 4)) / 2
    assert found == pytest.approx([0.25 + 0.375 * (1 + cos(pi * s / 4)) for s in range(5)])
    assert found[-1] == pytest.approx(0.25)


def test_a_cosine_over_several_runs_is_cut_off_and_over_part_of_one_stays_at_its_least():
    # A fifth of the half period: (1 + cos(pi / 5)) / 2 = 0.9045 at the end.
    assert rates(Cosine(least=0, runs=5), 10, lr=1.0)[-1] == pytest.approx(0.904508, abs=1e-6)
    assert rates(Cosine(least=0.5, runs=0.5), 10, lr=1.0)[5:] == pytest.approx([0.5] * 6)


def test_the_warmup_of_a_cosine_rises_from_a_hundredth_in_its_steps():
    found = rates(Cosine(warmup=4, least=0), 8, lr=1.0)
    assert found[:5] == pytest.approx([0.01, 0.2575, 0.505, 0.7525, 1.0])
    assert found[-1] == pytest.approx(0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Trapezoid(warmup=-0.1), "warmup is -0.1"),
        (lambda: Trapezoid(decay=-1), "decay is -1"),
        (lambda: Cosine(warmup=-1), "warmup is -1"),
        (lambda: Cosine(runs=0), "runs is 0"),
    ],
)
def test_what_is_no_course_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
