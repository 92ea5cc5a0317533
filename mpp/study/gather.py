"""The trainings of a study as one dataset a system, and as one table of all."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from mpp.evaluation import BASELINE, SCORES
from mpp.study.plan import Cell, arms_of

OF_A_TRAINING = {
    "seconds": ("s", "time that passed during the training, validations included"),
    "cpu_seconds": ("s", "time that processors worked for the training"),
    "validation": ("1", "error of one step on the validation runs, in units of the change"),
    "learning_rate": ("1", "learning rate"),
}
"""Unit and meaning of what is told of each training beside its scores."""
KEPT = ("system", "history", "max_steps", "batch_size", "threads", "mpp_version")
"""Attributes that all trainings of a system share."""


def read(cell: Cell, folder: Path) -> xr.Dataset:
    """The scores of a cell."""
    return xr.load_dataset(cell.file(folder), decode_times=False)


def best(cells: Sequence[Cell], folder: Path) -> Cell:
    """The cell that validated best; one without a finite error never does.

    Cells are compared by their validation runs alone: test runs choose nothing.
    """
    errors = [read(cell, folder).attrs["validation"] for cell in cells]
    return cells[int(np.argmin(errors))]


def gather(cells: Sequence[Cell], folder: Path) -> xr.Dataset:
    """All cells of one system, by arm, size and seed, with persistence beside them."""
    found = {cell: read(cell, folder) for cell in cells}
    target, first = cells[0].target, found[cells[0]]
    places = {(cell.arm, cell.size, cell.seed): ds for cell, ds in found.items()}
    seeds = sorted({cell.seed for cell in cells})
    arms = arms_of([cell.arm for cell in cells])
    keys = [[(arm, size, seed) for seed in seeds] for arm in arms for size in target.sizes]
    shape = (len(arms), len(target.sizes), len(seeds))
    index = ("arm", "size", "seed")

    data = {}
    for name in SCORES:
        scores = [places[key][name].sel(model=key[0]) for row in keys for key in row]
        inner = [str(dim) for dim in scores[0].dims]
        stacked = np.stack([score.values for score in scores]).reshape(*shape, *scores[0].shape)
        data[name] = ((*index, *inner), stacked, first[name].attrs)
        still = first[name].sel(model=BASELINE)
        data[f"{BASELINE}_{name}"] = (inner, still.values, first[name].attrs)
    for name, (units, meaning) in OF_A_TRAINING.items():
        values = [places[key].attrs[name] for row in keys for key in row]
        attrs = {"units": units, "long_name": meaning}
        data[name] = (index, np.reshape(values, shape), attrs)
    coords = {"arm": list(arms), "size": list(target.sizes), "seed": seeds}
    attrs = {name: first.attrs[name] for name in KEPT} | {
        "validation_runs": list(target.division.validation),
        "test_runs": int(target.test.sizes["sample"]),
        "training_runs_there": len(target.division.training),
    }
    shared = {str(k): v for k, v in first.coords.items() if "model" not in v.dims and k != "model"}
    return xr.Dataset(data, {**shared, **coords}, attrs)


def rows(found: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """A row each system, arm, size, seed, field and lead time; scores are means over test runs.

    Persistence is an arm of its own without size and seed. A forecast that diverged makes the mean
    NaN or infinite.
    """
    parts = []
    for system, ds in found.items():
        means = ds.mean("sample", skipna=False)
        names = {f"{BASELINE}_{name}": name for name in SCORES}
        trained, still = means.drop_vars(list(names)), means[list(names)].rename(names)
        parts += [
            trained.to_dataframe().reset_index().assign(system=system),
            still.to_dataframe().reset_index().assign(system=system, arm=BASELINE),
        ]
    table = pd.concat(parts, ignore_index=True)
    first = ["system", "arm", "size", "seed", "field", "units", "step", "lead_time"]
    table = table.astype({"size": "Int64", "seed": "Int64"})
    return table.reindex(columns=[*first, *SCORES, *OF_A_TRAINING])
