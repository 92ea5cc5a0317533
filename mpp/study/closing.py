"""What finetuning was worth: the tuned model on held-out frames, beside what there was before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from mpp import schema
from mpp.devices import placed
from mpp.evaluation import BASELINE, LINE, evaluate
from mpp.files import written_beside
from mpp.metrics.summary import Cell
from mpp.metrics.valid import USABLE
from mpp.model.surrogate import LinearExtrapolation, Surrogate

TUNED, UNTUNED = "finetuned", "untuned"
LEAD_STEPS = (1, 5, 10, 20)
"""Forecast steps that are shown, as far as the held-out frames go."""
WINDOWS = 4
"""Windows to score where there are fewer held-out runs than this, as far as the frames go."""


@dataclass(frozen=True)
class Reach:
    """How far the forecasts of one field can be used.

    Args:
        field: Name of the field.
        step: The last forecast step that beats copying the last frame with a VRMSE below `USABLE`
            there and before; 0 where there is none.
        lead_time: The step as physical time.
        worse: Steps at which copying the last frame is better.
        steps: Steps that were scored.
        error: VRMSE of the tuned model at the last usable step, at the first where there is none.
        still: That of copying the last frame.
        units: Unit of the lead time.
    """

    field: str
    step: int
    lead_time: float
    worse: tuple[int, ...]
    steps: int
    error: float
    still: float
    units: str

    def __str__(self) -> str:
        errors = [str(Cell(value, np.nan, False)) for value in (self.error, self.still)]
        there = f"VRMSE {errors[0]}, copying the last frame {errors[1]}"
        if self.step:
            units = "" if self.units == "1" else f" {self.units}"
            beyond = ", the last that was scored" if self.step == self.steps else ""
            told = (
                f"{self.field}: usable up to lead time {self.lead_time:.4g}{units} "
                f"(step {self.step}{beyond}: {there})"
            )
        else:
            told = f"{self.field}: not usable at any lead time (step 1: {there})"
        if not self.worse:
            return f"{told}."
        count = len(self.worse)
        where = f"step{'s' if count > 1 else ''} {_spans(self.worse)}"
        where = "every step" if count == self.steps else where
        return f"{told}; WORSE than copying the last frame at {where}."


def score(
    tuned: Surrogate,
    untuned: Surrogate,
    held_out: xr.Dataset,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Score a tuned model on held-out frames, with the untuned one and two baselines beside it.

    Args:
        tuned: The model after finetuning.
        untuned: The model before it, with rows for the new fields.
        held_out: Runs, or the last part of one, that no gradient has seen.
        progress: Called with the forecast frames done and their total.

    Returns:
        Scores as `mpp.evaluate` gives them.
    """
    frames, runs = held_out.sizes["time"], held_out.sizes["sample"]
    steps = max(1, min(max(LEAD_STEPS), frames - tuned.history))
    starts = max(1, min(frames - tuned.history - steps + 1, WINDOWS // runs))
    models = {TUNED: tuned, UNTUNED: untuned, LINE: LinearExtrapolation()}
    with placed(tuned, untuned):
        scores = evaluate(models, held_out, steps, tuned.history, starts, progress=progress)
    return scores.assign_attrs(usable_below=USABLE)


def reaches(scores: xr.Dataset) -> list[Reach]:
    """How far each field can be used, from means over all windows."""
    means = scores["vrmse"].mean("sample", skipna=False)
    steps, times = scores["step"].values, scores["lead_time"].values
    units = str(scores["lead_time"].attrs.get("units", "1"))
    found = []
    for name in scores["field"].values:
        error, still = (means.sel(model=m, field=name).values for m in (TUNED, BASELINE))
        good = np.logical_and.accumulate(error < USABLE)
        places = np.flatnonzero(good & (error < still))
        last = int(places[-1]) if places.size else 0
        found.append(
            Reach(
                field=str(name),
                step=int(steps[last]) if places.size else 0,
                lead_time=float(times[last]) if places.size else 0.0,
                worse=tuple(int(step) for step in steps[~(error <= still)]),
                steps=int(steps[-1]),
                error=float(error[last]),
                still=float(still[last]),
                units=units,
            )
        )
    return found


def write(scores: xr.Dataset, out: Path) -> None:
    """Write ``scores.nc``, and ``scores.csv`` with means over the windows, into a folder."""
    with written_beside(out / "scores.nc") as unfinished:
        scores.to_netcdf(unfinished)
    table = scores.mean("sample", skipna=False).to_dataframe().reset_index()
    with written_beside(out / "scores.csv") as unfinished:
        table.to_csv(unfinished, index=False)


def told_held_out(whole: xr.Dataset, held_out: Mapping[str, np.ndarray]) -> str:
    """What was held out, in a sentence.

    Args:
        whole: All runs.
        held_out: Places along ``sample`` and ``time`` that were.
    """
    runs, frames = held_out["sample"], held_out["time"]
    count, system = whole.sizes["sample"], schema.system(whole)
    if count > 1:
        which = f"run{'s' if runs.size > 1 else ''} {_spans(runs + 1)}"
        return f"{system}: held out {which} of {count}, whole; the others train"
    units = str(whole["time"].attrs.get("units", "1"))
    start = f"{float(whole['time'][frames[0]]):.4g}{'' if units == '1' else f' {units}'}"
    return (
        f"{system}: one run only, so its last {frames.size} of {whole.sizes['time']} frames (from "
        f"time {start} on) are held out; scores tell how this run goes on, not how another would"
    )


def _spans(numbers: np.ndarray | tuple[int, ...]) -> str:
    """Rising whole numbers in few words: 1 2 3 7 is ``1 to 3, 7``."""
    parts: list[list[int]] = []
    for number in map(int, numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    shown = [f"{p[0]} to {p[-1]}" if len(p) > 2 else ", ".join(map(str, p)) for p in parts]
    return ", ".join(shown)
