"""Laws of the colour scales, and that equal figures are equal files."""

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from mpp.fields import Field, known_field
from mpp.viz.style import DIVERGING, ERROR, SEQUENTIAL, error_scale, field_scale, save, styled


def test_a_field_of_both_signs_is_diverging_and_centred_at_zero():
    scale = field_scale(np.array([-3.0, 1.0, np.nan, np.inf]), known_field("vorticity"))
    assert (scale.low, scale.high) == (-3, 3)
    assert scale.colours is DIVERGING
    assert scale.norm(0.0) == 0.5


def test_a_positive_field_is_sequential_over_its_range():
    scale = field_scale(np.array([0.5, 2.0]), known_field("density"))
    assert (scale.low, scale.high, scale.colours) == (0.5, 2.0, SEQUENTIAL)


def test_a_small_undershoot_keeps_a_scalar_one_sided_but_not_a_vector_component():
    values = np.array([-0.01, 1.0])
    assert field_scale(values, known_field("tracer")).colours is SEQUENTIAL
    assert field_scale(values, known_field("velocity_x")).colours is DIVERGING
    assert field_scale(values + 0.5, known_field("velocity_x")).colours is SEQUENTIAL


@pytest.mark.parametrize("value", [0.0, 1e-12, -1e12])
def test_a_constant_field_lies_in_the_middle_of_a_scale_of_some_width(value):
    scale = field_scale(np.full(4, value), Field("height"))
    assert scale.low < value < scale.high
    assert scale.norm(value) == pytest.approx(0.5)


def test_nothing_finite_still_gives_a_scale():
    scale = field_scale(np.full(4, np.nan), Field("height"))
    assert scale.low < scale.high


def test_the_error_is_centred_and_an_explosion_does_not_stretch_it():
    scale = error_scale(np.array([-0.2, 0.1, np.nan]), span=2.0)
    assert (scale.low, scale.high, scale.colours) == (-0.2, 0.2, ERROR)
    # A thousand times the truth's range is off the scale.
    assert error_scale(np.array([-0.2, 2e3]), span=2.0).high == 2.0
    assert error_scale(np.zeros(3), span=2.0).high > 0
    assert error_scale(np.zeros(3), span=0.0).high > 0


def test_the_ends_of_a_colour_bar_show_what_is_off_the_scale():
    scale = field_scale(np.array([1.0, 2.0]), Field("height"))
    assert scale.extend(np.array([1.0, 2.0, np.nan])) == "neither"
    assert scale.extend(np.array([1.0, 2.1])) == "max"
    assert scale.extend(np.array([0.9, 1.0])) == "min"
    assert scale.extend(np.array([0.9, 2.1])) == "both"


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_equal_figures_are_equal_files_whatever_the_users_settings(tmp_path, suffix):
    @styled
    def draw() -> Figure:
        figure = Figure(figsize=(2, 1), layout="constrained")
        figure.subplots().plot([1, 2])
        return figure

    first = save(draw(), tmp_path / f"a.{suffix}").read_bytes()
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 10}):
        second = save(draw(), tmp_path / f"b.{suffix}").read_bytes()
        assert matplotlib.rcParams["font.size"] == 20
    assert first == second
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a.{suffix}", f"b.{suffix}"]


@pytest.mark.parametrize(
    ("layout", "text"), [("constrained", ""), ("constrained", 9 * "a long title "), (None, "above")]
)
def test_a_picture_is_the_whole_figure_without_its_empty_margin(tmp_path, layout, text):
    figure = Figure(figsize=(4, 3), layout=layout)
    figure.add_subplot(aspect=1.0, title="a title").plot([1, 2])
    if text:
        figure.suptitle(text, y=None if layout else 1.1)
    figure.savefig(tmp_path / "b.png", dpi=160, bbox_inches="tight", pad_inches=0.08)
    found, expected = (imread(save(figure, tmp_path / "a.png")), imread(tmp_path / "b.png"))
    np.testing.assert_allclose(found.shape[:2], expected.shape[:2], atol=10)
    inked = [np.any(picture[..., :3] < 1, axis=2) for picture in (found, expected)]
    assert inked[0].sum() == pytest.approx(inked[1].sum(), rel=0.06)
    for edge in (inked[0][:8], inked[0][-8:], inked[0][:, :8], inked[0][:, -8:]):
        assert not edge.any()


def test_an_empty_figure_is_a_picture_too(tmp_path):
    assert imread(save(Figure(layout="constrained"), tmp_path / "a.png")).min() == 1
