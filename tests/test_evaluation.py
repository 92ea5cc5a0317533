"""Laws of an evaluation: closed forms, exact models, batches, masks, quiet fields, refusals."""

import math

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from mpp import schema
from mpp.errors import InputError
from mpp.evaluation import evaluate
from mpp.model.surrogate import LinearExtrapolation, Persistence, Surrogate


class Roll(Surrogate):
    """Exact advection by whole grid points along the first space axis."""

    def __init__(self, points: int, history: int = 1) -> None:
        super().__init__(history)
        self.points = points

    def forward(self, batch):
        return batch.values.roll(self.points, dims=3)


class Offset(Surrogate):
    """Adds a learnt number, so that it has weights, a device and a precision."""

    def __init__(self, size: float) -> None:
        super().__init__(history=1)
        self.size = nn.Parameter(torch.tensor(size))

    def forward(self, batch):
        assert batch.values.dtype == self.size.dtype
        assert not self.training
        return batch.values + self.size


def travelling(
    points: int = 32, frames: int = 9, samples: int = 2, amplitude: float = 1.5, offset: float = 0.0
) -> xr.Dataset:
    """A sine that moves by one grid point a frame; every run has its own phase."""
    x = np.arange(points) / points
    phase = np.arange(samples)[:, None, None] / 7 + np.arange(frames)[None, :, None] / points
    values = offset + amplitude * np.sin(2 * np.pi * (x - phase))
    coords = {
        "time": schema.coordinate(2.0 + 0.25 * np.arange(frames), "time", "s"),
        "x": schema.coordinate(x, "x", "m", "periodic"),
    }
    data = {"tracer": (("sample", "time", "x"), values, {"units": "kg m-3"})}
    return xr.Dataset(data, coords, {"system": "advection"})


def test_persistence_of_a_travelling_sine_has_its_closed_form():
    # After n frames the phase moved by d = 2 pi n / points, so e = 2 A cos(.) sin(d/2): see
    # tests/metrics/test_scores.py. VRMSE = 2 |sin(d/2)|; the offset B enters NRMSE alone.
    amplitude, offset, points = 1.5, 2.0, 32
    ds = travelling(points, amplitude=amplitude, offset=offset)
    scores = evaluate(Persistence(), ds, steps=6).sel(model="persistence", field="tracer")
    size = np.abs(np.sin(np.pi * np.arange(1, 7) / points))[:, None] * np.ones(2)
    rms = math.sqrt(offset**2 + amplitude**2 / 2)
    np.testing.assert_allclose(scores["vrmse"], 2 * size, rtol=1e-11)
    np.testing.assert_allclose(scores["rmse"], math.sqrt(2) * amplitude * size, rtol=1e-11)
    np.testing.assert_allclose(scores["nrmse"], math.sqrt(2) * amplitude * size / rms, rtol=1e-11)


