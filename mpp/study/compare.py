"""An arm of a study beside scratch: errors with their spread, gains, and a verdict in words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

from mpp.errors import InputError
from mpp.evaluation import BASELINE
from mpp.metrics.gains import Bounded, accuracy_gains, efficiency_gains, runs_needed
from mpp.metrics.summary import Cell
from mpp.study.plan import FULL, SCRATCH

TOGETHER = "mean of fields"
"""Stands in the place of a field's name."""
NEGATIVE = "Negative transfer"


def columns(arm: str) -> tuple[str, ...]:
    """Titles of the columns of an arm's table."""
    return ("field", "lead time", "runs", arm, SCRATCH, "AG", "EG")


@dataclass(frozen=True)
class Comparison:
    """The two learning curves of one field at one lead time.

    Args:
        system: Name of the physical system.
        field: Name of the field, or `TOGETHER`.
        step: Forecast step.
        lead_time: The step as physical time, with its unit.
        sizes: Numbers of training runs, rising.
        finetuned: Mean error over the test runs.
        scratch: The same from scratch.
        persistence: The error of copying the last frame.
        arm: How the finetuned model was finetuned.
    """

    system: str
    field: str
    step: int
    lead_time: str
    sizes: tuple[int, ...]
    finetuned: Float[np.ndarray, "size seed"]
    scratch: Float[np.ndarray, "size seed"]
    persistence: float
    arm: str = FULL

    @property
    def means(self) -> tuple[Float[np.ndarray, " size"], Float[np.ndarray, " size"]]:
        """Means over seeds, finetuned and from scratch; one training that diverged shows."""
        return self.finetuned.mean(1), self.scratch.mean(1)

    @property
    def accuracy_gains(self) -> Float[np.ndarray, " size"]:
        return accuracy_gains(*self.means)

    @property
    def efficiency_gains(self) -> list[Bounded]:
        return efficiency_gains(self.sizes, *self.means)

    @property
    def needed(self) -> Bounded:
        """Finetuned runs that reach the error from scratch at the largest size."""
        finetuned, scratch = self.means
        return runs_needed(self.sizes, finetuned, float(scratch[-1]))

    @property
    def worse(self) -> tuple[int, ...]:
        """Places in ``sizes`` where transfer is negative: the finetuned mean is the larger one."""
        finetuned, scratch = (np.where(np.isfinite(mean), mean, np.inf) for mean in self.means)
        return tuple(int(place) for place in np.flatnonzero(finetuned > scratch))

    def rows(self) -> list[tuple[str, ...]]:
        """The comparison as text, in the order of `columns`, persistence last."""
        found = []
        arms = [_cells(errors) for errors in (self.finetuned, self.scratch)]
        gains = zip(self.accuracy_gains, self.efficiency_gains, strict=True)
        for size, finetuned, scratch, (ag, eg) in zip(self.sizes, *arms, gains, strict=True):
            found.append((str(size), finetuned, scratch, f"{ag:.3g}", str(eg)))
        found.append((BASELINE, str(Cell(self.persistence, np.nan, False)), "", "", ""))
        first = (self.field, f"step {self.step} ({self.lead_time})")
        return [(*(first if not place else ("", "")), *row) for place, row in enumerate(found)]


def _cells(errors: Float[np.ndarray, "size seed"]) -> list[str]:
    """Mean and standard deviation over seeds."""
    seeds = errors.shape[1]
    spread = errors.std(1, ddof=1) if seeds > 1 else np.full(len(errors), np.nan)
    return [
        str(Cell(float(m), float(s), False)) for m, s in zip(errors.mean(1), spread, strict=True)
    ]


def _number(value: float) -> str:
    return str(Cell(float(value), np.nan, False))


def compare(
    ds: xr.Dataset,
    lead_steps: Sequence[int] = (1, 5, 20),
    score: str = "vrmse",
    arm: str | None = None,
) -> list[Comparison]:
    """Every field at every lead time, and the mean of the fields where there are several.

    Args:
        ds: A system's result, as `mpp.transfer` gives it.
        lead_steps: Forecast steps; the last step there is stands in for those beyond it.
        score: Which score; a mean of fields is taken of relative ones only.
        arm: Which arm to set beside scratch; the first of the study when left out.

    Raises:
        InputError: The dataset is not a study's, or holds no such score or arm.
    """
    if score not in ds or "arm" not in ds.dims:
        known = ", ".join(str(name) for name in ds.data_vars)
        raise InputError(
            f"no score {score!r} of two arms among: {known}; is this a study's result?"
        )
    arm = tuned_arms(ds)[0] if arm is None else arm
    if arm not in tuned_arms(ds):
        raise InputError(f"no arm {arm!r} among: {', '.join(tuned_arms(ds))}")
    last = int(ds["step"].max())
    units = str(ds["lead_time"].attrs.get("units", "1"))
    means = ds[[score, f"{BASELINE}_{score}"]].mean("sample", skipna=False)
    parts = [(str(name), means.sel(field=name)) for name in means["field"].values]
    if len(parts) > 1 and ds[score].attrs.get("units", "1") == "1":
        parts.append((TOGETHER, means.mean("field", skipna=False)))
    found = []
    for step in sorted({min(step, last) for step in lead_steps}):
        for field, part in parts:
            at = part.isel(lead_time=int(np.flatnonzero(ds["step"].values == step)[0]))
            time = f"{float(at['lead_time']):.4g}{'' if units == '1' else f' {units}'}"
            finetuned, scratch = (
                at[score].transpose("arm", "size", "seed").sel(arm=[arm, SCRATCH]).values
            )
            found.append(
                Comparison(
                    system=str(ds.attrs["system"]),
                    field=field,
                    step=step,
                    lead_time=time,
                    sizes=tuple(int(size) for size in ds["size"].values),
                    finetuned=finetuned,
                    scratch=scratch,
                    persistence=float(at[f"{BASELINE}_{score}"]),
                    arm=arm,
                )
            )
    return found


