"""Scores: each one formula, defined once."""

from mpp.metrics.running import SampleMean
from mpp.metrics.scales import FLOOR_FRACTION, Scales, measure
from mpp.metrics.scores import mae, nmse, nrmse, rmse, vrmse
from mpp.metrics.summary import Cell, Table, table

__all__ = [
    "FLOOR_FRACTION",
    "Cell",
    "SampleMean",
    "Scales",
    "Table",
    "mae",
    "measure",
    "nmse",
    "nrmse",
    "rmse",
    "table",
    "vrmse",
]