def test_the_file_has_the_promised_form():
    ds = schema.example(samples=3)
    scores = evaluate({"b": Roll(0), "a": Roll(1)}, ds, steps=2, history=2, starts=2)
    for name in ("nrmse", "vrmse", "rmse", "mae"):
        assert scores[name].dims == ("model", "field", "lead_time", "sample")
        assert np.isfinite(scores[name]).all()
    assert list(scores["model"].values) == ["b", "a", "persistence"]
    assert list(scores["field"].values) == ["tracer", "velocity_x"]
    assert list(scores["units"].values) == ["kg m-3", "m s-1"]
    np.testing.assert_array_equal(scores["lead_time"], [1, 2])
    np.testing.assert_array_equal(scores["step"], [1, 2])
    assert scores["lead_time"].attrs["units"] == "s"
    # 5 frames hold 2 windows of 4, which start at 0 and 1.
    np.testing.assert_array_equal(scores["run"], [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(scores["start_time"], [0, 1, 0, 1, 0, 1])
    assert scores.attrs["system"] == "example"
    assert scores.attrs["history"] == 2
    np.testing.assert_allclose(scores["vrmse"].attrs["floor"], 1e-3 * scores.attrs["std"])
    np.testing.assert_allclose(scores["nrmse"].attrs["floor"], 1e-3 * scores.attrs["rms"])


def test_an_exact_model_beats_persistence_at_every_lead_time():
    scores = evaluate({"exact": Roll(1)}, travelling(), steps=5, starts=2)
    assert float(scores["vrmse"].sel(model="exact").max()) < 1e-13
    assert float(scores["vrmse"].sel(model="persistence").min()) > 0.1


def test_persistence_of_a_steady_flow_is_exact():
    ds = travelling()
    still = ds.copy(data={"tracer": np.broadcast_to(ds["tracer"][:, :1], ds["tracer"].shape)})
    scores = evaluate(Persistence(), still, steps=5, history=2)
    for name in ("nrmse", "vrmse", "rmse", "mae", "max_error", "drift"):
        assert float(np.abs(scores[name]).max()) == 0
    assert float(scores["pearson"].min()) == 1
    # Every one of the 5 steps, 0.25 s apart, is usable.
    assert float(scores["valid_time"].min()) == 1.25


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_the_batch_size_changes_nothing(dtype, batch_size):
    ds = schema.example(samples=3, frames=8).astype(dtype)
    models = {"roll": Roll(1)}
    whole = evaluate(models, ds, steps=3, starts=3, batch_size=4)
    xr.testing.assert_identical(
        evaluate(models, ds, steps=3, starts=3, batch_size=batch_size), whole
    )


def test_points_outside_the_mask_never_matter():
    ds = schema.example(frames=6)
    inside = np.ones((2, 8, 6), dtype=bool)
    inside[0, :3, 1:4] = inside[1, 5:] = False
    ds["mask"] = (("sample", "x", "y"), inside, {"role": "mask"})
    spoiled = ds.copy()
    for name in ("tracer", "velocity_x"):
        spoiled[name] = ds[name].where(ds["mask"], np.nan).astype(ds[name].dtype)
    xr.testing.assert_equal(
        evaluate(Persistence(), spoiled, steps=4), evaluate(Persistence(), ds, steps=4)
    )


def test_a_change_of_unit_leaves_relative_scores_unchanged():
    ds = travelling(offset=1.0)
    in_grams = ds.assign(tracer=(1000 * ds["tracer"]).assign_attrs(ds["tracer"].attrs))
    first, second = (evaluate(Persistence(), one, steps=4) for one in (ds, in_grams))
    for name in ("nrmse", "vrmse"):
        np.testing.assert_allclose(first[name], second[name], rtol=1e-12)
    np.testing.assert_allclose(1000 * first["rmse"], second["rmse"], rtol=1e-12)


@pytest.mark.parametrize("alive", [3, 1])
def test_a_field_that_becomes_zero_gives_finite_small_scores(alive):
    # Windows hold 9 frames of which `alive` are a sine of amplitude A, the others zero: the overall
    # RMS is A sqrt(alive/18), the floor a thousandth of it, and e = 1e-6 A against zero truth
    # scores 1e-6 / (1e-3 sqrt(alive/18)) = 1e-3 sqrt(18/alive), also where it died in the history.
    amplitude = 1.5
    ds = travelling(amplitude=amplitude)
    ds["tracer"].values[:, alive:] = 0
    scores = evaluate({"good": Offset(1e-6 * amplitude).double()}, ds, steps=5, history=4)
    for name in ("nrmse", "vrmse"):
        found = scores[name].sel(model="good", field="tracer").isel(lead_time=0)
        np.testing.assert_allclose(found, 1e-3 * math.sqrt(18 / alive), rtol=1e-6)


def test_a_model_keeps_its_precision_and_its_mode():
    # Offset asserts both inside; a forecast of n steps is off by n * 0.5 from a steady truth.
    ds = travelling(amplitude=0.0, offset=1.0)
    model = Offset(0.5).train()
    scores = evaluate(model, ds, steps=3).sel(model="model", field="tracer")
    np.testing.assert_allclose(scores["mae"].isel(sample=0), [0.5, 1.0, 1.5], rtol=1e-6)
    assert model.training


def test_several_datasets_of_one_system_count_as_one():
    ds = travelling(samples=3)
    parts = [ds.isel(sample=[0]), ds.isel(sample=[1, 2])]
    apart, whole = (evaluate(Roll(1), one, steps=3, starts=2) for one in (parts, ds))
    for name in whole.data_vars:
        np.testing.assert_allclose(apart[name], whole[name], rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(apart["dataset"], [0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(apart["run"], [0, 0, 0, 0, 1, 1])


def test_datasets_on_different_grids_share_a_table():
    scores = evaluate(Roll(1), [travelling(32), travelling(16)], steps=3)
    assert float(scores["vrmse"].sel(model="model").max()) < 1e-13


@pytest.mark.parametrize(("starts", "places"), [(1, [0]), (2, [0, 6]), (3, [0, 3, 6])])
def test_windows_are_spread_from_the_start_of_the_run(starts, places):
    # 9 frames, one every 0.25 s from 2 s on, hold 7 windows of 3.
    scores = evaluate(Persistence(), travelling(samples=1), steps=2, history=1, starts=starts)
    np.testing.assert_allclose(scores["start_time"], 2 + 0.25 * np.array(places))


def test_the_history_is_by_default_what_the_models_ask_for():
    assert evaluate({"a": Roll(1, 2), "b": Roll(1, 4)}, travelling(), 2).attrs["history"] == 4


def test_progress_ends_at_its_total():
    calls: list[tuple[int, int]] = []
    evaluate(Persistence(), travelling(), 3, batch_size=1, progress=lambda *c: calls.append(c))
    # 2 models (the given one and the baseline), 2 windows, 3 steps.
    assert calls[-1] == (12, 12)
    assert len(calls) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"steps": 9},
            "1 and 9 steps need 10 frames, and the runs have 9; lower steps to at most 8",
        ),
        ({"steps": 2, "history": 9}, "have 9; lower history to at most 7$"),
        ({"steps": 5, "history": 5}, "lower steps to at most 4 or history to at most 4"),
        ({"steps": 9, "history": 9}, "lower both, to 9 frames in all"),
        ({"steps": 7, "starts": 3}, "9 frames hold 2 windows of 8; lower starts to at most 2"),
        ({"steps": 0}, "expected steps of at least 1, got 0"),
        ({"steps": 1, "history": 0}, "expected history of at least 1, got 0"),
        ({"steps": 1, "starts": 0}, "expected starts of at least 1, got 0"),
        ({"steps": 1, "batch_size": 0}, "expected a batch size of at least 1, got 0"),
    ],
)
def test_impossible_numbers_say_what_to_lower(options, message):
    with pytest.raises(InputError, match=message):
        evaluate(Persistence(), travelling(), **options)


def test_a_model_cannot_take_the_name_of_the_baseline():
    with pytest.raises(InputError, match="named 'persistence'"):
        evaluate({"persistence": Roll(1)}, travelling(), 1)


def test_datasets_that_do_not_belong_together_are_refused():
    ds = travelling()
    with pytest.raises(InputError, match="expected the fields tracer in every dataset, got dye"):
        evaluate(Persistence(), [ds, ds.rename(tracer="dye")], 1)
    slow = ds.assign_coords(time=ds["time"] * 2)
    slow["time"].attrs["units"] = "s"
    with pytest.raises(InputError, match=r"time steps of 0\.25 and 0\.5"):
        evaluate(Persistence(), [ds, slow], 1)
    with pytest.raises(InputError, match="at least one dataset"):
        evaluate(Persistence(), [], 1)


def test_missing_truth_is_refused():
    ds = travelling()
    ds["tracer"].values[0, 4, 3] = np.nan
    with pytest.raises(InputError, match="tracer is NaN or infinite at time 3 s"):
        evaluate(Persistence(), ds, 5)


def test_a_frame_of_another_shape_is_refused():
    class Wrong(Persistence):
        def forward(self, batch):
            return batch.values[..., :1]

    with pytest.raises(InputError, match="cannot be scored"):
        evaluate(Wrong(), travelling(), 1)


def test_linear_extrapolation_goes_on_as_the_last_change():
    ds = schema.example((8, 8), samples=1, frames=6)
    line = xr.DataArray(np.arange(6.0), dims="time")
    for name in schema.names(ds):
        ds[name] = (ds[name].isel(time=0, drop=True) + 0.5 * line).transpose(*ds[name].dims)
    scores = evaluate({"line": LinearExtrapolation()}, ds, steps=4)
    np.testing.assert_allclose(scores["rmse"].sel(model="line"), 0, atol=1e-5)
    # Persistence is off by the change times the step.
    np.testing.assert_allclose(
        scores["rmse"].sel(model="persistence").isel(field=0, sample=0), [0.5, 1, 1.5, 2], rtol=1e-5
    )


def test_linear_extrapolation_of_one_frame_is_persistence():
    ds = schema.example((8, 8), samples=1, frames=4)
    scores = evaluate({"line": LinearExtrapolation()}, ds, steps=2, history=1)
    first = scores["rmse"].isel(lead_time=0)
    np.testing.assert_array_equal(first.sel(model="line"), first.sel(model="persistence"))
