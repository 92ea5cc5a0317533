"""The truth beside a rollout: what a solver gave at the same times, as ``truth_FIELD``."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from mpp import schema
from mpp.errors import InputError


def with_truth(predicted: xr.Dataset, ds: xr.Dataset) -> xr.Dataset:
    """Add to a rollout what the solver gave at the same times, as ``truth_FIELD``.

    Args:
        predicted: The result of `rollout`.
        ds: The dataset whose beginning was the history; it must reach the same times.

    Raises:
        InputError: The dataset has no frames at the times of the rollout.
    """
    times = predicted["time"]
    truth = ds.sel(time=times, method="nearest")
    step = float(times[0]) - predicted.attrs["history_end"]
    missed = abs(truth["time"].values - times.values) > 0.5 * step
    if missed.any():
        raise InputError(
            f"the rollout goes from time {float(times[0]):g} to {float(times[-1]):g}, and the "
            f"dataset has no frame at {float(times[missed][0]):g}; give runs that go on as far"
        )
    truth = truth.assign_coords(time=times)
    fields = {f"truth_{name}": truth[name] for name in schema.names(predicted)}
    marked = {name: value.assign_attrs(role="truth") for name, value in fields.items()}
    return predicted.assign(marked)


def continuation(ds: xr.Dataset, history: xr.Dataset, steps: int) -> xr.Dataset:
    """The ``steps`` frames of a dataset that follow a history, lazily.

    Args:
        ds: The runs that the history was taken from, with the same samples and fields.
        history: Some frames of them.
        steps: Number of frames to follow.

    Raises:
        InputError: Other samples or fields, the history's last time is none of the dataset's, or
            the dataset ends too early.
    """
    schema.require_valid(ds, "truth")
    shapes = [_shapes(one, schema.names(history)) for one in (ds, history)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"the truth has {shapes[0]}, the history {shapes[1]}; give the runs that the history "
            "was taken from"
        )
    times, end = np.asarray(ds["time"].values, np.float64), float(history["time"][-1])
    last = int(np.abs(times - end).argmin())
    if last + steps >= times.size:
        raise InputError(
            f"the rollout goes {steps} steps beyond time {end:g}, and the truth has "
            f"{times.size - 1 - last} frames there; give runs that go on as far, or fewer steps"
        )
    if abs(times[last] - end) > 0.5 * (times[last + 1] - times[last]):
        raise InputError(
            f"the truth has no frame at time {end:g}, where the history ends; give the runs that "
            "the history was taken from"
        )
    return ds.isel(time=slice(last + 1, last + 1 + steps))


def _shapes(ds: xr.Dataset, names: Sequence[str]) -> str:
    """Fields of these names with their sizes but for time."""
    sizes = {name: dict(ds[name].sizes) for name in names if name in ds}
    words = {
        name: " x ".join(str(n) for dim, n in size.items() if dim != "time")
        for name, size in sizes.items()
    }
    return ", ".join(f"{name} ({size})" for name, size in words.items()) or "none of its fields"
