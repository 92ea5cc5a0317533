"""An evaluation file as a small table: field by model by lead time, with the spread over runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from mpp.errors import InputError
from mpp.metrics.bootstrap import by_run
from mpp.metrics.valid import USABLE, valid_steps

SMALL, LARGE = 1e-3, 1e4
"""Means from the first up to the second are written without an exponent."""


@dataclass(frozen=True)
class Cell:
    """One entry of the table.

    Args:
        mean: Arithmetic mean over the runs; NaN or infinite when a forecast diverged.
        error: Standard error of that mean over the runs; NaN for a single run.
        best: Whether no other model has a better mean here.
        interval: Bounds of the mean by resampling the runs, where the file holds them.
    """

    mean: float
    error: float
    best: bool
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        """Three significant digits of the mean, and the standard error to the same place."""
        if not np.isfinite(self.mean):
            return "diverged" if np.isnan(self.mean) else "inf"
        spread = f" ± {self.error:{self._form}}" if np.isfinite(self.error) else ""
        return f"{self.mean:{self._form}}{spread}"

    @property
    def text(self) -> str:
        """The mean with its interval, to the same place, where there is one; else as `str` does."""
        if self.interval is None or not np.isfinite(self.mean):
            return str(self)
        low, high = (f"{bound:{self._form}}" for bound in self.interval)
        return f"{self.mean:{self._form}} ({low} to {high})"

    @property
    def _form(self) -> str:
        if self.mean and not SMALL <= abs(self.mean) < LARGE:
            return ".2e"
        magnitude = int(np.floor(np.log10(abs(self.mean)))) if self.mean else 0
        return f".{max(2 - magnitude, 0)}f"


@dataclass(frozen=True)
class Table:
    """Scores to print.

    Args:
        score: Name of the score.
        system: Name of the physical system.
        fields: Names of the fields: the groups of rows.
        models: Names of the models, persistence last: the rows of a group.
        steps: Forecast steps: the columns.
        lead_times: The steps as physical time.
        lead_units: Unit of ``lead_times``.
        runs: Number of runs that a mean is over.
        cells: The entries by ``(field, model, step)``.
        level: Share of the draws in the intervals; 0 where there are none.
        best: Which values are best: the lowest, the highest, those nearest to one, the truth's.
    """

    score: str
    system: str
    fields: tuple[str, ...]
    models: tuple[str, ...]
    steps: tuple[int, ...]
    lead_times: tuple[float, ...]
    lead_units: str
    runs: int
    cells: dict[tuple[str, str, int], Cell]
    level: float = 0.0
    best: str = "lowest"

    @property
    def better(self) -> str:
        """Which values are better, in words."""
        return {
            "highest": "higher is better",
            "one": "1 is best",
            "truth": "best is what the truth has",
        }.get(self.best, "lower is better")

    def row(self, field: str, model: str) -> list[Cell]:
        """The cells of one field and model, in the order of ``steps``."""
        return [self.cells[field, model, step] for step in self.steps]


def table(
    scores: xr.Dataset, score: str = "vrmse", lead_steps: Sequence[int] = (1, 5, 20)
) -> Table:
    """Summarize an evaluation file.

    The arithmetic mean, not the median or the geometric mean: one forecast that diverges must show.
    Windows of one run depend on each other, so each run is averaged first, and the standard error
    is that of the mean over runs.

    Args:
        scores: As `mpp.evaluate` returns it.
        score: One of its variables.
        lead_steps: Steps to show; the last step of the file stands in for those beyond it.

    Raises:
        InputError: The dataset holds no such score.
    """
    if score not in scores:
        known = ", ".join(str(name) for name in scores.data_vars)
        raise InputError(f"no score {score!r} among: {known}; is this what mpp evaluate wrote?")
    last = int(scores["step"].max())
    steps = tuple(sorted({min(max(step, 1), last) for step in lead_steps}))
    chosen = scores.isel(lead_time=[int(i) for i in np.searchsorted(scores["step"], steps)])
    order = ("model", "field", "lead_time", "sample")
    values = by_run(chosen.assign({score: chosen[score].transpose(*order)}), score)
    runs = values.shape[-1]
    mean = values.mean(-1)
    error = values.std(-1, ddof=1) / np.sqrt(runs) if runs > 1 else np.full_like(mean, np.nan)
    which = str(scores[score].attrs.get("best", "lowest"))
    best = _best(mean, which)
    bounds = None
    if f"{score}_interval" in scores:
        bounds = chosen[f"{score}_interval"].transpose(*order[:3], "bound").values
    fields = tuple(str(name) for name in scores["field"].values)
    models = tuple(str(name) for name in scores["model"].values)
    cells = {
        (field, model, step): Cell(
            float(mean[m, f, s]),
            float(error[m, f, s]),
            bool(best[m, f, s]),
            None if bounds is None else (float(bounds[m, f, s, 0]), float(bounds[m, f, s, 1])),
        )
        for m, model in enumerate(models)
        for f, field in enumerate(fields)
        for s, step in enumerate(steps)
    }
    lead_times = tuple(float(time) for time in chosen["lead_time"].values)
    units = str(scores["lead_time"].attrs.get("units", "1"))
    system = str(scores.attrs.get("system", "unknown"))
    level = 0.0 if bounds is None else float(scores.attrs.get("interval_level", 0.0))
    return Table(score, system, fields, models, steps, lead_times, units, runs, cells, level, which)


def _best(mean: np.ndarray, which: str) -> np.ndarray:
    """True for the best finite value along the first axis; none where the best is the truth's."""
    if which == "truth":
        return np.zeros(mean.shape, bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        badness = {"highest": -mean, "one": np.abs(np.log(mean))}.get(which, mean)
    badness = np.where(np.isfinite(mean), badness, np.nan)
    return badness == np.min(badness, axis=0, where=~np.isnan(badness), initial=np.inf)


def usable_steps(scores: xr.Dataset, below: float = USABLE) -> dict[tuple[str, str], list[int]]:
    """Steps from the first on with a VRMSE of at most ``below``, of every window.

    Returns:
        Counts by ``(field, model)``, one a window.

    Raises:
        InputError: The file holds no VRMSE.
    """
    if "vrmse" not in scores:
        raise InputError("the number of usable steps needs the vrmse, which the file does not hold")
    values = scores["vrmse"].transpose("model", "field", "sample", "lead_time")
    counts = valid_steps(values.values, below)
    return {
        (str(field), str(model)): [int(count) for count in counts[m, f]]
        for m, model in enumerate(values["model"].values)
        for f, field in enumerate(values["field"].values)
    }


def long_table(scores: xr.Dataset) -> pd.DataFrame:
    """Every mean over runs as a row: score, model, field, step, lead time, spread.

    A run counts once. What is made of several fields has no field, what is of whole forecasts no
    step; a forecast that is not finite makes the mean NaN or infinite.
    """
    parts = []
    for key, value in scores.data_vars.items():
        name = str(key)
        if "sample" not in value.dims:
            continue
        values = by_run(scores, name)
        runs = values.shape[-1]
        left = value.isel(sample=0, drop=True).transpose(
            *(dim for dim in value.transpose(..., "sample").dims if dim != "sample")
        )
        error = values.std(-1, ddof=1) / np.sqrt(runs) if runs > 1 else np.nan
        columns = {
            "mean": left.copy(data=values.mean(-1)),
            "standard_error": left.copy(data=np.broadcast_to(error, left.shape)),
        }
        for place, bound in enumerate(("low", "high")):
            if f"{name}_interval" in scores:
                columns[bound] = scores[f"{name}_interval"].isel(bound=place, drop=True)
        units = str(value.attrs.get("units", "1"))
        table = xr.Dataset(columns).to_dataframe().reset_index()
        parts.append(table.assign(score=name, runs=runs, unit=units))
    order = ["score", "model", "field", "step", "lead_time", "mean", "standard_error"]
    whole = pd.concat(parts, ignore_index=True)
    if "units" in whole and "unit" in whole:
        of_field = whole["unit"] == "unit of the field"
        whole["unit"] = whole["unit"].where(~of_field, whole["units"])
    whole = whole.reindex(columns=[*order, "low", "high", "runs", "unit"])
    return whole.astype({"step": "Int64"})


@dataclass(frozen=True)
class Line:
    """One score of one field at one step, model by model.

    Args:
        field: Name of the field; empty for what is made of several fields.
        score: Name of the score.
        units: Its unit.
        cells: The means over runs, in the order of the models of the file.
    """

    field: str
    score: str
    units: str
    cells: tuple[Cell, ...]


def overview(scores: xr.Dataset, step: int) -> list[Line]:
    """All scores of an evaluation file at one step, field by field, then those of no single field.

    Args:
        scores: As `mpp.evaluate` returns it.
        step: Forecast step; the last one of the file stands in for those beyond it.
    """
    place = int(np.searchsorted(scores["step"], min(step, int(scores["step"].max()))))
    at = scores.isel(lead_time=place)
    fields = [str(name) for name in scores["field"].values]
    by_field: dict[str, list[Line]] = {name: [] for name in (*fields, "")}
    for key, value in scores.data_vars.items():
        name = str(key)
        if not {"model", "lead_time", "sample"} <= set(value.dims):
            continue
        mean = by_run(at.assign({name: at[name].transpose("model", ..., "sample")}), name).mean(-1)
        best = _best(mean, str(value.attrs.get("best", "lowest")))
        units = str(value.attrs.get("units", "1"))
        for row, field in enumerate(fields if "field" in value.dims else [""]):
            column = (slice(None), row) if field else (slice(None),)
            cells = zip(mean[column], best[column], strict=True)
            unit = units
            if units == "unit of the field":
                unit = str(scores["units"].values[row]) if "units" in scores.coords else units
            line = Line(field, name, unit, tuple(Cell(float(m), np.nan, bool(b)) for m, b in cells))
            by_field[field].append(line)
    return [line for lines in by_field.values() for line in lines]
