"""Laws of the closing scores: what is said of the reach is what the errors are."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mpp.model.surrogate import Persistence
from mpp.schema import example
from mpp.study.closing import LINE, TUNED, UNTUNED, reaches, score, told_held_out, write


def made(tuned, still, units: str = "s") -> xr.Dataset:
    """Scores of one field in two windows whose mean is as given."""
    steps = len(tuned)
    models = [TUNED, UNTUNED, LINE, "persistence"]
    values = np.stack([tuned, np.ones(steps), np.ones(steps), still])[:, None, :, None]
    values = values * np.array([0.9, 1.1])
    coords = {
        "model": models,
        "field": ["height"],
        "lead_time": ("lead_time", 0.5 * np.arange(1, steps + 1), {"units": units}),
        "step": ("lead_time", np.arange(1, steps + 1)),
    }
    data = {"vrmse": (("model", "field", "lead_time", "sample"), values, {"units": "1"})}
    return xr.Dataset(data, coords, {"system": "mine"})


@pytest.mark.parametrize(
    ("tuned", "still", "step", "worse", "said"),
    [
        (
            [0.1, 0.2, 0.6],
            [0.3, 0.4, 0.5],
            2,
            (3,),
            "usable up to lead time 1 s .step 2: VRMSE 0.2",
        ),
        ([0.1, 0.2, 0.3], [0.3, 0.4, 0.5], 3, (), "step 3, the last that was scored: VRMSE 0.3"),
        # Slow at first: copying is better at one step, and not at two.
        ([0.2, 0.2, 0.3], [0.1, 0.4, 0.5], 3, (1,), "WORSE than copying the last frame at step 1"),
        # What comes back below the limit has been above it.
        ([0.1, 0.7, 0.1], [0.9, 0.9, 0.9], 1, (), "usable up to lead time 0.5 s"),
        ([0.6, 0.7, 0.8], [0.9, 0.9, 0.9], 0, (), "not usable at any lead time .step 1: VRMSE 0.6"),
        ([0.3, 0.3, 0.4], [0.1, 0.2, 0.3], 0, (1, 2, 3), "WORSE .* at every step"),
        ([0.1, np.nan, np.nan], [0.3, 0.3, 0.3], 1, (2, 3), "WORSE .* at steps 2, 3"),
    ],
)
def test_the_reach_is_the_last_step_below_the_limit_that_beats_copying(
    tuned, still, step, worse, said
):
    (found,) = reaches(made(tuned, still))
    assert (found.step, found.worse) == (step, worse)
    assert pd.Series([str(found)]).str.contains(said).all(), str(found)


def test_models_and_baselines_are_scored_as_far_as_the_frames_go(tmp_path):
    model = Persistence()
    scores = score(model, model, example((8, 8), samples=2, frames=6))
    assert scores["model"].values.tolist() == [TUNED, UNTUNED, LINE, "persistence"]
    # One frame is given and five are left; two runs leave room for one window each.
    assert (scores.sizes["lead_time"], scores.sizes["sample"]) == (5, 2)
    long = score(model, model, example((8, 8), samples=1, frames=40))
    assert (long.sizes["lead_time"], long.sizes["sample"]) == (20, 4)
    write(long, tmp_path)
    table = pd.read_csv(tmp_path / "scores.csv")
    row = table.query("model == 'persistence' and field == 'tracer' and step == 3")
    kept = xr.load_dataset(tmp_path / "scores.nc", decode_times=False)["vrmse"]
    cell = kept.sel(model="persistence", field="tracer").isel(lead_time=2)
    assert row["vrmse"].item() == pytest.approx(float(cell.mean()))


def test_what_is_held_out_is_said_by_run_or_by_time():
    many = example((8, 8), samples=9, frames=4).assign_attrs(system="mine")
    held = {"sample": np.array([0, 3, 4, 5]), "time": np.arange(4)}
    assert (
        told_held_out(many, held) == "mine: held out runs 1, 4 to 6 of 9, whole; the others train"
    )
    one = example((8, 8), samples=1, frames=10).assign_attrs(system="mine")
    told = told_held_out(one, {"sample": np.array([0]), "time": np.arange(7, 10)})
    start = f"from time {float(one['time'][7]):.4g} s on"
    assert "one run only, so its last 3 of 10 frames" in told
    assert start in told
