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
        ({"steps": 0}, "steps is 0; give at least 1"),
        ({"steps": 1, "history": 0}, "history is 0; give at least 1"),
        ({"steps": 1, "starts": 0}, "starts is 0; give at least 1"),
        ({"steps": 1, "batch_size": 0}, "batch_size is 0; give at least 1"),
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


BASELINES = ("linear extrapolation", "climatology")


class Rounding(Surrogate):
    """A matrix product whose rounding depends on how many windows it is over."""

    def __init__(self, points: int) -> None:
        super().__init__(history=2)
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(points, points, generator=generator) / points**0.5)

    def forward(self, batch):
        last = batch.values[:, -1:]
        return (last.flatten(1) @ self.weight).reshape(last.shape).tanh()


def rough(samples: int = 5, frames: int = 9) -> xr.Dataset:
    """Noise in two components of a vector, between walls along y."""
    ds = schema.example((24, 20), samples, frames, ("periodic", "wall"))
    noise = np.random.default_rng(0)
    shape = ds["tracer"].shape
    for axis in "xy":
        attrs = {"units": "m s-1", "vector": "velocity", "component": axis}
        ds[f"velocity_{axis}"] = (ds["tracer"].dims, noise.normal(size=shape).astype("f4"), attrs)
    return ds.drop_vars("tracer")


def test_differently_batched_data_gives_identical_numbers():
    # A product over several windows rounds otherwise than over one, as the last line shows; each
    # window by itself is what it is.
    ds = rough()
    model = Rounding(2 * 24 * 20)
    options = {
        "steps": 3,
        "starts": 2,
        "scores": "all",
        "baselines": BASELINES,
        "quantities": {"energy": "0.5*(velocity_x**2 + velocity_y**2)"},
    }
    whole = evaluate({"net": model}, ds, batch_size=None, **options)
    parts = [ds.isel(sample=[0, 1]), ds.isel(sample=[2]), ds.isel(sample=[3, 4])]
    apart = evaluate({"net": model}, parts, batch_size=None, **options)
    together = evaluate({"net": model}, ds, batch_size=5, **options)
    assert set(apart.data_vars) == set(whole.data_vars)
    for name in whole.data_vars:
        np.testing.assert_array_equal(apart[name], whole[name], err_msg=str(name))
        np.testing.assert_allclose(together[name], whole[name], rtol=1e-3, atol=1e-6)
    assert (together["rmse"] != whole["rmse"]).any()


def test_everything_that_the_data_allows_is_computed():
    class Patched(Rounding):
        patch = (4,)

    scores = evaluate(
        {"net": Patched(2 * 24 * 20)},
        rough(),
        2,
        scores="all",
        quantities={"energy": "velocity_x**2"},
    )
    by_field = {"anomaly_correlation", "wasserstein", "patch_imprint", "max_error", "pearson"}
    bands = ("low", "mid", "high")
    by_field |= {f"band_{kind}_{band}" for kind in ("nrmse", "ratio") for band in bands}
    by_field |= {"side_rmse_y_low", "side_rmse_y_high", "nrmse", "vrmse", "rmse", "mae", "drift"}
    of_all = {"drift_energy", "divergence_velocity", "truth_divergence_velocity"}
    assert set(scores.data_vars) == by_field | of_all | {"valid_time"}
    for name in by_field:
        assert scores[name].dims == ("model", "field", "lead_time", "sample")
        assert np.isfinite(scores[name]).all()
        assert {"formula", "units", "best"} <= set(scores[name].attrs)
    for name in of_all:
        assert scores[name].dims == ("model", "lead_time", "sample")
    assert "left_out" not in scores.attrs
    # The three bands are the whole error.
    whole = sum(scores[f"band_nrmse_{band}"] ** 2 for band in bands)
    np.testing.assert_allclose(whole, scores["nrmse"] ** 2)
    # The truth is the same whatever the model.
    truth = scores["truth_divergence_velocity"]
    np.testing.assert_array_equal(truth.sel(model="net"), truth.sel(model="persistence"))


