"""Laws of the calibration: intervals that hold nine runs in ten, system by system."""

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.model.axial import AxialTransformer
from mpp.model.numbers import COVERAGE, NORMAL_REACH, TIME_STEP, Transform
from mpp.schema import example
from mpp.train.calibrate import calibrate, reach
from mpp.train.datamodule import MixtureData


@pytest.mark.parametrize(("windows", "place"), [(9, 9), (19, 18), (4, 4)])
def test_the_reach_holds_nine_runs_in_ten(windows, place):
    # The ceil(0.9 (n + 1))-th smallest of 1 to n: 9 of 9, 18 of 19; of 4 the largest, 4.
    assert COVERAGE == 0.9
    errors = torch.arange(1.0, windows + 1).flip(0)
    assert reach(torch.stack([errors, 2 * errors], 1)[:, None]) == [place, 2 * place]


@pytest.mark.parametrize(("runs", "held"), [(9, 9 * 7), (19, 18 * 7), (4, 4 * 7), (99, 90 * 7)])
def test_windows_of_a_run_count_as_one_run(runs, held):
    # As many runs as without repetition set the reach: seven equal windows of each change nothing.
    errors = torch.arange(1.0, runs * 7 + 1).reshape(runs, 7, 1)
    assert reach(errors) == [held]
    alike = torch.arange(1.0, runs + 1)[:, None, None]
    assert reach(alike.expand(-1, 7, -1)) == reach(alike)


def test_new_runs_are_held_as_often_as_meant_however_alike_their_windows_are():
    generator = torch.Generator().manual_seed(0)
    held = []
    for _ in range(400):
        # Eight windows that share most of their error, of 15 runs to calibrate and of a new one.
        shared = torch.randn(16, 1, 1, generator=generator)
        errors = (shared + 0.2 * torch.randn(16, 8, 1, generator=generator)).abs()
        held.append((errors[15, 0] <= reach(errors[:15])[0]).item())
    assert 0.88 < np.mean(held) < 0.98


@pytest.fixture
def model():
    """It reads 0 with a variance of about 0.7 (in units of the spread), whatever it sees."""
    made = AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, coarse=2)
    span = Transform.fit(np.array([1.0, 2.0]))  # z = 2 p - 3
    made.learn_numbers({"diffusivity": span, "speed": span})
    torch.nn.init.zeros_(made.numbers.head)
    return made


def runs(numbers) -> xr.Dataset:
    ds = example((8, 8), samples=len(numbers), frames=4)
    return ds.assign(diffusivity=ds["diffusivity"].copy(data=np.asarray(numbers, float)))


def test_each_system_has_a_reach_of_its_own_for_every_number_it_has(model):
    near = runs(np.linspace(1.3, 1.7, 20)).assign_attrs(system="near")
    far = runs(np.linspace(0.5, 2.5, 20)).assign_attrs(system="far")
    found = calibrate(model, MixtureData([near, far], [near, far], history=3))
    assert {system: set(numbers) for system, numbers in found.items()} == {
        "near": {"diffusivity"},
        "far": {"diffusivity"},
    }
    # The errors are |z| = |2 p - 3|; of 20 the 19th counts, the second largest.
    deviation = np.log(2) ** 0.5  # softplus(0)
    for system, ends in (("near", 0.4), ("far", 2.0)):
        report = found[system]["diffusivity"]
        assert report["windows"] == 20
        assert report["reach"] == pytest.approx([ends / deviation] * 3, rel=1e-3)
        held = np.abs(np.linspace(-ends, ends, 20)) <= NORMAL_REACH * deviation
        assert report["uncalibrated"] == pytest.approx(held.mean())
        # The second half of a line's errors mirrors the first: of 10 the largest counts.
        assert report["crossed"] == 1


def test_the_time_step_is_calibrated_where_it_was_learned(model):
    model.learn_numbers({TIME_STEP: Transform.fit(np.array([0.5, 1.0]))})
    ds = runs([1.0, 2.0])
    assert TIME_STEP in calibrate(model, MixtureData([ds], [ds], history=3))["example"]
