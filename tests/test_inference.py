"""Laws of inference: numbers with intervals, from frames and the numbers that are not asked for."""

import functools

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.errors import InputError
from mpp.evaluation import evaluate
from mpp.inference import infer
from mpp.model.axial import AxialTransformer
from mpp.model.numbers import NORMAL_REACH, Transform
from mpp.model.surrogate import Persistence
from mpp.schema import example
from mpp.train.pretrain import pretrain


@pytest.fixture
def model():
    """Random weights; it knows one number that the example holds and one that it does not."""
    torch.manual_seed(0)
    made = AxialTransformer(("tracer", "velocity_x"), 4, 16, 2, 1, 8, coarse=2)
    made.learn_numbers(
        {
            "diffusivity": Transform.fit(np.array([0.01, 1.0])),
            "speed": Transform.fit(np.array([1.0, 2.0])),
        }
    )
    with torch.no_grad():
        made.numbers.head.normal_()
        made.numbers.direction.normal_()
    made.card = {"numbers": {"diffusivity": {"units": "m2 s-1"}, "speed": {"units": "m s-1"}}}
    return made


@pytest.fixture
def history():
    return example((8, 8), samples=3, frames=4)


def test_an_estimate_lies_in_its_interval_in_its_own_unit(model, history):
    found = infer(model, history)
    assert set(found) == {f"{kind}diffusivity" for kind in ("", "low_", "high_", "truth_")}
    assert found["diffusivity"].attrs["units"] == "m2 s-1"
    assert found.attrs["history_frames"] == 4
    assert (found["low_diffusivity"] < found["diffusivity"]).all()
    assert (found["diffusivity"] < found["high_diffusivity"]).all()
    np.testing.assert_allclose(found["truth_diffusivity"], history["diffusivity"], rtol=1e-6)


def test_the_interval_is_that_of_a_normal_distribution_until_it_is_calibrated(model, history):
    found = infer(model, history)
    assert found.attrs["calibration"] == "diffusivity: not calibrated"
    wide, narrow = ({"diffusivity": {"windows": 9, "reach": [r] * 3 + [2 * r]}} for r in (1.0, 0.1))
    wide["diffusivity"]["reach"][3] = 2 * NORMAL_REACH
    model.card["calibration"] = {"example": wide}
    wider = infer(model, history)
    # The transform is a logarithm, so that the ratio of the ends is what doubles.
    ratios = [np.log(x["high_diffusivity"] / x["low_diffusivity"]) for x in (found, wider)]
    np.testing.assert_allclose(ratios[1], 2 * ratios[0], rtol=1e-4)
    # Of systems that it was not calibrated on, the widest counts.
    model.card["calibration"] = {"other": narrow, "another": wide}
    new = infer(model, history)
    xr.testing.assert_equal(new, wider)
    assert new.attrs["calibration"] == "diffusivity: 9 windows of another"


def test_laws_what_is_asked_for_is_not_looked_at_and_the_rest_is(model, history):
    other = history.assign(diffusivity=2 * history["diffusivity"])
    asked = [infer(model, ds)["diffusivity"] for ds in (history, other)]
    xr.testing.assert_identical(*asked)
    told = [infer(model, ds, ["speed"])["speed"] for ds in (history, other)]
    assert abs(told[0] - told[1]).max() > 1e-4


def test_runs_are_read_each_for_itself_however_many_there_are(model, monkeypatch):
    many = example((8, 8), samples=5, frames=4)
    together = infer(model, many)
    monkeypatch.setattr("mpp.inference.RUNS", 2)
    apart = infer(model, many)
    for name in together:
        np.testing.assert_allclose(apart[name], together[name], rtol=1e-5)
    assert len(np.unique(together["diffusivity"])) > 1


def test_fewer_frames_have_an_interval_of_their_own(model, history):
    report = {"windows": 9, "reach": [3.0, 1.0, 1.0, 1.0]}
    model.card["calibration"] = {"example": {"diffusivity": report}}
    found = {n: infer(model, history.isel(time=slice(0, n))) for n in (1, 4)}
    assert {n: ds.attrs["history_frames"] for n, ds in found.items()} == {1: 1, 4: 4}
    report["reach"] = [1.0] * 4
    again = {n: infer(model, history.isel(time=slice(0, n))) for n in (1, 4)}
    assert (again[1]["high_diffusivity"] < found[1]["high_diffusivity"]).all()
    xr.testing.assert_identical(again[4], found[4])


