"""Which runs train, which validate: by run, the same for the same seed, whatever else happens."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Division:
    """Runs of one dataset by what they are for, as places along ``sample``; no run in two parts.

    Args:
        test: Runs to score on; none where the test runs are a dataset of their own.
        validation: Runs to choose weights and rates by.
        training: The others, in rising order.
    """

    test: tuple[int, ...]
    validation: tuple[int, ...]
    training: tuple[int, ...]

    def first(self, count: int, seed: int) -> tuple[int, ...]:
        """The first training runs of an order that the seed fixes: more runs hold fewer ones."""
        order = np.random.default_rng(seed).permutation(self.training)
        return tuple(int(run) for run in order[:count])


def divide_runs(ds: xr.Dataset, test: int, validation: int) -> Division:
    """Set runs aside to test and to validate on; which, depends on the number of runs alone.

    Args:
        ds: A dataset in the schema.
        test: How many runs to test on, 0 or more.
        validation: How many runs to validate on.

    Raises:
        InputError: No run is left to train on.
    """
    runs = ds.sizes["sample"]
    if runs <= test + validation:
        aside = f"{test} to test on and {validation}" if test else f"{validation}"
        raise InputError(
            f"{ds.attrs.get('system', 'dataset')}: {runs} run{'s' if runs > 1 else ''}, of which "
            f"{aside} to choose weights by are set aside, leave none to train on; give more runs "
            "or set fewer aside"
        )
    order = [int(run) for run in np.random.default_rng(0).permutation(runs)]
    parts = order[:test], order[test : test + validation], order[test + validation :]
    return Division(*(tuple(sorted(part)) for part in parts))