def test_an_exact_model_has_the_best_of_every_score():
    ds = travelling(points=64)
    scores = evaluate({"exact": Roll(1)}, ds, 4, scores="all", quantities={"square": "tracer**2"})
    exact = scores.sel(model="exact")
    for name, value in exact.data_vars.items():
        if name == "valid_time":
            np.testing.assert_allclose(value, 1.0)
            continue
        best = {"lowest": 0, "highest": 1, "one": 1}[value.attrs["best"]]
        # Rounding alone has no imprint of patches, and empty bands no ratio, that could be told.
        if not str(name).startswith("band_ratio"):
            np.testing.assert_allclose(value, best, atol=1e-12, err_msg=str(name))
    np.testing.assert_allclose(exact["band_ratio_low"], 1)


def test_scores_are_computed_by_name_beside_the_cheap_ones():
    found = evaluate(Persistence(), travelling(), 2, scores=["wasserstein"])
    cheap = evaluate(Persistence(), travelling(), 2)
    assert set(found.data_vars) == {*cheap.data_vars, "wasserstein"}
    for name in cheap.data_vars:
        xr.testing.assert_identical(found[name], cheap[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores": ["ssim"]}, "no score is called ssim; there are: nrmse"),
        ({"scores": "side_rmse"}, "side_rmse cannot be computed here: every axis is periodic"),
        ({"scores": ["patch_imprint"]}, "no model reads patches of more than one point"),
        ({"scores": ["divergence"]}, "no vector has a component along each"),
        ({"quantities": {"a b": "tracer"}}, "a quantity is named 'a b'"),
        ({"quantities": {"mass": "dye"}}, "names dye; there are tracer"),
        ({"quantities": {"mass": "tracer.sum()"}}, "not allowed"),
        ({"baselines": ["mean"]}, "no baseline is called mean; there are: linear"),
        ({"compat": "well", "scores": ["drift"]}, "no score of well is called drift"),
    ],
)
def test_what_cannot_be_scored_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        evaluate(Persistence(), travelling(), 2, **options)


def test_an_uneven_grid_has_no_spectrum_and_weighs_its_cells():
    ds = schema.example((8, 6), boundary=("wall",))
    ds = ds.assign_coords(x=schema.coordinate(np.arange(8.0) ** 2, "x", "m", "wall"))
    scores = evaluate(Persistence(), ds, 1, scores="all")
    assert "band_nrmse: x has uneven steps" in scores.attrs["left_out"]
    error = (ds["tracer"].isel(time=1) - ds["tracer"].isel(time=0)).isel(sample=0)
    cells = np.array([1, 2, 4, 6, 8, 10, 12, 13.0])
    expected = np.sqrt(((error**2).mean("y") * cells).sum() / cells.sum())
    found = scores["rmse"].sel(model="model", field="tracer").isel(lead_time=0, sample=0)
    assert float(found) == pytest.approx(float(expected))


def test_baselines_stand_behind_persistence():
    ds = travelling(samples=1)
    grown = ds["tracer"].values[:, :1] + np.arange(9.0)[None, :, None]
    ds = ds.copy(data={"tracer": grown})
    scores = evaluate({"a": Roll(0, 3)}, ds, 4, baselines=BASELINES)
    assert list(scores["model"].values) == ["a", "persistence", *BASELINES]
    # A field that grows by 1 a frame: the line goes on, the mean of frames 0, 1, 2 is 1, and the
    # first frame to score is 3.
    np.testing.assert_allclose(scores["rmse"].sel(model=BASELINES[0]), 0, atol=1e-12)
    first = scores["rmse"].sel(model="climatology", field="tracer")
    np.testing.assert_allclose(first.isel(sample=0), [2, 3, 4, 5])
    assert scores.attrs["climatology"].startswith("mean over the first 3 frames of 1 runs")


def test_the_climatology_of_the_histories_holds_no_scored_frame():
    # Spoiling every frame behind the first history changes nothing of it, also with several starts.
    ds = travelling(samples=3)
    spoiled = ds.copy(deep=True)
    spoiled["tracer"].values[:, 2:] += 5
    options = {"starts": 3, "baselines": ["climatology"]}
    first, second = (evaluate(Roll(1, 2), one, 2, **options) for one in (ds, spoiled))
    mean = ds["tracer"].isel(time=slice(0, 2)).mean(("sample", "time"))
    # Window 0 scores frames 2 and 3 against that mean.
    for found, one in ((first, ds), (second, spoiled)):
        error = one["tracer"].isel(sample=0, time=[2, 3]) - mean
        got = found["rmse"].sel(model="climatology", field="tracer").isel(sample=0)
        np.testing.assert_allclose(got, np.sqrt((error**2).mean("x")))