def tuned_arms(ds: xr.Dataset) -> tuple[str, ...]:
    """The arms of a study that are set beside scratch."""
    return tuple(str(arm) for arm in ds["arm"].values if arm != SCRATCH)


def headlines(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """One comparison a lead time: the mean of the fields, or the field where there is one."""
    return [c for c in comparisons if c.field == TOGETHER] or list(comparisons)


def verdict(comparisons: Sequence[Comparison]) -> list[str]:
    """What a system's comparisons say: gains by lead time, then all places where transfer hurts."""
    lines = [_gain(comparison) for comparison in headlines(comparisons)]
    # The mean of the fields cannot be worse where none of them is.
    harmed = [c for c in comparisons if c.worse and c.field != TOGETHER]
    sizes = ", ".join(str(size) for size in comparisons[0].sizes)
    none = f"No negative transfer with {sizes} runs, in any field at any lead time."
    return [*lines, *(_harm(comparison) for comparison in harmed)] if harmed else [*lines, none]


def _gain(comparison: Comparison) -> str:
    """What the head start is worth, and where copying the last frame would do better."""
    gains = comparison.accuracy_gains[np.isfinite(comparison.accuracy_gains)]
    most, needed = comparison.sizes[-1], comparison.needed
    matched = f"is matched with {needed} {comparison.arm}"
    if needed.sign == ">":
        matched = f"is not matched with {most} {comparison.arm}"
    told = (
        f"{comparison.field}, {comparison.lead_time} (step {comparison.step}): scratch on {most} "
        f"runs {matched} (EG {comparison.efficiency_gains[-1]})"
    )
    if gains.size:
        told += f"; AG {gains.min():.3g} to {gains.max():.3g}"
    beaten = comparison.means[0] > comparison.persistence
    if beaten.any():
        sizes = ", ".join(
            str(size) for size, is_so in zip(comparison.sizes, beaten, strict=True) if is_so
        )
        how = "finetuning" if comparison.arm == FULL else comparison.arm
        told += f"; copying the last frame beats {how} with {sizes}"
    return f"{told}."


def _harm(comparison: Comparison) -> str:
    """Every size at which the finetuned model is the worse one."""
    finetuned, scratch = comparison.means
    places = []
    for place in comparison.worse:
        worse = ~(comparison.finetuned[place] <= comparison.scratch[place])
        places.append(
            f"with {comparison.sizes[place]} runs ({_number(finetuned[place])} against "
            f"{_number(scratch[place])}, on {worse.sum()} of {worse.size} seeds)"
        )
    where = f"{comparison.field}, {comparison.lead_time} (step {comparison.step})"
    return f"{NEGATIVE}: {where}: {comparison.arm} is worse than scratch {', '.join(places)}."


def budget(ds: xr.Dataset) -> str:
    """How the trainings of a system were done, in a few sentences."""
    steps, batch = int(ds.attrs["max_steps"]), int(ds.attrs["batch_size"])
    rates, seconds, chosen = [], [], False
    for arm in (*tuned_arms(ds), SCRATCH):
        at = ds.sel(arm=arm)
        tried = np.atleast_1d(ds.attrs[f"rates_{arm}"])
        best = (
            f" (the best of {', '.join(f'{rate:g}' for rate in tried)})" if tried.size > 1 else ""
        )
        rates.append(f"{float(at['learning_rate'].values.flat[0]):g} {arm}{best}")
        chosen = chosen or bool(best)
        median = [float(at[name].median()) for name in ("seconds", "cpu_seconds")]
        seconds.append(f"{median[0]:.3g} s {arm} ({median[1]:.3g} s of processors)")
    validation = np.atleast_1d(ds.attrs["validation_runs"]).size
    how = ""
    if chosen:
        size = int(ds.attrs["rates_chosen_at"])
        how = f" The best rate is the one that validates best with {size} training runs."
    return (
        f"Every training: {steps} steps of {batch} windows, at rates of {_listed(rates)}; in "
        f"the median {_listed(seconds)}.{how} Beside its training runs each had {validation} "
        f"runs to choose its weights by; errors are on {int(ds.attrs['test_runs'])} test runs that "
        "nothing was trained on or chosen by."
    )


def _listed(parts: Sequence[str]) -> str:
    """Several parts in a sentence."""
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
