"""Laws of the error and training curves."""

import numpy as np
import pytest

from mpp.errors import InputError
from mpp.metrics import with_intervals
from mpp.viz.curves import curves, quartiles


def test_a_panel_a_field_and_a_line_a_model(scores):
    figure = curves(scores(("a", "b", "persistence"), ("height", "velocity_x")), "vrmse")
    assert len(figure.axes) == 2
    assert [axes.get_title() for axes in figure.axes] == ["height", "velocity_x"]
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["a", "b", "persistence"]
    assert figure.axes[0].get_xlabel() == "lead time (s), 0.5 s a step"


def test_the_line_is_the_median_and_the_band_reaches_the_quartiles(scores):
    # Samples are 0.8, 0.9, 1, 1.1, 1.2 times 0.01 n at step n: quartiles 0.9, 1 and 1.1.
    axes = curves(scores(), "vrmse").axes[0]
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), 0.01 * np.arange(1, 9))
    corners = axes.collections[0].get_paths()[0].vertices
    first = corners[corners[:, 0] == 0.5][:, 1]
    np.testing.assert_allclose([first.min(), first.max()], [0.009, 0.011])


def test_intervals_of_the_file_are_the_bands_and_the_title_says_so(scores):
    ds = with_intervals(scores())
    figure = curves(ds, "vrmse")
    axes = figure.axes[0]
    # The mean over samples of 0.8, 0.9, 1, 1.1, 1.2 times 0.01 n is 0.01 n at step n.
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), 0.01 * np.arange(1, 9))
    for model, band in enumerate(axes.collections):
        corners = band.get_paths()[0].vertices
        for step in (0, 7):
            at = corners[np.isclose(corners[:, 0], 0.5 * (step + 1))][:, 1]
            low, high = ds["vrmse_interval"][model, 0, step].values
            np.testing.assert_allclose([at.min(), at.max()], [low, high])
            assert low < high
    title = "shallow_water · VRMSE\nmean of 5 runs, band: 95 % bootstrap interval of the mean"
    assert figure.get_suptitle() == title
    assert curves(scores(), "vrmse").get_suptitle().endswith("median and quartiles of 5 samples")


def test_a_mean_over_runs_with_one_that_diverged_ends_in_a_cross(scores):
    ds = scores()
    ds["vrmse"][0, 0, 4:, 0] = np.nan
    axes = curves(with_intervals(ds), "vrmse").axes[0]
    line, cross = axes.get_lines()[:2]
    assert np.isfinite(line.get_ydata()).sum() == 4
    assert (cross.get_marker(), cross.get_xdata()[0]) == ("x", 2.0)


def test_names_that_are_no_abbreviation_are_in_small_letters(scores):
    ds = scores().rename(rmse="drift_energy")
    figure = curves(ds, "drift_energy")
    assert "drift energy" in figure.get_suptitle()
    assert figure.axes[0].get_ylabel() == "drift energy (m)"


def test_persistence_is_dashed_and_grey_and_the_others_differ(scores):
    models = (*"abcdef", "persistence")
    lines = curves(scores(models), "vrmse").axes[0].get_lines()
    assert lines[-1].get_linestyle() == "--"
    assert lines[-1].get_color() == "0.45"
    assert len({line.get_color() for line in lines}) == 7


def test_more_models_than_colours_differ_in_dashes(scores):
    lines = curves(scores(tuple("abcdefgh")), "vrmse").axes[0].get_lines()
    looks = {(line.get_color(), str(line._dash_pattern)) for line in lines}
    assert len(looks) == 8


def test_the_axis_is_logarithmic_when_the_range_asks(scores):
    # Two models over steps 1 to 8 span 16; one thousandth of the first spans 16000.
    assert curves(scores(), "vrmse").axes[0].get_yscale() == "linear"
    ds = scores()
    ds["vrmse"][0] *= 1e-3
    assert curves(ds, "vrmse").axes[0].get_yscale() == "log"


def test_a_score_in_the_fields_unit_says_so_on_every_panel(scores):
    figure = curves(scores(), "rmse")
    assert [axes.get_ylabel() for axes in figure.axes] == ["RMSE (m)", "RMSE (m s⁻¹)"]
    assert [axes.get_ylabel() for axes in curves(scores(), "vrmse").axes] == ["VRMSE", ""]


def test_a_diverging_model_ends_in_a_cross(scores):
    ds = scores()
    ds["vrmse"][0, 0, 4:, :3] = np.nan
    axes = curves(ds, "vrmse").axes[0]
    line, cross = axes.get_lines()[:2]
    assert np.isfinite(line.get_ydata()).sum() == 4
    assert cross.get_marker() == "x"
    assert cross.get_xdata()[0] == 2.0


def test_quartiles_count_what_is_not_finite_as_worst():
    np.testing.assert_allclose(quartiles(np.array([[1.0, 2, 3, 4, 5]]))[:, 0], [2, 3, 4])
    np.testing.assert_allclose(quartiles(np.array([[1.0, 2, 3, 4, np.nan]]))[:, 0], [2, 3, 4])
    np.testing.assert_allclose(quartiles(np.array([[1.0, 2, 3, np.inf, np.nan]]))[:2, 0], [2, 3])
    assert np.isinf(quartiles(np.array([[1.0, 2, 3, np.inf, np.nan]]))[2, 0])
    assert np.isinf(quartiles(np.full((1, 5), np.nan))).all()
    # One sample of 0 in a perfect forecast is no division and no infinity.
    np.testing.assert_array_equal(quartiles(np.zeros((1, 3)))[:, 0], [0, 0, 0])


def test_everything_diverged_and_a_single_sample_are_drawn(scores):
    ds = scores(samples=1)
    ds["vrmse"][:] = np.nan
    curves(ds, "vrmse").draw_without_rendering()
    assert len(curves(scores(samples=1), "vrmse").axes[0].collections) == 0


def test_an_unknown_score_is_refused(scores):
    with pytest.raises(InputError, match=r"no score 'mse'.*the file has: vrmse, rmse"):
        curves(scores(), "mse")


def test_a_correlation_is_drawn_up_to_one_on_a_linear_axis(scores):
    ds = scores(("a", "persistence"))
    ds["vrmse"].values[0] /= 1e4
    ds["vrmse"].values[1, ..., -1, :] = -0.3
    ds["vrmse"].attrs["best"] = "highest"
    axes = curves(ds, "vrmse").axes[0]
    assert axes.get_yscale() == "linear"
    low, high = axes.get_ylim()
    assert low < -0.3
    assert high == 1.05
