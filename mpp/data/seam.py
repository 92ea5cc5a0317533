"""What the fields suggest about the sides of an axis: do they go on across the seam?"""

from typing import Literal

import numpy as np

Sides = Literal[
    "wraps", "does not wrap", "unclear", "equal at both sides", "quiet at the sides", "unknown"
]
QUIET = 0.02
"""Jumps at the sides below this share of the inner ones say nothing about the boundary."""
WRAPS = 2.0
"""A jump across the seam up to this many times the inner ones is taken for one of them."""
BREAKS = 4.0
"""A larger one than this is not; between the two, coarse grids and shocks make it unclear."""


def seam_ratio(values: np.ndarray, axis: int) -> float:
    """RMS of the jump from the last point to the first, over the RMS of the inner jumps.

    About 1 for a resolved periodic field, about the number of points for a slope between walls.
    ``nan`` for a field that does not change along the axis, or near both sides of it.
    """
    along = np.moveaxis(np.asarray(values, dtype=np.float64), axis, 0)
    if along.shape[0] < 4:
        return float("nan")
    inner = _rms(np.diff(along, axis=0))
    seam = _rms(along[0] - along[-1])
    sides = max(_rms(along[1] - along[0]), _rms(along[-1] - along[-2]), seam)
    if not inner > 0 or sides < QUIET * inner:
        return float("nan")
    return seam / inner


def judge(ratios: list[float]) -> Sides:
    """What the ratios of all fields say together; one field that jumps decides."""
    known = [ratio for ratio in ratios if np.isfinite(ratio)]
    if not ratios:
        return "unknown"
    if not known:
        return "quiet at the sides"
    if max(known) < 1e-6:
        return "equal at both sides"
    if max(known) <= WRAPS:
        return "wraps"
    return "does not wrap" if max(known) > BREAKS else "unclear"


def _rms(values: np.ndarray) -> float:
    square = np.square(values)
    return float(np.sqrt(np.nanmean(square))) if np.isfinite(square).any() else 0.0
