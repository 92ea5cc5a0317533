"""Laws of the measured field sizes: any split agrees with one look at everything."""

import numpy as np
import pytest
import torch

from mpp import schema
from mpp.batch import Batch
from mpp.errors import InputError
from mpp.metrics import FLOOR_FRACTION, measure


def masked(samples: int = 3):
    ds = schema.example(samples=samples)
    inside = np.ones((8, 6), dtype=bool)
    inside[2:4, 1:3] = False
    ds["mask"] = (("x", "y"), inside, {"role": "mask"})
    return ds, inside


def test_rms_and_std_are_those_of_all_values():
    ds = schema.example(samples=3)
    scales = measure([Batch.from_dataset(ds, torch.float64)])
    assert scales.names == ("tracer", "velocity_x")
    for number, name in enumerate(scales.names):
        values = ds[name].values
        assert scales.rms[number].item() == pytest.approx(np.sqrt(np.mean(values**2)), rel=1e-12)
        assert scales.std[number].item() == pytest.approx(values.std(), rel=1e-12)


def test_any_split_gives_the_same_scales():
    ds, _ = masked(samples=4)
    whole = measure([Batch.from_dataset(ds)])
    parts = [
        Batch.from_dataset(ds.isel(sample=[run], time=time))
        for run in range(4)
        for time in (slice(0, 2), slice(2, 5))
    ]
    torch.testing.assert_close(measure(parts).rms, whole.rms, rtol=1e-12, atol=0)
    torch.testing.assert_close(measure(parts).std, whole.std, rtol=1e-12, atol=0)


def test_points_outside_the_mask_never_matter():
    ds, inside = masked()
    values = ds["tracer"].values[:, :, inside]
    spoiled = ds.assign(tracer=ds["tracer"].where(ds["mask"]))
    scales = measure([Batch.from_dataset(spoiled, torch.float64)])
    assert scales.std[0].item() == pytest.approx(values.std(), rel=1e-12)


def test_the_floor_is_a_part_of_the_size_that_the_score_divides_by():
    scales = measure([Batch.from_dataset(schema.example())])
    assert torch.equal(scales.floor("nrmse"), FLOOR_FRACTION * scales.rms)
    assert torch.equal(scales.floor("vrmse"), FLOOR_FRACTION * scales.std)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_missing_value_is_named_with_its_time(value):
    ds = schema.example()
    ds["velocity_x"].values[1, 3, 0, 0] = value
    with pytest.raises(InputError, match="velocity_x is NaN or infinite at time 3 s"):
        measure([Batch.from_dataset(ds)])


def test_an_empty_mask_and_no_windows_are_refused():
    ds, _ = masked()
    ds["mask"] = ds["mask"] & False
    ds["mask"].attrs["role"] = "mask"
    with pytest.raises(InputError, match="mask leaves no point"):
        measure([Batch.from_dataset(ds)])
    with pytest.raises(InputError, match="no windows"):
        measure([])
