"""How long a forecast can be used: the first crossing of a threshold of a score."""

import numpy as np
import xarray as xr

from mpp.errors import InputError

USABLE = 0.5
"""VRMSE up to which a forecast counts as usable; at 1 it is no better than the field's mean."""


def valid_steps(series: np.ndarray, threshold: float, above: bool = False) -> np.ndarray:
    """Number of steps from the first on at which a score stays on the good side of a threshold.

    Whole steps: the step before the first crossing, not interpolated, because a score is known at
    the frames alone and a fraction of a step would claim more. A return to the good side later does
    not count. A score that is not finite is a crossing.

    Args:
        series: Scores, (..., lead_time).
        threshold: The value that is just good enough.
        above: Whether larger is better, as for a correlation.

    Returns:
        Counts, (...); 0 where the first step is already beyond, all steps where none is.
    """
    good = np.asarray(series) >= threshold if above else np.asarray(series) <= threshold
    good = good & np.isfinite(series)
    return np.logical_and.accumulate(good, axis=-1).sum(-1)


def valid_time(
    scores: xr.DataArray, threshold: float = USABLE, above: bool = False, dim: str = "lead_time"
) -> xr.DataArray:
    """Lead time of the last step before the first crossing, over the remaining dims.

    Args:
        scores: A score over ``dim``, whose coordinate is the lead time.
        threshold: The value that is just good enough.
        above: Whether larger is better, as for a correlation.
        dim: The dim of lead times.

    Returns:
        Times in the unit of ``dim``; 0 where the first step is already beyond, and the last lead
        time where the threshold is never crossed, which is then a lower bound.

    Raises:
        InputError: No such dim with a coordinate.
    """
    if dim not in scores.dims or dim not in scores.coords:
        raise InputError(
            f"expected a score over {dim}, with the lead times as its coordinate, got "
            f"({', '.join(map(str, scores.dims))})"
        )
    moved = scores.transpose(..., dim)
    steps = valid_steps(moved.values, threshold, above)
    times = np.concatenate([[0.0], np.asarray(scores[dim].values, dtype=np.float64)])
    found = moved.isel({dim: 0}, drop=True).copy(data=times[steps])
    attrs = {"threshold": threshold, "of": str(scores.name)}
    return found.rename("valid_time").assign_attrs(
        {**attrs, "units": str(scores[dim].attrs.get("units", "1"))}
    )