def test_the_climatology_can_be_that_of_training_runs():
    ds, training = travelling(samples=2), travelling(samples=7, offset=2.0)
    scores = evaluate(Roll(1), ds, 3, baselines=["climatology"], climatology=training)
    mean = training["tracer"].mean(("sample", "time"))
    error = ds["tracer"].isel(sample=1, time=[1, 2, 3]) - mean
    got = scores["rmse"].sel(model="climatology", field="tracer").isel(sample=1)
    np.testing.assert_allclose(got, np.sqrt((error**2).mean("x")))
    assert scores.attrs["climatology"] == "mean over 7 training runs"
    with pytest.raises(InputError, match="none of the training runs is on the grid"):
        evaluate(Roll(1), ds, 3, baselines=["climatology"], climatology=travelling(16))
    other = training.rename(tracer="dye")
    with pytest.raises(InputError, match="climatology: expected the fields tracer, got dye"):
        evaluate(Roll(1), ds, 3, baselines=["climatology"], climatology=other)


def test_the_climatology_of_masked_runs_is_that_of_the_points_inside():
    ds = schema.example(frames=4)
    inside = np.ones((2, 8, 6), dtype=bool)
    inside[0, :3] = inside[1, 5:] = False
    ds["mask"] = (("sample", "x", "y"), inside, {"role": "mask"})
    for name in ("tracer", "velocity_x"):
        ds[name] = ds[name].where(ds["mask"], np.nan)
    scores = evaluate(Persistence(), ds, 2, baselines=["climatology"])
    values = ds["tracer"].isel(time=slice(0, 1))
    error = (ds["tracer"].isel(time=1) - values.mean(("sample", "time"))).isel(sample=0)
    got = scores["rmse"].sel(model="climatology", field="tracer").isel(lead_time=0, sample=0)
    assert float(got) == pytest.approx(float(np.sqrt((error**2).mean())))


def test_quantities_see_maps_and_numbers_of_the_equation():
    ds = schema.example(frames=4)
    ds["depth"] = (("x", "y"), np.full((8, 6), 3.0), {"role": "static", "units": "m"})
    scores = evaluate(
        Persistence(),
        ds,
        2,
        quantities={
            "text": "depth * diffusivity * tracer",
            "function": lambda v: v["depth"] * v["diffusivity"] * v["tracer"],
        },
    )
    np.testing.assert_allclose(scores["drift_text"], scores["drift_function"])
    # Factors that are the same everywhere leave a relative drift as it is.
    plain = scores["drift"].sel(field="tracer", drop=True)
    np.testing.assert_allclose(scores["drift_text"], plain, rtol=1e-5, atol=1e-12)


def test_a_published_definition_takes_the_place_of_ours():
    from mpp.metrics import pdebench, well

    ds = travelling(points=32)
    for name, module in (("pdebench", pdebench), ("well", well)):
        scores = evaluate(Persistence(), ds, 2, compat=name)
        assert set(scores.data_vars) - {"valid_time"} == set(module.NAMES)
        assert scores.attrs["compat"] == name
        before, after = (ds["tracer"].isel(sample=[1], time=[t]).values[:, :, None] for t in (0, 1))
        expected = module.of_samples(torch.from_numpy(before), torch.from_numpy(after))
        for one in module.NAMES:
            got = scores[one].sel(model="model", field="tracer").isel(lead_time=0, sample=1)
            np.testing.assert_allclose(got, expected[one].item())
    masked = ds.assign(mask=(("x",), np.arange(32) > 3, {"role": "mask"}))
    with pytest.raises(InputError, match="the published definitions know no mask"):
        evaluate(Persistence(), masked, 2, compat="well")


def test_the_file_survives_the_disk(tmp_path):
    scores = evaluate(Persistence(), rough(), 2, scores="all", baselines=BASELINES)
    scores.to_netcdf(tmp_path / "scores.nc")
    with xr.open_dataset(tmp_path / "scores.nc", decode_timedelta=False) as read:
        for name in scores.data_vars:
            np.testing.assert_array_equal(read[name], scores[name])
