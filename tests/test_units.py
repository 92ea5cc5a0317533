"""Laws of units: the same number, whatever it is written in."""

import numpy as np
import pytest
import xarray as xr

from mpp.errors import InputError
from mpp.schema import example
from mpp.units import in_units


def diffusing(values, units):
    ds = example(samples=len(values))
    ds["diffusivity"] = ("sample", np.asarray(values, dtype=float), {"role": "parameter"})
    ds["diffusivity"].attrs["units"] = units
    return ds


@pytest.mark.parametrize(
    ("have", "want", "factor"),
    [
        ("cm2 s-1", "m2 s-1", 1e-4),
        ("m2.h-1", "m2 s-1", 1 / 3600),
        ("mm^2/s", "m2 s-1", 1e-6),
        ("%", "1", 0.01),
    ],
)
def test_a_number_is_written_in_the_other_unit(have, want, factor):
    ds = in_units(diffusing([1.0, np.nan], have), {"diffusivity": want, "other": "kg"})
    np.testing.assert_allclose(ds["diffusivity"], [factor, np.nan], rtol=1e-12)
    assert ds["diffusivity"].attrs == {"role": "parameter", "units": want}


def test_the_same_unit_or_none_that_is_wanted_changes_nothing():
    ds = diffusing([1.0, 2.0], "furlong 2")
    xr.testing.assert_identical(in_units(ds, {"diffusivity": "furlong 2"}), ds)
    xr.testing.assert_identical(in_units(ds, {}), ds)


@pytest.mark.parametrize("units", ["kg", "1", "blub", "m2 s-", "m2 +"])
def test_what_cannot_be_converted_is_refused(units):
    with pytest.raises(InputError, match="diffusivity is in"):
        in_units(diffusing([1.0], units), {"diffusivity": "m2 s-1"})
