"""Laws of the contact sheet."""

import numpy as np
import pytest

from mpp import schema
from mpp.errors import InputError
from mpp.viz.sheet import sheet


def panels_of(figure) -> list:
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


@pytest.mark.parametrize(("shape", "panels"), [((12,), 3 * 1), ((8, 6), 3 * 6), ((4, 4, 4), 3 * 6)])
def test_rows_are_runs_and_columns_times(shape, panels):
    figure = sheet(schema.example(shape, samples=3, frames=11), "tracer")
    assert len(panels_of(figure)) == panels
    assert len(figure.axes) == panels + 1


def test_all_panels_share_the_scale_of_all_runs():
    ds = schema.example(samples=8, frames=5)
    found = panels_of(sheet(ds, "tracer"))
    assert len(found) == 6 * 5
    limits = {axes.get_images()[0].get_clim() for axes in found}
    assert len(limits) == 1
    np.testing.assert_array_equal(
        found[-1].get_images()[0].get_array(), ds["tracer"].values[7, 4].T
    )


def test_each_run_has_its_number_and_parameters():
    found = panels_of(sheet(schema.example(samples=2, frames=2), "tracer"))
    assert found[1].texts[0].get_text() == "run 0\ndiffusivity 0.1 m² s⁻¹"
    assert found[3].texts[0].get_text() == "run 1\ndiffusivity 0.2 m² s⁻¹"
    assert found[0].get_title() == "t = 0 s"


def test_an_unknown_field_is_refused():
    with pytest.raises(InputError, match="choose one of"):
        sheet(schema.example(), "nothing")
