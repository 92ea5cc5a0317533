"""What tests of several folders share."""

from collections.abc import Sequence

import numpy as np
import pytest
import xarray as xr

SCORES = ("nrmse", "vrmse", "rmse", "mae")


def make_study(
    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    times: float = 4.0,
    power: float = 0.5,
    seeds: int = 3,
    fields: Sequence[str] = ("height", "velocity_x"),
    steps: int = 5,
) -> xr.Dataset:
    """A study's result by power laws: finetuned as good as scratch on ``times`` as many runs.

    From scratch n runs give 0.2 n^-power at the first step, with a factor 1 + 0.1 s for seed s, as
    many times that as the step counts, and twice that for the second field and so on.
    """
    size = np.asarray(sizes, dtype=float)
    seed = 1 + 0.1 * np.arange(seeds)
    lead = np.arange(1, steps + 1)
    head = np.array([times, 1.0]) ** -power
    order = 1.0 + np.arange(len(fields))
    parts = np.ix_(head, 0.2 * size**-power, seed, order, lead, np.array([0.9, 1.1]))
    values = np.prod(np.broadcast_arrays(*parts), axis=0)
    dims = ("arm", "size", "seed", "field", "lead_time", "sample")
    still = 0.3 * np.prod(np.broadcast_arrays(*np.ix_(order, lead, np.ones(2))), axis=0)
    relative = {"units": "1"}
    data = dict.fromkeys(SCORES[:2], (dims, values, relative))
    data |= {name: (dims, 3 * values, {"units": "unit of the field"}) for name in SCORES[2:]}
    data |= {f"persistence_{name}": (dims[3:], still, data[name][2]) for name in SCORES}
    for name, number in (("seconds", 40.0), ("cpu_seconds", 39.0), ("validation", 0.1)):
        data[name] = (dims[:3], np.full(values.shape[:3], number))
    rates = np.broadcast_to(np.array([0.002, 0.005])[:, None, None], values.shape[:3])
    data["learning_rate"] = (dims[:3], rates)
    coords = {
        "arm": ["finetuned", "scratch"],
        "size": list(sizes),
        "seed": list(range(seeds)),
        "field": list(fields),
        "units": ("field", ["m", "m s-1", "1", "Pa"][: len(fields)]),
        "lead_time": ("lead_time", 0.5 * lead, {"units": "s"}),
        "step": ("lead_time", lead),
    }
    attrs = {
        "system": "shallow_water", "max_steps": 300, "batch_size": 2, "test_runs": 2,
        "validation_runs": [3, 7], "rates_finetuned": 0.002, "rates_scratch": [0.005, 0.01],
        "rates_chosen_at": 8,
    }  # fmt: skip
    return xr.Dataset(data, coords, attrs)


@pytest.fixture
def study_result():
    return make_study
