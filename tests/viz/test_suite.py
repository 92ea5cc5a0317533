"""Laws of the contact sheet of a suite."""

import numpy as np
import pytest

from mpp import schema
from mpp.errors import InputError
from mpp.viz.style import save
from mpp.viz.suite import COLUMNS, TIMES, suite_sheet


def strips_of(figure) -> list[list]:
    """The tiles of each strip, without its colour bar."""
    return [
        [axes for axes in part.axes if axes.get_label() != "<colorbar>"]
        for part in figure.subfigs
        if part.axes
    ]


@pytest.fixture
def systems() -> list:
    """On a line, a square and in a cube."""
    return [schema.example(shape, frames=9) for shape in ((12,), (8, 6), (4, 4, 6))]


def test_each_system_has_a_strip_of_times_or_a_space_time_diagram(systems, tmp_path):
    figure = suite_sheet(systems, "suite")
    assert [len(strip) for strip in strips_of(figure)] == [1, TIMES, TIMES]
    line, square, cube = strips_of(figure)
    np.testing.assert_array_equal(
        line[0].get_images()[0].get_array(), systems[0]["tracer"].values[0].T
    )
    # Five of nine frames: every second; the first run; of the cube the middle of z.
    np.testing.assert_array_equal(
        square[1].get_images()[0].get_array(), systems[1]["tracer"].values[0, 2].T
    )
    np.testing.assert_array_equal(
        cube[4].get_images()[0].get_array(), systems[2]["tracer"].values[0, 8, :, :, 3].T
    )
    assert save(figure, tmp_path / "sheet.png").stat().st_size > 10_000


def test_a_strip_names_its_system_field_and_times(systems):
    figure = suite_sheet(systems, "suite")
    assert figure.get_suptitle() == "suite"
    assert [part.get_suptitle() for part in figure.subfigs[:3]] == [
        "example · tracer $s$ (kg m⁻³)"
    ] * 3
    square = strips_of(figure)[1]
    assert [axes.get_title() for axes in square] == [
        "t = 0 s",
        "t = 2 s",
        "t = 4 s",
        "t = 6 s",
        "t = 8 s",
    ]


def test_a_short_run_leaves_places_empty(systems):
    strip = strips_of(suite_sheet([systems[1].isel(time=slice(2))], "suite"))[0]
    assert [bool(axes.get_images()) for axes in strip] == [True] * 2 + [False] * (TIMES - 2)


def test_scales_are_of_each_system(systems):
    larger = systems[1].assign(tracer=10 * systems[1]["tracer"])
    strips = strips_of(suite_sheet([systems[1], larger], "suite"))
    limits = [{axes.get_images()[0].get_clim() for axes in strip} for strip in strips]
    assert len(strips) == COLUMNS
    assert [len(each) for each in limits] == [1, 1]
    assert limits[0] != limits[1]


def test_nothing_to_draw_is_refused():
    with pytest.raises(InputError, match="at least one file"):
        suite_sheet([], "suite")
