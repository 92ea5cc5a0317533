"""Laws of the schema, the mapping language and the windows, for any input at all."""

from itertools import pairwise

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpp.data.mapping import Mapping, from_lines
from mpp.data.windows import Windows
from mpp.errors import InputError
from mpp.schema import (
    BOUNDARY_KINDS,
    example,
    format_boundary,
    is_even,
    parse_boundary,
    require_valid,
    validate,
)

pytestmark = pytest.mark.faults

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
words = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
KEYS = [*Mapping.__dataclass_fields__, "boundry"]
kinds = st.sampled_from(BOUNDARY_KINDS)


def one_line(error):
    assert str(error).strip()
    assert "\n" not in str(error)


@quick
@given(st.text(max_size=30) | st.lists(kinds | words, max_size=3).map(" ".join))
def test_a_boundary_is_one_or_two_kinds_or_is_refused(text):
    try:
        low, high = parse_boundary(text)
    except InputError as error:
        one_line(error)
        return
    assert {low, high} <= set(BOUNDARY_KINDS)
    assert (low == "periodic") == (high == "periodic")
    assert parse_boundary(format_boundary((low, high))) == (low, high)
    assert text.split() in ([low], [low, high])


@settings(quick, max_examples=400)
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=4))
def test_any_mapping_is_understood_or_refused(entries):
    try:
        made = Mapping.from_dict(entries)
    except InputError as error:
        one_line(error)
        return
    assert Mapping.from_dict(made.to_dict()) == made
    assert Mapping.from_dict(yaml.safe_load(made.to_yaml()) or {}) == made
    assert Mapping().over(made.to_dict()) == made
    assert made.over({}) == made


@quick
@given(st.lists(st.text(max_size=20), max_size=3))
def test_any_line_of_a_mapping_is_understood_or_refused(lines):
    try:
        Mapping().over(from_lines(lines))
    except InputError as error:
        one_line(error)


@quick
@given(
    frames=st.integers(1, 9), length=st.integers(1, 12), runs=st.integers(1, 3),
    stride=st.integers(1, 4),
)  # fmt: skip
def test_windows_cover_every_run_and_nothing_else(frames, length, runs, stride):
    ds = example((2, 2), runs, length)
    if length < frames:
        with pytest.raises(InputError, match=f"windows of {frames} frames .* have {length}"):
            Windows(ds, frames, stride)
        return
    windows = Windows(ds, frames, stride)
    starts = list(range(0, length - frames + 1, stride))
    assert windows.places == [(run, start) for run in range(runs) for start in starts]
    assert len(windows) == runs * ((length - frames) // stride + 1)
    for index in {0, len(windows) // 2, len(windows) - 1}:
        run, start = windows.places[index]
        wanted = ds["tracer"].isel(sample=run, time=slice(start, start + frames))
        np.testing.assert_array_equal(windows[index].values[0, :, 0], wanted.astype("f4"))
        assert windows[index].time[0].tolist() == list(range(start, start + frames))


numbers = st.lists(st.floats(width=32), min_size=1, max_size=6)


@quick
@given(numbers, st.sampled_from(["time", "x", "y"]))
def test_any_coordinate_is_even_increasing_and_finite_or_told(points, axis):
    ds = example((len(points), len(points)), 1, len(points))
    ds[axis] = ds[axis].copy(data=np.array(points, "f8"))
    found = [one for one in validate(ds) if one.where == axis and one.severity == "error"]
    finite = np.all(np.isfinite(points))
    rising = finite and all(a < b for a, b in pairwise(points))
    sound = rising and (axis != "time" or is_even(np.array(points)))
    assert bool(found) != sound
    if found:
        with pytest.raises(InputError, match=f"{axis}: "):
            require_valid(ds)


@quick
@given(st.dictionaries(st.sampled_from(["role", "units", "boundary", "vector"]), values))
def test_any_attributes_are_understood_or_told(attrs):
    ds = example((3, 3), 1, 2)
    ds["tracer"].attrs.update(attrs)
    ds["x"].attrs.update(attrs)
    try:
        require_valid(ds)
    except InputError as error:
        one_line(error)
        return
    assert len(Windows(ds, 2)) == 1
