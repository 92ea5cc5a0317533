"""Scores: each one formula, defined once."""

from mpp.metrics.bootstrap import with_intervals
from mpp.metrics.running import SampleMean
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
