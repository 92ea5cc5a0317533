"""Laws of the table: means over runs, their standard error, the best one marked."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mpp.errors import InputError
from mpp.metrics import Cell, table, with_intervals
from mpp.metrics.summary import long_table, overview, usable_steps
from mpp.viz.page import Section, render


def scores(values: np.ndarray, run: list[int]) -> xr.Dataset:
    """Values over (model, lead_time, sample) as an evaluation of one field."""
    models = ["a", "persistence"]
    steps = np.arange(1, values.shape[1] + 1)
    coords = {
        "model": models,
        "field": ["density"],
        "lead_time": ("lead_time", 0.5 * steps, {"units": "s"}),
        "step": ("lead_time", steps),
        "run": ("sample", run),
        "dataset": ("sample", [0] * len(run)),
    }
    dims = ("model", "field", "lead_time", "sample")
    return xr.Dataset({"vrmse": (dims, values[:, None])}, coords, {"system": "test"})


def test_windows_of_a_run_count_as_one():
    # Run 0 has the windows 1 and 3, run 1 the window 6: the means 2 and 6 give 4, and the standard
    # error sqrt(((2-4)^2 + (6-4)^2) / 1) / sqrt(2) = 2.
    values = np.array([[[1.0, 3.0, 6.0]], [[9.0, 9.0, 9.0]]])
    summary = table(scores(values, [0, 0, 1]))
    cell = summary.cells["density", "a", 1]
    assert (cell.mean, cell.best) == (4, True)
    assert cell.error == pytest.approx(2)
    assert summary.cells["density", "persistence", 1].best is False
    assert summary.runs == 2
    assert str(cell) == "4.00 ± 2.00"


def test_one_run_has_no_spread():
    cell = table(scores(np.array([[[1.0]], [[0.5]]]), [0])).cells["density", "persistence", 1]
    assert np.isnan(cell.error)
    assert (str(cell), cell.best) == ("0.500", True)


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (0.02751, 1e-17, "0.0275 ± 0.0000"),
        (123.4, 5.6, "123 ± 6"),
        (1.234e-5, 1.2e-6, "1.23e-05 ± 1.20e-06"),
        (2.5e7, np.nan, "2.50e+07"),
        (0.0, 0.0, "0.00 ± 0.00"),
        (np.inf, np.nan, "inf"),
    ],
)
def test_a_cell_reads_well_at_any_size(mean, error, text):
    assert str(Cell(mean, error, best=False)) == text


def test_the_last_step_stands_in_for_those_beyond_it():
    summary = table(scores(np.ones((2, 12, 2)), [0, 1]), lead_steps=(1, 5, 20, 50))
    assert summary.steps == (1, 5, 12)
    assert summary.lead_times == (0.5, 2.5, 6.0)
    assert len(summary.row("density", "a")) == 3


def test_the_table_reads_the_right_step():
    values = np.broadcast_to(np.arange(1.0, 7.0)[:, None], (2, 6, 2))
    row = table(scores(values, [0, 1]), lead_steps=(2, 5)).row("density", "a")
    assert [cell.mean for cell in row] == [2, 5]


def test_equal_models_are_both_best():
    cells = table(scores(np.ones((2, 1, 2)), [0, 1])).cells.values()
    assert all(cell.best for cell in cells)


def test_a_diverged_model_shows_and_never_wins():
    values = np.array([[[np.nan, 0.0]], [[1.0, 1.0]]])
    summary = table(scores(values, [0, 1]))
    assert str(summary.cells["density", "a", 1]) == "diverged"
    assert summary.cells["density", "a", 1].best is False
    assert summary.cells["density", "persistence", 1].best is True


def test_an_unknown_score_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="no score 'ssim' among: vrmse"):
        table(scores(np.ones((2, 1, 1)), [0]), score="ssim")


def test_the_best_value_is_the_one_that_the_score_says():
    values = np.array([[[0.7, 0.7]], [[0.9, 0.9]]])
    for best, winner in (("lowest", "a"), ("highest", "persistence"), ("truth", None)):
        ds = scores(values, [0, 1])
        ds["vrmse"].attrs["best"] = best
        cells = table(ds).cells
        winners = [m for m in ("a", "persistence") if cells["density", m, 1].best]
        assert winners == ([winner] if winner else [])
    # A ratio of 3 is nearer to 1 than one of 0.2.
    ds = scores(np.array([[[3.0]], [[0.2]]]), [0])
    ds["vrmse"].attrs["best"] = "one"
    assert table(ds).cells["density", "a", 1].best


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("lowest", "lower is better"),
        ("highest", "higher is better"),
        ("one", "1 is best"),
        ("truth", "best is what the truth has"),
    ],
)
def test_the_table_and_its_page_say_which_values_are_better(which, words):
    found = scores(np.array([[[0.9]], [[0.2]]]), [0])
    found["vrmse"].attrs["best"] = which
    summary = table(found)
    assert summary.better == words
    assert f"{words}</caption>" in render("title", [Section("scores", [summary])])


def test_intervals_are_shown_to_the_place_of_the_mean():
    ds = with_intervals(scores(np.array([[[0.1, 0.2, 0.3, 0.4]], [[1.0, 1, 1, 1]]]), [0, 1, 2, 3]))
    summary = table(ds)
    cell = summary.cells["density", "a", 1]
    assert cell.interval is not None
    low, high = cell.interval
    assert cell.text == f"0.250 ({low:.3f} to {high:.3f})"
    assert summary.level == 0.95
    assert str(cell).startswith("0.250 ± ")
    assert Cell(0.25, np.nan, best=False).text == "0.250"
    assert Cell(np.nan, np.nan, False, (0.1, np.inf)).text == "diverged"


def test_usable_steps_are_counted_window_by_window():
    values = np.array([[[0.1, 0.9], [0.2, 0.1], [0.7, 0.1]], [[0.6] * 2] * 3])
    counts = usable_steps(scores(values, [0, 0]))
    assert counts == {("density", "a"): [2, 0], ("density", "persistence"): [0, 0]}
    with pytest.raises(InputError, match="needs the vrmse"):
        usable_steps(scores(values, [0, 0]).drop_vars("vrmse"))


def test_the_overview_holds_every_score_at_one_step():
    ds = scores(np.array([[[1.0], [2.0]], [[3.0], [0.5]]]), [0])
    ds["vrmse"].attrs["units"] = "unit of the field"
    ds = ds.assign_coords(units=("field", ["kg m-3"]))
    ds["drift_energy"] = ds["vrmse"].isel(field=0, drop=True) * 2
    first, second = overview(ds, 2)
    assert (first.field, first.score, first.units) == ("density", "vrmse", "kg m-3")
    assert [cell.mean for cell in first.cells] == [2.0, 0.5]
    assert [cell.best for cell in first.cells] == [False, True]
    assert (second.field, second.score) == ("", "drift_energy")
    assert [cell.mean for cell in second.cells] == [4.0, 1.0]
    assert overview(ds, 100) == [first, second]


def test_the_long_table_has_a_row_for_every_mean():
    ds = scores(np.array([[[1.0, 3, 6]], [[9.0, 9, 9]]]), [0, 0, 1])
    ds["valid_time"] = ds["vrmse"].isel(lead_time=0, drop=True)
    rows = long_table(with_intervals(ds))
    row = rows[(rows.score == "vrmse") & (rows.model == "a")].iloc[0]
    # As in the first test: the means over the runs' windows are 2 and 6.
    assert (row["mean"], row.standard_error, row.runs, row.step) == (4, 2, 2, 1)
    assert (row.low, row.high) == (2, 6)
    whole = rows[(rows.score == "valid_time") & (rows.model == "a")].iloc[0]
    assert whole["mean"] == 4
    assert pd.isna(whole.step)
    assert len(rows) == 4
