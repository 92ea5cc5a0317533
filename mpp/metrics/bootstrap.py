"""How far the mean of a score would move with other runs: intervals by resampling the runs."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from mpp.errors import InputError

LEVEL, RESAMPLES = 0.95, 1000


def by_run(scores: xr.Dataset, name: str) -> Float[np.ndarray, "... run"]:
    """Mean of a variable over the windows of each run, the other dims in their order.

    Windows of one run depend on each other, so a run counts once however many windows it has.
    """
    values = scores[name].transpose(..., "sample").values
    keys = [scores[key].values for key in ("dataset", "run") if key in scores.coords]
    if not keys:
        return values
    _, group = np.unique(np.stack(keys), axis=1, return_inverse=True)
    means = [values[..., group == run].mean(-1) for run in range(group.max() + 1)]
    return np.stack(means, axis=-1)


def with_intervals(
    scores: xr.Dataset, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> xr.Dataset:
    """Add to every score the interval that the mean over runs lies in: ``SCORE_interval``.

    Percentile bootstrap: as many runs as there are, drawn with replacement, many times; the
    interval holds the given share of the means of these draws. All scores see the same draws. With
    few runs intervals are too narrow: three runs have ten different draws. A run whose forecast is
    not finite makes the mean of every draw that holds it infinite.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.

    Args:
        scores: As `mpp.evaluate` returns it.
        level: Share of the draws inside, above 0 and below 1.
        resamples: Number of draws.
        seed: Of the draws.

    Returns:
        The scores with a variable over the remaining dims and ``bound`` (``low``, ``high``) for
        each score over ``sample``; without any where there is a single run, which tells no spread.

    Raises:
        InputError: A level or a number of draws that is none.
    """
    if not 0 < level < 1 or resamples < 1:
        raise InputError(
            f"expected a level between 0 and 1 and at least one draw, got {level:g} and {resamples}"
        )
    names = [str(name) for name, value in scores.data_vars.items() if "sample" in value.dims]
    if not names or by_run(scores, names[0]).shape[-1] < 2:
        return scores
    runs = by_run(scores, names[0]).shape[-1]
    draws = np.random.default_rng(seed).integers(runs, size=(resamples, runs))
    counts = np.stack([(draws == run).sum(-1) for run in range(runs)], -1).astype(float)
    tails = [(1 - level) / 2, (1 + level) / 2]
    data = {}
    for name in names:
        values = by_run(scores, name)
        finite = np.isfinite(values)
        means = np.where(finite, values, 0.0) @ counts.T / runs
        means = np.where((~finite).astype(float) @ counts.T > 0, np.inf, means)
        # An order statistic, not an interpolation, which is undefined beside infinity.
        found = np.quantile(means, tails, axis=-1, method="inverted_cdf")
        dims = [dim for dim in scores[name].dims if dim != "sample"]
        attrs = {"long_name": f"{100 * level:g} % interval of the mean of {name} over runs"}
        kept = {key: scores[name].attrs[key] for key in ("units",) if key in scores[name].attrs}
        data[f"{name}_interval"] = ((*dims, "bound"), np.moveaxis(found, 0, -1), {**attrs, **kept})
    told = {"interval_level": level, "interval_resamples": resamples, "interval_seed": seed}
    return scores.assign(data).assign_coords(bound=["low", "high"]).assign_attrs(told)
