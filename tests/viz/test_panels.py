"""Laws of the rollout pictures."""

import numpy as np
import pytest
import xarray as xr

from mpp.errors import InputError
from mpp.viz import tiles
from mpp.viz.panels import lead_times, panels, spread


def images(figure) -> list[list]:
    """The images of each panel in the order drawn, colour bars left out."""
    return [axes.get_images() for axes in figure.axes if axes.get_label() != "<colorbar>"]


def bars(figure) -> list:
    return [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]


def test_rows_are_truth_prediction_and_error_and_columns_lead_times(rollout):
    figure = panels(rollout(frames=9), "tracer")
    assert len(images(figure)) == 3 * 5
    assert len(bars(figure)) == 2
    titles = [axes.get_title() for axes in figure.axes[:5]]
    # Frames 0, 2, 4, 5, 7 of eight, one second apart, after a history that ends at zero.
    assert titles == [f"lead {n} s" for n in (1, 3, 5, 6, 8)]
    assert figure.axes[0].get_ylabel() == "truth\ny (m)"
    assert figure.axes[10].get_xlabel() == "x (m)"
    assert figure.get_suptitle() == "example · tracer $s$ · run 0"
    assert [bar.get_ylabel() for bar in bars(figure)] == [
        "tracer $s$ (kg m⁻³)",
        "error (kg m⁻³)",
    ]


def test_truth_and_prediction_share_one_scale_and_the_error_has_its_own(rollout):
    ds = rollout(frames=4)
    figure = panels(ds, "tracer")
    limits = [panel[0].get_clim() for panel in images(figure)]
    truth = ds["truth_tracer"].isel(sample=0)
    assert limits[:6] == [(float(truth.min()), float(truth.max()))] * 6
    # The prediction is 1.1 times the truth, so the largest error is a tenth of the largest truth.
    largest = float(0.1 * truth.max())
    np.testing.assert_allclose(limits[6:], [(-largest, largest)] * 3)


def test_the_score_of_each_frame_stands_above_its_error(rollout):
    ds = rollout(frames=3)
    truth = ds["truth_tracer"].isel(sample=0, time=0)
    expected = np.sqrt(float(((0.1 * truth) ** 2).mean()) / float(truth.var()))
    assert panels(ds, "tracer").axes[4].get_title() == f"VRMSE {expected:.2g}"


def test_without_truth_the_prediction_stands_alone(rollout):
    ds = rollout(frames=4)
    figure = panels(ds.drop_vars(["truth_tracer", "truth_velocity_x"]), "tracer")
    assert len(images(figure)) == 3
    assert len(bars(figure)) == 1


def test_the_first_space_axis_points_right_and_the_second_up(rollout):
    ds = rollout(shape=(8, 6), frames=2)
    image = images(panels(ds, "tracer"))[0][0]
    shown, truth = image.get_array(), ds["truth_tracer"].values[0, 0]
    np.testing.assert_array_equal(shown, truth.T)
    assert image.origin == "lower"
    # Cells reach half a spacing beyond the first and the last point.
    np.testing.assert_allclose(image.get_extent(), [-1 / 16, 15 / 16, -1 / 12, 11 / 12])
    assert image.axes.get_aspect() == 1


def test_a_wide_domain_has_a_row_for_each_lead_time(rollout):
    ds = rollout(shape=(32, 4), frames=3)
    ds["x"] = ds["x"] * 8
    ds["x"].attrs.update(units="m", boundary="periodic")
    grid = panels(ds, "tracer").axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == (2, 3)


def test_one_space_axis_is_a_space_time_diagram(rollout):
    ds = rollout(shape=(16,), frames=7)
    figure = panels(ds, "tracer")
    assert len(images(figure)) == 3
    assert images(figure)[0][0].get_array().shape == (16, 6)
    assert figure.axes[2].get_xlabel() == "time (s)"
    assert figure.get_suptitle().endswith("lead 1 s to 6 s")


