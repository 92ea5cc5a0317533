"""Laws of the pages without a browser: what is chosen is what is drawn."""

import holoviews as hv
import numpy as np
import pytest

from mpp.explorer.app import Application
from mpp.explorer.evaluation import EvaluationPage, curve, spans
from mpp.explorer.pictures import palette
from mpp.explorer.rollout import RolloutPage, options
from mpp.metrics import with_intervals
from mpp.viz.curves import lines
from mpp.viz.style import MASKED_COLOUR


def pixels(page, part):
    return page.pictures[part].data.data["image"][0]


def lead(ds, frame):
    return float(ds["time"][frame]) - ds.attrs["history_end"]


def of(ds, name, **place):
    """A frame as the pictures have it: rows from bottom to top."""
    return ds[name].isel(place).values.T.astype(np.float32)


def test_pictures_follow_field_run_and_lead_time(rollout):
    ds = rollout(shape=(8, 6), frames=5)
    page = RolloutPage(ds, "r.nc")
    chosen = {"sample": 0, "time": 0}
    np.testing.assert_array_equal(pixels(page, "truth"), of(ds, "truth_tracer", **chosen))
    page.field.value = "velocity_x"
    page.sample.value = 1
    page.lead.value = 3
    chosen = {"sample": 1, "time": 3}
    np.testing.assert_array_equal(pixels(page, "prediction"), of(ds, "velocity_x", **chosen))
    assert page.pictures["truth"].mapper.low == page.pictures["prediction"].mapper.low
    error = page.pictures["error"].mapper
    assert error.low == -error.high
    assert page.pictures["error"].bar.title == "error (m s⁻¹)"
    assert page.pictures["error"].plot.title.text.startswith("error · VRMSE")
    assert page.series.marker.location == pytest.approx(
        float(ds["time"][3]) - ds.attrs["history_end"]
    )


def test_a_tap_moves_the_cross_the_sliders_and_the_lines(rollout):
    ds = rollout(shape=(8, 6), frames=5)
    page = RolloutPage(ds, "r.nc")
    page._tapped(float(ds["x"][1]), float(ds["y"][4]))
    assert {axis: slider.value for axis, slider in page.point.items()} == {"x": 1, "y": 4}
    picture = page.pictures["truth"]
    assert picture.point.data == {"x": [float(ds["x"][1])], "y": [float(ds["y"][4])]}
    series = page.series.sources["truth"].data["y"]
    np.testing.assert_array_equal(series, ds["truth_tracer"].isel(sample=0, x=1, y=4))
    section = page.section.sources["prediction"].data["y"]
    np.testing.assert_array_equal(section, ds["tracer"].isel(sample=0, time=0, y=4))
    page.along.value = "y"
    section = page.section.sources["prediction"].data["y"]
    np.testing.assert_array_equal(section, ds["tracer"].isel(sample=0, time=0, x=1))
    assert [line.visible for line in picture.lines["height"]] == [True, True]
    assert [line.visible for line in picture.lines["width"]] == [False, False]
    page._tapped_time(lead(ds, 2))
    assert page.lead.value == 2


def test_a_cube_is_shown_on_the_plane_that_is_chosen(rollout):
    ds = rollout(shape=(5, 6, 7), frames=3)
    page = RolloutPage(ds, "r.nc")
    page.point["z"].value = 2
    np.testing.assert_array_equal(
        pixels(page, "truth"), of(ds, "truth_tracer", sample=0, time=0, z=2)
    )
    page.normal.value = "x"
    page.point["x"].value = 4
    np.testing.assert_array_equal(
        pixels(page, "truth"), of(ds, "truth_tracer", sample=0, time=0, x=4)
    )
    assert page.pictures["truth"].plot.xaxis.axis_label == "y (m)"


def test_a_line_is_a_space_time_diagram(rollout):
    ds = rollout(shape=(8,), frames=6)
    page = RolloutPage(ds, "r.nc")
    whole = of(ds, "truth_tracer", sample=0)
    np.testing.assert_array_equal(pixels(page, "truth"), whole)
    page.lead.value = 3
    np.testing.assert_array_equal(pixels(page, "truth"), whole)
    assert page.pictures["truth"].point.data["x"] == [
        float(ds["time"][3]) - ds.attrs["history_end"]
    ]
    section = page.section.sources["truth"].data["y"]
    np.testing.assert_array_equal(section, ds["truth_tracer"].isel(sample=0, time=3))


