"""A small model and small runs for studies of seconds."""

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.model.axial import AxialTransformer
from mpp.schema import example
from mpp.study.plan import Study

SMALL = {
    "sizes": (1, 2), "seeds": 1, "lead_steps": (1, 3), "test_runs": 2, "validation_runs": 1,
    "max_steps": 2, "batch_size": 2, "validate_every": 1,
}  # fmt: skip


@pytest.fixture
def model() -> AxialTransformer:
    torch.manual_seed(100)  # no seed of a study
    made = AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, fine=2, coarse=2)
    made.card = {"fields": {"tracer": {"units": "kg m-3"}}, "systems": ["example"]}
    return made.eval()


def make_runs(samples: int = 6, system: str = "mine", seed: int = 0) -> xr.Dataset:
    """Runs that differ from each other, of a field that the model does not know and one it does."""
    ds = example((8, 8), samples, 8).rename(tracer="height")
    rng = np.random.default_rng(seed)
    for name in ("height", "velocity_x"):
        ds[name] = ds[name] + 0.1 * rng.standard_normal(ds[name].shape)
    return ds.assign_attrs(system=system)


@pytest.fixture
def runs():
    return make_runs


@pytest.fixture
def small():
    def make(**changed) -> Study:
        return Study(**{**SMALL, **changed})

    return make
