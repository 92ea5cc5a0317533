"""Tiny data, models and runs for the laws of training."""

import numpy as np
import pytest
import xarray as xr

from mpp.model.axial import AxialTransformer
from mpp.schema import example


def tiny(names) -> AxialTransformer:
    return AxialTransformer(
        names, history=3, width=16, heads=2, depth=1, hidden=8, fine=2, coarse=2, ranks=(2,)
    )


def system(name: str, rename: dict[str, str] | None = None, samples: int = 4) -> xr.Dataset:
    """A system of its own: the example with noise, and possibly with other fields."""
    ds = example((8, 8), samples, frames=8).rename(rename or {})
    rng = np.random.default_rng(len(name))
    for field in ds.data_vars:
        if "time" in ds[field].dims:
            ds[field] = ds[field] + 0.1 * rng.standard_normal(ds[field].shape)
    return ds.assign_attrs(system=name)


@pytest.fixture
def make_model():
    return tiny


@pytest.fixture
def make_system():
    return system


@pytest.fixture
def two_systems():
    return [system("drift"), system("reaction", {"tracer": "activator"})]
