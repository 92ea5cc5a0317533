"""Laws of what the explorer reads: the file's own numbers, and no more of them than are shown."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from mpp.explorer import reading
from mpp.explorer.reading import MEAN, View
from mpp.explorer.rollout import RolloutPage
from mpp.viz.style import DIVERGING, ERROR


class Counting(BackendArray):
    """An array that counts how many of its values are read."""

    def __init__(self, values, counted) -> None:
        self.values, self.counted = values, counted
        self.shape, self.dtype = values.shape, values.dtype

    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key):
        found = self.values[np.ix_(*(np.atleast_1d(np.arange(n)[k]) for n, k in zip(
            self.shape, key, strict=True)))]  # fmt: skip
        self.counted.append(found.size)
        whole = [axis for axis, k in enumerate(key) if isinstance(k, int | np.integer)]
        return found.squeeze(tuple(whole))


def lazily(ds):
    """The dataset as from a file, and a list of how many values each reading took."""
    counted = []
    made = {
        name: (v.dims, indexing.LazilyIndexedArray(Counting(v.values, counted)), v.attrs)
        for name, v in ds.data_vars.items()
    }
    return xr.Dataset(made, ds.coords, ds.attrs), counted


@pytest.fixture
def ensemble(rollout):
    """Three members of each run: the prediction, and it more and less by 0.2."""
    ds = rollout(shape=(8, 6), frames=4)
    parts = [
        ds.assign({name: ds[name] + shift for name in ("tracer", "velocity_x")})
        for shift in (-0.2, 0.0, 0.2)
    ]
    made = xr.concat(parts, "member", data_vars=["tracer", "velocity_x"], coords="minimal",
                     compat="override", join="override")  # fmt: skip
    return made.transpose("sample", "member", "time", "x", "y").assign_coords(member=range(3))


def test_a_frame_is_that_of_the_file(rollout):
    ds = rollout(shape=(8, 6), frames=4)
    view = replace(View.first(ds, "velocity_x"), sample=1, frame=2)
    found = reading.frame(ds, view)
    at = {"sample": 1, "time": 2}
    for part, name in (("truth", "truth_velocity_x"), ("prediction", "velocity_x")):
        np.testing.assert_array_equal(found.parts[part], ds[name].isel(at))
    # The prediction is a tenth too large everywhere.
    np.testing.assert_allclose(found.parts["error"], 0.1 * ds["truth_velocity_x"].isel(at))
    true = ds["truth_velocity_x"].isel(at).values
    assert found.score == pytest.approx(0.1 * np.sqrt((true**2).mean()) / true.std(), rel=1e-3)


def test_without_a_truth_there_is_the_prediction_or_the_data_alone(rollout):
    ds = rollout(shape=(8, 6)).drop_vars(["truth_tracer", "truth_velocity_x"])
    assert set(reading.frame(ds, View.first(ds)).parts) == {"prediction"}
    del ds.attrs["history_end"]
    found = reading.frame(ds, View.first(ds))
    assert set(found.parts) == {"data"}
    assert found.score is None


def test_members_are_shown_one_by_one_or_as_their_mean(ensemble):
    view = View.first(ensemble)
    values = ensemble["tracer"].isel(sample=0, time=0)
    assert view.member == MEAN
    np.testing.assert_allclose(
        reading.frame(ensemble, view).parts["prediction"], values.mean("member")
    )
    for member in range(3):
        found = reading.frame(ensemble, replace(view, member=member)).parts["prediction"]
        np.testing.assert_array_equal(found, values.isel(member=member))


def test_what_lies_outside_the_domain_is_nan_and_what_is_not_finite_is_counted(rollout):
    ds = rollout(shape=(8, 6))
    mask = np.ones((8, 6), bool)
    mask[:2] = False
    ds["mask"] = (("x", "y"), mask, {"role": "mask"})
    ds["tracer"][0, 0, 5, :4] = np.nan
    found = reading.frame(ds, View.first(ds, "tracer"))
    assert np.isnan(found.parts["truth"].values[:2]).all()
    assert np.isfinite(found.parts["truth"].values[2:]).all()
    assert found.missing == {"truth": 0, "prediction": 4, "error": 4}
    assert reading.spectrum(ds, found, View.first(ds, "tracer")) == ()


def test_truth_and_prediction_share_their_colours_and_the_error_is_symmetric(rollout):
    ds = rollout(shape=(8, 6), frames=30)
    ds["truth_velocity_x"] -= 1.0  # takes both signs
    scales = reading.scales(ds, View.first(ds, "velocity_x"))
    assert scales["truth"] is scales["prediction"]
    assert scales["truth"].colours is DIVERGING
    assert scales["error"].low == -scales["error"].high
    assert scales["error"].colours is ERROR
    frame = reading.scales(ds, replace(View.first(ds, "velocity_x"), frame=3), whole=False)
    known = ds["truth_velocity_x"].isel(sample=0, time=3)
    assert frame["truth"].high == pytest.approx(float(abs(known).max()))


def test_a_cross_section_and_a_series_go_through_the_point(rollout):
    ds = rollout(shape=(5, 6, 7), frames=9)
    view = replace(View.first(ds, "tracer"), point={"x": 1, "y": 2, "z": 3}, frame=4)
    for axis in "xyz":
        along = replace(view, along=axis)
        lines = reading.section(reading.frame(ds, view), along)
        at = {dim: index for dim, index in view.point.items() if dim != axis}
        wanted = ds["truth_tracer"].isel(sample=0, time=4, **at)
        np.testing.assert_array_equal(lines["truth"], wanted)
    leads, lines = reading.series(ds, view)
    wanted = ds["tracer"].isel(sample=0, x=1, y=2, z=3)
    np.testing.assert_array_equal(lines["prediction"], wanted)
    np.testing.assert_allclose(leads, ds["time"] - ds.attrs["history_end"])


def test_a_wave_stands_at_its_wavenumber(rollout):
    ds = rollout(shape=(32, 32), frames=3)
    side = ds.sizes["x"] * float(ds["x"][1] - ds["x"][0])
    k = 2 * np.pi * 4 / side
    wave = np.sin(k * ds["x"]) + 0 * ds["y"]
    for name in ("tracer", "truth_tracer"):
        ds[name] = (0 * ds[name] + wave).assign_attrs(ds[name].attrs)
    view = View.first(ds, "tracer")
    truth, made = reading.spectrum(ds, reading.frame(ds, view), view)
    assert float(made["wavenumber"][int(np.argmax(made.values))]) == pytest.approx(k, rel=0.1)
    np.testing.assert_allclose(truth, made)


@pytest.mark.parametrize(("shape", "tapped"), [((8, 6), "xy"), ((5, 6, 7), "xz")])
def test_a_tap_chooses_the_point_under_it(rollout, shape, tapped):
    ds = rollout(shape=shape)
    view = View.first(ds)
    if len(shape) == 3:
        view = replace(view, normal="y")
    cut = reading.tile(ds, view)
    assert cut.horizontal + cut.vertical == tapped
    across, up = (float(ds[dim][1]) + 0.3 * float(ds[dim][1] - ds[dim][0]) for dim in tapped)
    found = reading.moved(ds, view, across, up)
    assert [found.point[dim] for dim in tapped] == [1, 1]
    assert found == replace(view, point={**view.point, tapped[0]: 1, tapped[1]: 1})


def test_a_line_is_a_diagram_in_time_and_a_tap_chooses_the_frame_too(rollout):
    ds = rollout(shape=(8,), frames=6)
    view = View.first(ds, "tracer")
    shown = reading.diagram(ds, view)
    image = reading.image(shown["truth"], reading.tile(ds, view))
    np.testing.assert_allclose(image.values, ds["truth_tracer"].isel(sample=0).values.T, rtol=1e-6)
    # Pixels are centred on lead times 1 to 5 s (frames are a second apart).
    step = float(ds["time"][1] - ds["time"][0])
    np.testing.assert_allclose(image.box[:2], [0.5 * step, 5.5 * step])
    found = reading.moved(ds, view, 3.2 * step, float(ds["x"][6]))
    assert (found.frame, found.point) == (2, {"x": 6})


def test_uneven_axes_are_shown_where_their_points_lie(rollout):
    ds = rollout(shape=(4, 3)).assign_coords(x=("x", [0.0, 1.0, 3.0, 7.0], {"units": "m"}))
    view = View.first(ds, "tracer")
    image = reading.image(reading.frame(ds, view).parts["truth"], reading.tile(ds, view))
    # Cells end at -0.5, 0.5, 2, 5 and 9; eight pixels of 9.5 / 8 have their centres in them.
    assert image.box[:2] == (-0.5, 9.0)
    row = ds["truth_tracer"].isel(sample=0, time=0, y=0).values
    np.testing.assert_allclose(image.values[0], row[[0, 1, 2, 2, 2, 3, 3, 3]], rtol=1e-6)


def test_a_large_frame_is_thinned_to_what_a_screen_shows(rollout):
    ds = rollout(shape=(1500, 4), frames=2, samples=1)
    view = View.first(ds, "tracer")
    image = reading.image(reading.frame(ds, view).parts["truth"], reading.tile(ds, view))
    assert image.values.shape == (4, 500)


def test_of_a_rollout_of_thousands_of_frames_few_are_read_at_once(rollout):
    few = rollout(shape=(8, 6), frames=6, samples=2)
    ds = few.isel(time=np.resize(np.arange(5), 3000)).assign_coords(
        time=("time", 1.0 + np.arange(3000), few["time"].attrs)
    )
    ds, counted = lazily(ds)
    view = replace(View.first(ds, "tracer"), frame=1234)
    reading.frame(ds, view)
    assert counted == [48, 48]
    counted.clear()
    reading.series(ds, view)
    assert len(counted) == 2
    assert max(counted) <= reading.INSTANTS
    counted.clear()
    page = RolloutPage(ds, "r.nc")
    # A frame and those of the scale, of truth and prediction, and two series.
    opening = 2 * (1 + reading.SCALE_FRAMES) * 48 + 2 * reading.INSTANTS
    assert sum(counted) <= opening
    counted.clear()
    page.lead.value = 77
    assert counted == [48, 48]


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_files_of_both_kinds_give_the_same(rollout, tmp_path, ending):
    ds = rollout(shape=(8, 6))
    path = tmp_path / f"r.{ending}"
    ds.to_netcdf(path) if ending == "nc" else ds.to_zarr(path, zarr_format=2)
    with xr.open_dataset(
        path, engine="netcdf4" if ending == "nc" else "zarr", decode_times=False
    ) as found:
        view = replace(View.first(found), frame=3)
        for part, values in reading.frame(found, view).parts.items():
            np.testing.assert_array_equal(values, reading.frame(ds, view).parts[part])
