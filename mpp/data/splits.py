"""Which runs train, which validate: by run, the same for the same seed, whatever else happens."""

import numpy as np
import xarray as xr

from mpp.errors import InputError


def split_runs(
    ds: xr.Dataset, held_out: float | int, seed: int = 0
) -> tuple[xr.Dataset, xr.Dataset]:
    """Split a dataset by run into a training part and a held-out part.

    Args:
        ds: A dataset with at least two runs.
        held_out: Share of the runs (below 1) or number of runs to hold out; at least one.
        seed: Chooses which.

    Raises:
        InputError: Nothing would be left on one of the sides.
    """
    runs = ds.sizes["sample"]
    count = max(1, round(held_out * runs)) if held_out < 1 else int(held_out)
    if count >= runs:
        raise InputError(
            f"{ds.attrs.get('system', 'dataset')}: {runs} runs cannot hold out {count} and still "
            "train; give more runs or hold out fewer"
        )
    order = np.random.default_rng(seed).permutation(runs)
    held = np.sort(order[:count])
    kept = np.sort(order[count:])
    return ds.isel(sample=kept), ds.isel(sample=held)