def test_three_space_axes_are_middle_planes(rollout):
    ds = rollout(shape=(6, 5, 4), frames=5)
    found = images(panels(ds, "tracer"))
    assert len(found) == 3 * 3 * 2
    # The planes z = const, y = const and x = const at the first and at the last frame.
    shapes = [panel[0].get_array().shape for panel in found[:6]]
    assert shapes == [(5, 6)] * 2 + [(4, 6)] * 2 + [(4, 5)] * 2
    middle = ds["truth_tracer"].values[0, 0, :, :, 2]
    np.testing.assert_array_equal(found[0][0].get_array(), middle.T)


def test_missing_values_are_shown_as_missing_and_do_not_move_the_scale(rollout):
    ds = rollout(frames=4)
    before = images(panels(ds, "tracer"))[0][0].get_clim()
    ds["tracer"][0, 1, :3] = np.nan
    ds["tracer"][0, 2] = np.inf
    figure = panels(ds, "tracer")
    found = images(figure)
    assert found[0][0].get_clim() == before
    assert found[4][0].get_array().mask.sum() == 3 * 6
    assert found[5][0].get_array().mask.all()
    assert figure.axes[4].patch.get_hatch() == "////"
    assert [text.get_text() for text in figure.axes[5].texts] == ["not finite"]
    assert figure.axes[7].get_title() == "not finite"
    assert figure.get_suptitle().endswith("hatched: not finite")


def test_points_outside_a_mask_are_grey_and_count_for_nothing(rollout):
    ds = rollout(frames=3)
    inside = xr.ones_like(ds["tracer"].isel(sample=0, time=0, drop=True), dtype=bool)
    inside[2:4, 2:4] = False
    clean = images(panels(ds, "tracer"))[0][0].get_clim()
    ds = ds.assign(mask=inside.assign_attrs(role="mask"))
    for name in ("tracer", "truth_tracer"):
        ds[name] = ds[name].where(inside, 1e9 if name == "tracer" else np.nan)
    figure = panels(ds, "tracer")
    assert images(figure)[0][0].get_clim()[1] <= clean[1]
    assert len(images(figure)[0]) == 2
    assert "hatched" not in figure.get_suptitle()


def test_an_uneven_axis_is_drawn_cell_by_cell(rollout):
    ds = rollout(shape=(4, 3), frames=2)
    ds["x"] = ("x", [0.0, 0.1, 0.3, 0.7], ds["x"].attrs)
    figure = panels(ds, "tracer")
    assert images(figure)[0] == []
    assert len(figure.axes[0].collections) == 1
    # Borders lie midway between points: 0.05, 0.2, 0.5, and as far beyond the ends.
    np.testing.assert_allclose(tiles.edges(ds["x"].values), [-0.05, 0.05, 0.2, 0.5, 0.9])


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_tiny_and_huge_values_are_drawn(rollout, scale):
    ds = rollout(frames=2)
    for name in ("tracer", "truth_tracer"):
        ds[name] = (scale * ds[name]).assign_attrs(ds[name].attrs)
    figure = panels(ds, "tracer")
    figure.draw_without_rendering()
    assert images(figure)[0][0].get_clim()[1] == float(ds["truth_tracer"][0].max())


def test_lead_time_counts_from_the_end_of_the_history(rollout):
    ds = rollout(frames=4)
    np.testing.assert_allclose(lead_times(ds), [1, 2, 3])
    del ds.attrs["history_end"]
    # Unknown, so the first frame is taken to be one step after it.
    np.testing.assert_allclose(lead_times(ds.isel(time=slice(1, None))), [1, 2])


def test_frames_are_spread_with_both_ends():
    assert spread(9, 5) == [0, 2, 4, 6, 8]
    assert spread(2, 5) == [0, 1]
    assert spread(1, 5) == [0]


@pytest.mark.parametrize(
    ("field", "sample", "message"),
    [("nothing", 0, "choose one of: tracer, velocity_x"), ("tracer", 2, "runs 0 to 1")],
)
def test_a_wrong_field_or_run_is_refused(rollout, field, sample, message):
    with pytest.raises(InputError, match=message):
        panels(rollout(frames=2), field, sample)
