"""Which runs train, which validate: by run, the same for the same seed, whatever else happens."""

import numpy as np
import xarray as xr

from mpp.errors import InputError


def split_runs(
    ds: xr.Dataset, held_out: float, seed: int = 0, frames: int = 2
) -> tuple[xr.Dataset, xr.Dataset]:
    """Split a dataset by run into a training part and a held-out part.

    A single run is split in time instead: its last part is held out.

    Args:
        ds: A dataset in the schema.
        held_out: Share of the runs to hold out, between 0 and 1; at least one run is.
        seed: Chooses which.
        frames: Frames that each part needs, when a single run is split in time.

    Raises:
        InputError: A single run that is too short to be split, or a share that is none or all.
    """
    if not 0 < held_out < 1:
        raise InputError(f"a share of {held_out} was to be held out; give one between 0 and 1")
    runs, length = ds.sizes["sample"], ds.sizes["time"]
    if runs == 1:
        last = max(frames, round(held_out * length))
        if length - last < frames:
            raise InputError(
                f"{ds.attrs.get('system', 'dataset')}: one run of {length} frames cannot be split "
                f"into two parts of at least {frames}; give more or longer "
                "runs, or a model with a shorter history"
            )
        return ds.isel(time=slice(0, -last)), ds.isel(time=slice(-last, None))
    count = min(runs - 1, max(1, round(held_out * runs)))
    order = np.random.default_rng(seed).permutation(runs)
    return ds.isel(sample=np.sort(order[count:])), ds.isel(sample=np.sort(order[:count]))
