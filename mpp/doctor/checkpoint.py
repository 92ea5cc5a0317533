"""What a checkpoint makes of a dataset: fields, numbers, and what finetuning it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from mpp import schema
from mpp.doctor.cost import CostReport, measure, trial_of
from mpp.doctor.report import Precision
from mpp.errors import InputError
from mpp.fields import Field
from mpp.model.axial import AxialTransformer
from mpp.model.numbers import TIME_STEP
from mpp.model.surrogate import Surrogate
from mpp.train.datamodule import vocabulary
from mpp.units import in_units
from mpp.weights import load


@dataclass(frozen=True)
class NumberReport:
    """One number of the equation: its range here and in the checkpoint's training, ``None`` if new.

    Both are in the checkpoint's unit.
    """

    name: str
    units: str
    low: float
    high: float
    trained: tuple[float, float] | None

    @property
    def outside(self) -> bool:
        """Whether it leaves the range of training, both in float32 as the model holds them."""
        if self.trained is None:
            return False
        low, high, least, most = np.array([self.low, self.high, *self.trained], np.float32)
        return bool(low < least or high > most)


@dataclass(frozen=True)
class CheckpointReport:
    """What a checkpoint makes of these files.

    Args:
        name: The checkpoint.
        model: Class of the model.
        ranks: Numbers of space axes that it has ends for.
        history: Frames that it looks back on.
        known: Fields that it has rows for.
        new: Fields that it has none for.
        resembles: By new field that evolves, the known one whose rows predict it best.
        units: By known field whose unit differs, the checkpoint's unit.
        roles: By known field whose role differs, the checkpoint's role.
        numbers: Numbers of the equation.
        unfit: Why nothing can be trained, where that is so.
        cost: What finetuning will take; ``None`` where nothing can be trained on yet.
    """

    name: str
    model: str
    ranks: tuple[int, ...]
    history: int
    known: tuple[str, ...]
    new: tuple[str, ...]
    resembles: dict[str, str]
    units: dict[str, str]
    roles: dict[str, str]
    numbers: tuple[NumberReport, ...]
    unfit: str
    cost: CostReport | None


def examine_checkpoint(
    checkpoint: str | Path,
    ds: xr.Dataset,
    precision: Precision,
    sound: bool,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> CheckpointReport:
    """Look at a dataset with the eyes of a checkpoint.

    Args:
        checkpoint: Its folder or name.
        ds: A dataset that the schema finds nothing wrong with but perhaps its boundaries, which are
            taken for walls where they are not told.
        precision: Precision of the finetuning.
        sound: Whether its values can be trained on, so that steps can be measured.
        on_step: Called with the number of steps taken and of all.

    Raises:
        InputError: There is no such checkpoint.
    """
    model = load(checkpoint)
    wanted = vocabulary([ds])
    known = tuple(field.name for field in wanted if field.name in _names(model))
    new = tuple(field.name for field in wanted if field.name not in known)
    unfit, cost, resembles, numbers = _unfit(model, ds), None, {}, ()
    if not unfit:
        try:
            ds = in_units(_closed(ds), model.number_units)
            numbers = _numbers(model, ds)
            trial = trial_of(ds, _axial(model)) if sound else None
            if trial is not None:
                cost, resembles = measure(_axial(model), ds, trial, precision, on_step)
        except InputError as error:
            unfit = str(error)
    return CheckpointReport(
        name=str(checkpoint),
        model=type(model).__name__,
        ranks=tuple(model.shape["ranks"]) if isinstance(model, AxialTransformer) else (),
        history=model.history,
        known=known,
        new=new,
        resembles=resembles,
        units=_differing(model, wanted, "units", "1"),
        roles=_differing(model, wanted, "role", "field"),
        numbers=numbers,
        unfit=unfit,
        cost=cost,
    )


def _axial(model: Surrogate) -> AxialTransformer:
    assert isinstance(model, AxialTransformer)  # `_unfit` has refused others
    return model


def _names(model: Surrogate) -> tuple[str, ...]:
    return model.names if isinstance(model, AxialTransformer) else ()


def _unfit(model: Surrogate, ds: xr.Dataset) -> str:
    if not isinstance(model, AxialTransformer):
        return f"it is a {type(model).__name__}, and finetuning is for AxialTransformer"
    rank, ranks = len(schema.space_axes(ds)), model.shape["ranks"]
    if rank not in ranks:
        ends = ", ".join(map(str, ranks))
        return f"it has ends for {ends} space axes and the data has {rank}"
    if ds.sizes["time"] <= model.history:
        return f"it needs {model.history + 1} frames and the runs have {ds.sizes['time']}"
    return ""


def _closed(ds: xr.Dataset) -> xr.Dataset:
    """The dataset with walls where no boundary is told: the cost is that of any other."""
    open_sides = [axis for axis in schema.space_axes(ds) if "boundary" not in ds[axis].attrs]
    walls = {axis: ds[axis].assign_attrs(boundary="wall") for axis in open_sides}
    return ds.assign_coords(walls)


def _differing(model: Surrogate, wanted: tuple[Field, ...], key: str, usual: str) -> dict[str, str]:
    """What the checkpoint knows of fields that are otherwise here."""
    told = model.card.get("fields", {})
    pairs = [(f, told[f.name].get(key, usual)) for f in wanted if f.name in told]
    return {f.name: known for f, known in pairs if f.attrs().get(key, usual) != known}


def _numbers(model: Surrogate, ds: xr.Dataset) -> tuple[NumberReport, ...]:
    """The numbers of the equation, and the time between frames, which is one of them."""
    ranges = model.number_ranges
    time = np.asarray(ds["time"].values, dtype=np.float64)
    step = float(time[-1] - time[0]) / max(1, time.size - 1)
    found = [
        NumberReport(
            TIME_STEP, str(ds["time"].attrs.get("units", "1")), step, step, ranges.get(TIME_STEP)
        )
    ]
    for name in schema.names(ds, "parameter"):
        values = np.asarray(ds[name].values, dtype=np.float64)
        units = str(ds[name].attrs.get("units", "1"))
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        found.append(NumberReport(name, units, low, high, ranges.get(name)))
    return tuple(found)
