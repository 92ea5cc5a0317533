"""Laws of the scores on xarray: equal to those on tensors, over any dims, on any grid."""

import numpy as np
import pytest
import torch
import xarray as xr

from mpp import metrics, schema
from mpp.batch import Batch
from mpp.errors import InputError
from mpp.metrics import named, spectrum

PLAIN = ("mae", "rmse", "nmse", "nrmse", "vmse", "vrmse", "max_error", "pearson")


def pair(shape=(8, 6)) -> tuple[xr.Dataset, xr.Dataset]:
    target = schema.example(shape, samples=3, frames=4)
    noise = np.random.default_rng(0)
    prediction = target.map(
        lambda v: v + noise.normal(size=v.shape) if v.ndim > 1 else v, keep_attrs=True
    )
    return prediction, target


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("shape", [(8,), (8, 6), (4, 3, 5)])
def test_a_score_of_arrays_is_that_of_tensors(name, shape):
    prediction, target = pair(shape)
    mask = xr.DataArray(
        np.random.default_rng(1).random((3, *shape)) > 0.3, dims=("sample", *"xyz"[: len(shape)])
    )
    made, true = (Batch.from_dataset(ds, torch.float64) for ds in (prediction, target))
    for inside in (None, mask):
        found = getattr(named, name)(prediction["tracer"], target["tracer"], mask=inside)
        told = None if inside is None else torch.from_numpy(inside.values)
        expected = getattr(metrics, name)(made.values, true.values, told)[:, :, 0]
        assert found.dims == ("sample", "time")
        assert found.name == name
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        np.testing.assert_array_equal(found["time"], target["time"])


def test_the_order_of_dims_does_not_matter():
    prediction, target = pair()
    turned = prediction["tracer"].transpose("y", "time", "x", "sample")
    found = named.rmse(turned, target["tracer"]).transpose("sample", "time")
    np.testing.assert_allclose(found, named.rmse(prediction["tracer"], target["tracer"]))


def test_samples_and_times_can_be_reduced_as_well():
    prediction, target = (ds["tracer"] for ds in pair())
    found = named.rmse(prediction, target, dims=("sample", "time", "x", "y"))
    assert found.dims == ()
    assert float(found) == pytest.approx(float(np.sqrt(((prediction - target) ** 2).mean())))
    along = named.rmse(prediction, target, dims=("x",))
    np.testing.assert_allclose(along, np.sqrt(((prediction - target) ** 2).mean("x")))


def test_a_prediction_of_many_members_meets_one_truth():
    prediction, target = (ds["tracer"] for ds in pair())
    members = xr.concat([prediction, target], xr.IndexVariable("member", [0, 1]))
    found = named.nrmse(members, target)
    assert set(found.dims) == {"member", "sample", "time"}
    assert float(found.sel(member=1).max()) == 0
    np.testing.assert_allclose(
        found.sel(member=0).transpose("sample", "time"), named.nrmse(prediction, target)
    )


def test_an_uneven_axis_weighs_by_its_cells():
    # Cells of 0, 1, 3 between walls: 1, 1.5, 2. <e^2> = (1 * 1 + 1.5 * 4 + 2 * 9) / 4.5.
    x = schema.coordinate(np.array([0.0, 1, 3]), "x", "m", "wall")
    target = xr.DataArray(np.zeros(3), {"x": x}, ("x",))
    prediction = target + np.array([1.0, 2, 3])
    assert float(named.rmse(prediction, target)) == pytest.approx(np.sqrt(25 / 4.5))


def test_a_floor_is_in_the_unit_of_the_field():
    prediction, target = (ds["tracer"] for ds in pair())
    found = named.nrmse(prediction, 0 * target, floor=2.0)
    np.testing.assert_allclose(found, named.rmse(prediction, 0 * target) / 2)


def test_the_correlation_of_anomalies_takes_a_climatology():
    prediction, target = (ds["tracer"] for ds in pair())
    mean = target.mean(("sample", "time"))
    one, other = prediction - mean, target - mean
    expected = (one * other).mean(("x", "y")) / np.sqrt(
        (one**2).mean(("x", "y")) * (other**2).mean(("x", "y"))
    )
    np.testing.assert_allclose(named.anomaly_correlation(prediction, target, mean), expected)
    np.testing.assert_allclose(named.anomaly_correlation(target, target, mean), 1)


def test_a_spectrum_sums_to_the_mean_square():
    field = schema.example((12, 9))["tracer"]
    found = named.power_spectrum(field)
    assert found.dims == ("sample", "time", "wavenumber")
    np.testing.assert_allclose(found.sum("wavenumber"), (field**2).mean(("x", "y")))
    assert found["wavenumber"].attrs["units"] == "rad m-1"
    assert found.attrs["units"] == "(kg m-3)^2"
    # Both axes are 1 m long: bins of 2 pi, the coarser axis resolves 9 / 2 waves.
    np.testing.assert_allclose(found["wavenumber"][1], 2 * np.pi)
    assert found.attrs["nyquist"] == pytest.approx(9 * np.pi)


def test_bands_are_those_of_tensors():
    prediction, target = pair()
    made, true = (Batch.from_dataset(ds, torch.float64) for ds in (prediction, target))
    first, second = prediction["tracer"], target["tracer"]
    for name in ("band_nrmse", "band_ratio"):
        found = getattr(named, name)(first, second)
        expected = getattr(spectrum, name)(made.values, true.values, made.axes)[:, :, 0]
        np.testing.assert_allclose(found.transpose("sample", "time", "band"), expected)
        assert list(found["band"].values) == ["low", "mid", "high"]
    ratio = named.spectrum_ratio(first, second)
    spectra = [named.power_spectrum(one) for one in (first, second)]
    np.testing.assert_allclose(ratio, spectra[0] / spectra[1])


def test_what_does_not_belong_together_is_refused():
    prediction, target = (ds["tracer"] for ds in pair())
    with pytest.raises(InputError, match="do not share their coordinates"):
        named.mae(prediction.isel(time=[0]), target.isel(time=[1]))
    with pytest.raises(InputError, match="no dim z among: sample, time, x, y"):
        named.mae(prediction, target, dims=("x", "z"))
    bare = prediction.drop_vars(("x", "y"))
    with pytest.raises(InputError, match=r"none of the dims .* says what its boundary is"):
        named.mae(bare, bare)
