"""Laws of the words on pictures: whatever a file says, matplotlib can set it."""

import pytest
from matplotlib.figure import Figure

from mpp.fields import Field, known_field
from mpp.viz import labels


@pytest.mark.parametrize(
    ("units", "shown"),
    [("m s-1", "m s⁻¹"), ("kg m-3", "kg m⁻³"), ("m2 s^-1", "m² s⁻¹"), ("1", ""), ("Pa", "Pa")],
)
def test_units_have_exponents(units, shown):
    assert labels.units_text(units) == shown


def test_a_quantity_has_its_unit_and_a_bare_number_none():
    assert labels.quantity(0.5, "s") == "0.5 s"
    assert labels.quantity(1234.56, "1") == "1235"
    assert labels.with_units("time", "1") == "time"


def test_a_long_name_keeps_its_ends():
    shown = labels.plain("begin" + "x" * 100 + "end", 20)
    assert len(shown) == 20
    assert shown.startswith("begin")
    assert shown.endswith("end")


@pytest.mark.parametrize("name", ["$x", "a_b^c", r"\frac{", "$\\alpha", "two\nlines", "50 % {}"])
def test_any_name_and_symbol_can_be_drawn(name):
    figure = Figure(figsize=(2, 1))
    figure.suptitle(labels.field_label(Field(name, symbol=name)))
    figure.supxlabel(labels.units_text(name))
    figure.draw_without_rendering()


def test_a_good_symbol_is_set_as_mathematics():
    assert labels.field_label(known_field("velocity_x")) == "velocity_x $u_x$"
    assert labels.symbol_text(r"\nonsense") == ""


@pytest.mark.parametrize(
    ("score", "shown"),
    [
        ("vrmse", "VRMSE"),
        ("mae", "MAE"),
        ("band_nrmse_low", "band NRMSE low"),
        ("side_rmse_x_high", "side RMSE x high"),
        ("max_error", "max error"),
        ("pearson", "Pearson correlation"),
        ("drift_energy", "drift energy"),
        ("truth_divergence_velocity", "truth divergence velocity"),
    ],
)
def test_only_what_is_an_abbreviation_is_in_capitals(score, shown):
    assert labels.score_label(score) == shown
