"""Laws of the vocabulary: attributes carry a field, a mirror turns what points along its axis."""

import pytest

from mpp.errors import InputError
from mpp.fields import KNOWN, Field, known_field


@pytest.mark.parametrize("field", KNOWN.values(), ids=lambda field: field.name)
def test_attributes_carry_every_known_field(field):
    assert Field.from_attrs(field.name, field.attrs()) == field


@pytest.mark.parametrize("role", ["field", "static", "mask", "parameter", "truth"])
def test_attributes_carry_an_unknown_field(role):
    field = Field("strain_xy", "s-1", "e_{xy}", "strain", "xy", role)
    assert Field.from_attrs("strain_xy", field.attrs()) == field


def test_empty_attributes_are_left_out():
    assert Field("whatever").attrs() == {"units": "1"}


def test_what_attributes_leave_open_comes_from_the_known_field():
    found = Field.from_attrs("velocity_x", {"units": "m s-1"})
    assert found == Field("velocity_x", "m s-1", "u_x", "velocity", "x")


def test_any_other_name_is_a_plain_scalar():
    assert known_field("salinity") == Field("salinity", "1")


@pytest.mark.parametrize(
    ("component", "axis", "sign"),
    [("", "x", 1), ("x", "x", -1), ("x", "y", 1), ("xy", "x", -1), ("xx", "x", 1), ("xy", "z", 1)],
)
def test_a_mirror_flips_once_for_each_index_along_its_axis(component, axis, sign):
    assert Field("q", component=component).parity(axis) == sign


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_mirrored_eddy_turns_the_other_way(axis):
    # omega = d_x u_y - d_y u_x: each term has exactly one index along x and one along y.
    assert KNOWN["vorticity"].parity(axis) == -1


def test_an_input_error_is_one_line():
    assert str(InputError("a\n  b\tc")) == "a b c"
