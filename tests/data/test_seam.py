"""What fields say about the sides of an axis, for fields whose sides are known."""

import numpy as np
import pytest

from mpp.data.seam import judge, seam_ratio


def waves(points: int) -> np.ndarray:
    return np.sin(2 * np.pi * np.arange(points) / points)


def test_jumps_across_the_seam():
    # A resolved periodic wave jumps at the seam as it does elsewhere; a slope by all its height.
    assert seam_ratio(waves(64), 0) == pytest.approx(np.sqrt(2), rel=0.02)
    assert seam_ratio(np.linspace(0, 1, 64), 0) == pytest.approx(63)
    # A wave whose last point repeats the first does not jump at all.
    assert seam_ratio(np.append(waves(64), 0.0), 0) == pytest.approx(0, abs=1e-12)
    # A bump that both sides are far from tells nothing, nor does a constant or a short axis.
    bump = np.exp(-((np.linspace(-1, 1, 64) / 0.1) ** 2))
    assert np.isnan(seam_ratio(bump, 0))
    assert np.isnan(seam_ratio(np.ones(64), 0))
    assert np.isnan(seam_ratio(np.arange(3.0), 0))


@pytest.mark.parametrize(
    ("ratios", "sides"),
    [
        ([], "unknown"),
        ([np.nan], "quiet at the sides"),
        ([1.2, np.nan], "wraps"),
        ([1.2, 9.0], "does not wrap"),
        ([1.2, 3.0], "unclear"),
        ([0.0, 0.0], "equal at both sides"),
    ],
)
def test_one_field_that_jumps_decides(ratios: list[float], sides: str):
    assert judge(ratios) == sides
