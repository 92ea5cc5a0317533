"""Scores: each one formula, defined once."""

from typing import TYPE_CHECKING, Any

from mpp.metrics.bootstrap import with_intervals
from mpp.metrics.scales import FLOOR_FRACTION, Scales, measure
from mpp.metrics.scores import (
    anomaly_correlation,
    mae,
    max_error,
    nmse,
    nrmse,
    pearson,
    rmse,
    vmse,
    vrmse,
)
from mpp.metrics.spectrum import band_nrmse, band_ratio, power_spectrum, spectrum_ratio
from mpp.metrics.summary import Cell, Table, table

if TYPE_CHECKING:
    from mpp.metrics.running import SampleMean

__all__ = [
    "FLOOR_FRACTION",
    "Cell",
    "SampleMean",
    "Scales",
    "Table",
    "anomaly_correlation",
    "band_nrmse",
    "band_ratio",
    "mae",
    "max_error",
    "measure",
    "nmse",
    "nrmse",
    "pearson",
    "power_spectrum",
    "rmse",
    "spectrum_ratio",
    "table",
    "vmse",
    "vrmse",
    "with_intervals",
]


def __getattr__(name: str) -> Any:
    """Import `SampleMean` when it is first used: torchmetrics takes seconds to read."""
    if name != "SampleMean":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mpp.metrics.running import SampleMean

    return SampleMean
