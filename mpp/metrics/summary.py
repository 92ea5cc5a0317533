"""An evaluation file as a small table: field by model by lead time, with the spread over runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from mpp.errors import InputError

SMALL, LARGE = 1e-3, 1e4
"""Means from the first up to the second are written without an exponent."""


@dataclass(frozen=True)
class Cell:
    """One entry of the table.

    Args:
        mean: Arithmetic mean over the runs; NaN or infinite when a forecast diverged.
        error: Standard error of that mean over the runs; NaN for a single run.
        best: Whether no other model has a lower mean here.
    """

    mean: float
    error: float
    best: bool

    def __str__(self) -> str:
        """Three significant digits of the mean, and the standard error to the same place."""
        if not np.isfinite(self.mean):
            return "diverged" if np.isnan(self.mean) else "inf"
        if self.mean and not SMALL <= abs(self.mean) < LARGE:
            form = ".2e"
        else:
            magnitude = int(np.floor(np.log10(abs(self.mean)))) if self.mean else 0
            form = f".{max(2 - magnitude, 0)}f"
        spread = f" ± {self.error:{form}}" if np.isfinite(self.error) else ""
        return f"{self.mean:{form}}{spread}"


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
    values = _by_run(chosen, score)
    runs = values.shape[-1]
    mean = values.mean(-1)
    error = values.std(-1, ddof=1) / np.sqrt(runs) if runs > 1 else np.full_like(mean, np.nan)
    best = mean == np.min(mean, axis=0, where=np.isfinite(mean), initial=np.inf)
    fields = tuple(str(name) for name in scores["field"].values)
    models = tuple(str(name) for name in scores["model"].values)
    cells = {
        (field, model, step): Cell(float(mean[m, f, s]), float(error[m, f, s]), bool(best[m, f, s]))
        for m, model in enumerate(models)
        for f, field in enumerate(fields)
        for s, step in enumerate(steps)
    }
    lead_times = tuple(float(time) for time in chosen["lead_time"].values)
    units = str(scores["lead_time"].attrs.get("units", "1"))
    system = str(scores.attrs.get("system", "unknown"))
    return Table(score, system, fields, models, steps, lead_times, units, runs, cells)


def _by_run(scores: xr.Dataset, score: str) -> np.ndarray:
    """Mean over the windows of each run, as (model, field, lead_time, run)."""
    values = scores[score].transpose("model", "field", "lead_time", "sample").values
    keys = [scores[name].values for name in ("dataset", "run") if name in scores.coords]
    if not keys:
        return values
    _, group = np.unique(np.stack(keys), axis=1, return_inverse=True)
    means = [values[..., group == run].mean(-1) for run in range(group.max() + 1)]
    return np.stack(means, axis=-1)