def test_the_time_between_frames_is_a_number_like_others(model, history):
    model.learn_numbers({"time_step": Transform.fit(np.array([0.01, 1.0]))})
    found = infer(model, history, ["time_step"])
    step = float(history["time"][1] - history["time"][0])
    np.testing.assert_allclose(found["truth_time_step"], step, rtol=1e-6)
    assert found["time_step"].attrs["units"] == history["time"].attrs["units"]
    slower = history.assign_coords(time=history["time"].copy(data=3 * history["time"].values))
    xr.testing.assert_equal(infer(model, slower, ["time_step"])["time_step"], found["time_step"])


def test_a_system_seen_in_training_brings_its_numbers(model, history):
    model.card["system_numbers"] = {"example": ["speed"]}
    assert "speed" in infer(model, history.drop_vars("diffusivity"))


@pytest.mark.parametrize("names", [["viscosity"], ["diffusivity", "viscosity"]])
def test_an_unknown_number_is_named(model, history, names):
    with pytest.raises(InputError, match="viscosity"):
        infer(model, history, names)


def test_a_system_without_numbers_has_none_to_estimate(model, history):
    with pytest.raises(InputError, match="name some"):
        infer(model, history.drop_vars("diffusivity"))


def test_a_model_that_reads_no_numbers_is_refused(history):
    with pytest.raises(InputError, match="Persistence"):
        infer(Persistence(), history)


def decaying(runs: int, seed: int) -> xr.Dataset:
    """Random waves in one dimension that fade at a rate of their own: u' = -rate u."""
    rng = np.random.default_rng(seed)
    ds = example((16,), samples=runs, frames=6, boundary=("periodic",))
    rate = np.exp(rng.uniform(np.log(0.05), np.log(0.5), runs))
    place, waves = 2 * np.pi * np.arange(16) / 16, 0.0
    for wave in (1, 2, 3):
        size, phase = rng.normal(size=(2, runs, 1))
        waves = waves + size * np.cos(wave * place + 2 * np.pi * phase)
    faded = waves[:, None] * np.exp(-rate[:, None] * np.arange(6))[..., None]
    return (
        ds[["tracer", "diffusivity"]]
        .assign(tracer=ds["tracer"].copy(data=faded))
        .assign(diffusivity=ds["diffusivity"].copy(data=rate))
        .rename(diffusivity="rate")
        .assign_attrs(system="decay")
    )


@pytest.mark.slow
def test_a_trained_model_steps_by_the_number_it_is_told_and_reads_it_where_it_is_not(tmp_path):
    small = functools.partial(
        AxialTransformer, history=4, width=32, heads=2, depth=2, hidden=16, coarse=1, ranks=(1,)
    )
    options = {"batch_size": 16, "max_steps": 300, "validate_every": 300, "rollouts": 0.0}
    model = pretrain([decaying(200, 0)], tmp_path, small, held_out=0.4, **options)
    test = decaying(100, 1)
    told, untold = (
        float(evaluate(model, ds, 1, history=1)["vrmse"].sel(model="model").mean())
        for ds in (test, test.drop_vars("rate"))
    )
    # From one frame nothing else says how fast it fades; factors of exp(-0.05) to exp(-0.5) differ.
    assert told < 0.5 * untold
    found = infer(model, test.isel(time=slice(1, 5)))
    true, guess = np.log(found["truth_rate"]), np.log(found["rate"])
    # Without looking, an estimate is off by the spread of the logarithms, ln(10) / sqrt(12).
    assert np.sqrt(np.mean((guess - true) ** 2)) < 0.3 * np.log(10) / 12**0.5
    held = (found["low_rate"] <= found["truth_rate"]) & (found["truth_rate"] <= found["high_rate"])
    # 80 runs calibrate and 100 are asked: four standard deviations about 90 %.
    assert held.mean() > 0.9 - 4 * (0.09 / 80 + 0.09 / 100) ** 0.5
    assert model.card["calibration"]["decay"]["rate"]["windows"] >= 80
    assert "80 windows of decay" in found.attrs["calibration"]
