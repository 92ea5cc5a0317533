"""Laws of the schema: the example passes, and each departure is named, with all others, at once."""

import numpy as np
import pytest
import xarray as xr

from mpp import schema
from mpp.errors import InputError
from mpp.schema import check_values, example, validate


def found(ds: xr.Dataset) -> list[tuple[str, str]]:
    return [(violation.where, violation.severity) for violation in validate(ds)]


@pytest.mark.parametrize("shape", [(8,), (8, 6), (5, 4, 3)])
def test_the_example_is_valid(shape):
    ds = example(shape)
    assert validate(ds) == []
    assert check_values(ds) == []
    assert schema.require_valid(ds) is ds
    assert schema.space_axes(ds) == ("x", "y", "z")[: len(shape)]
    assert schema.names(ds) == ("tracer", "velocity_x")
    assert schema.names(ds, "parameter") == ("diffusivity",)
    assert schema.fields(ds)[1].component == "x"


def test_the_example_takes_samples_frames_and_boundaries():
    ds = example((4, 4), samples=1, frames=2, boundary=("open",))
    assert dict(ds.sizes) == {"sample": 1, "time": 2, "x": 4, "y": 4}
    assert schema.boundaries(ds) == (("open", "open"), ("open", "open"))


def drop_time(ds):
    return ds.drop_vars("time")


def without(axis, key):
    def change(ds):
        del ds[axis].attrs[key]
        return ds

    return change


def with_attr(name, key, value):
    def change(ds):
        ds[name].attrs[key] = value
        return ds

    return change


def with_values(axis, values):
    def change(ds):
        variable = xr.Variable((axis,), values, ds[axis].attrs)
        return ds.assign_coords({axis: variable})

    return change


def with_extra(dims, shape, **attrs):
    return lambda ds: ds.assign(extra=xr.Variable(dims, np.ones(shape), attrs))


def with_dtype(name, dtype):
    def change(ds):
        return ds.assign({name: ds[name].astype(dtype)})

    return change


BREAKS = {
    "transposed": (lambda ds: ds.assign(tracer=ds.tracer.transpose("time", ...)), "tracer"),
    "no sample dim": (lambda ds: ds.assign(tracer=ds.tracer.isel(sample=0)), "tracer"),
    "unknown role": (with_attr("tracer", "role", "hero"), "tracer"),
    "integers": (with_dtype("tracer", "int32"), "tracer"),
    "half precision": (with_dtype("tracer", "float16"), "tracer"),
    "static in time": (with_extra(("time", "x"), (5, 8), role="static"), "extra"),
    "mask on one axis": (with_extra(("x",), (8,), role="mask"), "extra"),
    "parameter on space": (with_extra(("x",), (8,), role="parameter"), "extra"),
    "truth of another shape": (with_extra(("sample", "time"), (2, 5), role="truth"), "extra"),
    "words": (with_dtype("diffusivity", str), "diffusivity"),
    "no runs": (lambda ds: ds.isel(sample=[]), "tracer"),
    "no time coordinate": (drop_time, "time"),
    "no space coordinate": (lambda ds: ds.drop_vars("x"), "x"),
    "dates": (with_values("time", np.arange(5).astype("datetime64[s]").astype("M8[ns]")), "time"),
    "no units of time": (without("time", "units"), "time"),
    "no units of space": (without("y", "units"), "y"),
    "NaN in time": (with_values("time", [0, 1, np.nan, 3, 4]), "time"),
    "falling": (with_values("x", np.arange(8.0)[::-1]), "x"),
    "falling without sign": (with_values("x", np.arange(8, dtype=np.uint64)[::-1]), "x"),
    "repeated": (with_values("time", [0.0, 1, 1, 2, 3]), "time"),
    "uneven in time": (with_values("time", [0.0, 1, 2, 3, 5]), "time"),
    "no boundary": (without("x", "boundary"), "x"),
    "unknown boundary": (with_attr("x", "boundary", "sticky"), "x"),
    "half periodic": (with_attr("x", "boundary", "periodic wall"), "x"),
    "three boundaries": (with_attr("x", "boundary", "wall open wall"), "x"),
}