def test_colours_cover_the_run_or_the_frame(rollout):
    ds = rollout(shape=(8, 6), frames=5)
    ds["truth_tracer"][0, 2] *= 10
    page = RolloutPage(ds, "r.nc")
    whole = page.pictures["truth"].mapper.high
    page.colours.value = False
    frame = page.pictures["truth"].mapper.high
    assert frame == pytest.approx(float(ds["truth_tracer"].isel(sample=0, time=0).max()))
    assert frame < whole
    page.lead.value = 2
    assert page.pictures["truth"].mapper.high > frame


def test_what_is_not_finite_is_grey_and_told(rollout):
    ds = rollout(shape=(8, 6))
    ds["tracer"][0, 0, :3, 0] = np.inf
    page = RolloutPage(ds, "r.nc")
    picture = page.pictures["prediction"]
    assert picture.plot.title.text == "prediction · 3 points not finite"
    assert int(picture.mapper.nan_color[1:3], 16) == round(255 * float(MASKED_COLOUR))
    assert page.spectrum.note.text == "not finite"


def test_axes_without_a_common_wavenumber_have_no_spectrum_and_say_so(rollout):
    ds = rollout(shape=(4, 3)).assign_coords(x=("x", [0.0, 1.0, 3.0, 7.0], {"units": "m"}))
    ds["x"].attrs["boundary"] = "wall"
    assert "uneven" in RolloutPage(ds, "r.nc").spectrum.note.text


def test_playing_goes_to_the_end_and_stops(rollout):
    page = RolloutPage(rollout(shape=(8, 6), frames=4), "r.nc")
    page.play.value = True
    shown = []
    while page.play.value:
        page._next()
        shown.append(page.view.frame)
    assert shown == [1, 2]
    assert not page.playing.running


def test_twins_among_places_are_numbered():
    assert options(["1", "2"]) == {"1": 0, "2": 1}
    assert options(["1", "1"]) == {"1 (no. 0)": 0, "1 (no. 1)": 1}


def test_a_palette_is_the_map():
    from cmcrameri import cm

    found = palette(cm.cmaps["vik"])
    assert len(found) == 256
    assert [int(found[0][i : i + 2], 16) / 255 for i in (1, 3, 5)] == pytest.approx(
        cm.cmaps["vik"](0)[:3], abs=1 / 255
    )


def parts(plot, kind):
    return [part for part in plot if type(part) is kind]


def test_an_evaluation_shows_the_intervals_of_the_file(scores):
    ds = with_intervals(scores(("tuned", "persistence")))
    drawn = lines(ds, "vrmse")
    table = curve(ds, drawn, 1, 0)
    np.testing.assert_allclose(table["middle"], 0.02 * np.arange(1, 9))
    np.testing.assert_array_equal(table["low"], ds["vrmse_interval"][1, 0, :, 0])
    np.testing.assert_array_equal(table["high"], ds["vrmse_interval"][1, 0, :, 1])
    page = EvaluationPage(ds, "s.nc")
    title, grid = page.body
    assert "95 % bootstrap interval of the mean" in title.object
    assert "persistence" in title.object
    assert len(grid) == 2
    plot = grid[0].object
    assert [len(parts(plot, kind)) for kind in (hv.Area, hv.Curve, hv.Scatter)] == [2, 2, 2]
    shown = parts(plot, hv.Curve)[1].dimension_values("middle")
    np.testing.assert_array_equal(shown, table["middle"])
    page.chosen.value = [0]
    assert len(parts(page.body[1][0].object, hv.Curve)) == 1
    page.score.value = "rmse"
    assert page.body[0].object.startswith('<p class="title">RMSE')


def test_an_axis_is_logarithmic_where_lines_are_far_apart(scores):
    ds = scores()
    assert not spans(lines(ds, "vrmse"))
    ds["vrmse"][0] *= 1e-3
    assert spans(lines(ds, "vrmse"))
    assert EvaluationPage(ds, "s.nc").log.value


def test_another_file_is_another_page(rollout, scores):
    app = Application({"r.nc": rollout(shape=(8, 6)), "s.nc": scores()})
    assert isinstance(app.page, RolloutPage)
    app.file.value = "s.nc"
    assert isinstance(app.page, EvaluationPage)


def test_a_file_that_can_no_longer_be_read_is_told(rollout, monkeypatch):
    def broken(*_):
        raise OSError("<b>gone</b>")

    app = Application({name: rollout(shape=(8, 6)) for name in ("a.nc", "b.nc")})
    page = app.page
    monkeypatch.setattr("mpp.explorer.reading.frame", broken)
    page.lead.value = 2
    assert page.trouble.object == '<p class="trouble">&lt;b&gt;gone&lt;/b&gt;</p>'
    app.file.value = "b.nc"
    assert "b.nc: &lt;b&gt;gone&lt;/b&gt;" in app.body[0].object
    monkeypatch.undo()
    app.file.value = "a.nc"
    assert isinstance(app.page, RolloutPage)