@pytest.mark.parametrize(("change", "where"), BREAKS.values(), ids=BREAKS.keys())
def test_each_departure_is_an_error_at_its_place_with_a_fix(change, where):
    ds = change(example())
    assert (where, "error") in found(ds)
    assert all(violation.problem and violation.fix for violation in validate(ds))
    with pytest.raises(InputError, match=f"^runs.nc: .*{where}"):
        schema.require_valid(ds, "runs.nc")


def test_all_departures_are_listed_at_once():
    ds = drop_time(with_dtype("velocity_x", "int32")(without("y", "units")(example())))
    ds = with_attr("x", "boundary", "sticky")(ds)
    assert set(found(ds)) == {
        ("velocity_x", "error"),
        ("time", "error"),
        ("y", "error"),
        ("x", "error"),
    }
    with pytest.raises(InputError) as caught:
        schema.require_valid(ds)
    # One line, every violation with what to do.
    assert str(caught.value).count(" | ") == 3
    assert "\n" not in str(caught.value)


def test_a_dataset_without_fields_says_so():
    assert found(xr.Dataset()) == [("dataset", "error")]
    assert schema.space_axes(xr.Dataset()) == ()


def test_an_ensemble_is_told_by_name_and_what_to_do():
    ds = example().expand_dims(member=3, axis=1)
    (violation,) = validate(ds.transpose("sample", "member", ...))
    assert (violation.where, violation.severity) == ("member", "error")
    assert "3 members" in violation.problem
    assert validate(ds.isel(member=0)) == []


@pytest.mark.parametrize("axes", [(), ("x", "y", "z", "w")])
def test_no_space_axis_or_four_are_refused(axes):
    values = np.ones((1, 2, *[3] * len(axes)), np.float32)
    ds = xr.Dataset({"tracer": (("sample", "time", *axes), values)})
    assert "expected 1 to 3 space axes" in " ".join(str(v) for v in validate(ds))


def test_an_uneven_grid_in_space_is_a_warning_only():
    ds = with_values("x", np.arange(8.0) ** 2)(example())
    assert found(ds) == [("x", "warning")]
    assert schema.require_valid(ds) is ds


def test_even_means_within_a_thousandth():
    assert schema.is_even(np.array([0.0, 1, 2.0005]))
    assert not schema.is_even(np.array([0.0, 1, 2.005]))
    assert schema.is_even(np.array([0.0]))


@pytest.mark.parametrize("text", ["periodic", "wall", "wall open", "no-flux fixed"])
def test_a_boundary_survives_writing_and_reading(text):
    assert schema.format_boundary(schema.parse_boundary(text)) == text


@pytest.mark.parametrize("text", ["", "sticky", "open periodic", "wall wall wall"])
def test_a_wrong_boundary_is_refused(text):
    with pytest.raises(InputError, match="boundary"):
        schema.parse_boundary(text)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_missing_values_are_counted(value):
    ds = example()
    ds["tracer"][0, 1, 2, 3] = value
    (violation,) = check_values(ds)
    # Two runs of five frames of 8 x 6 points.
    assert (violation.where, violation.severity) == ("tracer", "error")
    assert "1 of 480 values" in violation.problem


@pytest.mark.parametrize("dims", [("x", "y"), ("sample", "x", "y")])
def test_points_outside_a_mask_may_hold_anything(dims):
    ds = example()
    ds["tracer"][:, :, 2, 3] = np.nan
    inside = xr.ones_like(ds["tracer"].isel(time=0), bool)
    inside[:, 2, 3] = False
    mask = inside if "sample" in dims else inside.isel(sample=0)
    assert check_values(ds.assign(mask=mask.assign_attrs(role="mask"))) == []
    assert len(check_values(ds)) == 1


def test_a_mask_without_any_point_is_told():
    ds = example()
    ds["mask"] = xr.zeros_like(ds["tracer"].isel(time=0), bool).assign_attrs(role="mask")
    assert {v.where for v in check_values(ds)} == {"tracer", "velocity_x"}


def test_a_constant_field_is_a_warning():
    ds = example()
    ds["tracer"][:] = 3
    (violation,) = check_values(ds)
    assert (violation.where, violation.severity) == ("tracer", "warning")
    assert "constant, 3" in violation.problem


def test_a_coordinate_refuses_a_wrong_boundary():
    with pytest.raises(InputError, match="sticky"):
        schema.coordinate(np.arange(3), "x", "m", "sticky")
