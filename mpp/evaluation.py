"""Scores of forecasts against a solver's truth, by model, field, lead time and window."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from mpp import metrics, schema
from mpp.batch import Batch
from mpp.errors import InputError
from mpp.metrics.scores import Score
from mpp.model.surrogate import Persistence, Surrogate

BASELINE = "persistence"
SCORES: dict[str, tuple[Score, str]] = {
    "nrmse": (metrics.nrmse, "sqrt(mean(e^2) / max(mean(truth^2), floor^2))"),
    "vrmse": (metrics.vrmse, "sqrt(mean(e^2) / max(var(truth), floor^2))"),
    "rmse": (metrics.rmse, "sqrt(mean(e^2))"),
    "mae": (metrics.mae, "mean(|e|)"),
}
"""What an evaluation file holds: the function and its formula, means taken over the grid."""
RELATIVE = ("nrmse", "vrmse")


@dataclass(frozen=True)
class Window:
    """A stretch of a run: its history, then the frames to forecast."""

    dataset: int
    run: int
    start: int


def evaluate(
    models: Surrogate | Mapping[str, Surrogate],
    ds: xr.Dataset | Sequence[xr.Dataset],
    steps: int,
    history: int | None = None,
    starts: int = 1,
    batch_size: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Forecast from windows of every run and score each frame, persistence beside the models.

    The relative scores divide by a size of the truth that is kept above a floor: a thousandth of
    the field's RMS (``nrmse``) or standard deviation (``vrmse``) over all windows, histories
    included. The floors stand in the attributes of these scores. Points outside a mask never count.

    Args:
        models: One model, named ``model`` in the result, or several by name.
        ds: Runs with their truth, in the schema; several datasets of one system may differ in grid.
        steps: Number of frames to forecast from each window.
        history: Number of frames that the models are given; by default the longest they ask for.
        starts: Number of windows a run, evenly placed, the first at the start of the run.
        batch_size: Number of windows forecast at once; the scores do not depend on it.
        progress: Called with the forecast frames done and their total.

    Returns:
        The scores ``nrmse``, ``vrmse``, ``rmse`` and ``mae`` over (model, field, lead_time,
        sample), where a sample is a window with the coordinates ``dataset``, ``run`` and
        ``start_time`` (the time of its first frame), and ``step`` counts the lead times.

    Raises:
        InputError: Runs too short, datasets that differ in fields or time step, NaN in the truth.

    Example:
        >>> scores = evaluate(Persistence(), schema.example(), steps=3)
        >>> scores["vrmse"].sel(model="persistence", field="tracer").mean("sample")
    """
    named = _named(models)
    sets = [ds] if isinstance(ds, xr.Dataset) else list(ds)
    if history is None:
        history = max(model.history for model in named.values())
    _require_alike(sets)
    windows = [w for i, one in enumerate(sets) for w in _windows(one, i, history, steps, starts)]
    length = history + steps
    scales = metrics.measure(_read(sets, [window], length) for window in windows)
    floors = {name: scales.floor(name) for name in SCORES}

    shape = (len(named), len(scales.names), steps, len(windows))
    values = {name: np.full(shape, np.nan) for name in SCORES}
    total, done = len(named) * len(windows) * steps, 0
    for first, group in _batches(windows, batch_size):
        truth = _read(sets, group, length)
        samples = slice(first, first + len(group))
        for number, model in enumerate(named.values()):
            for step, frame in enumerate(_forecast(model, truth.window(0, history), steps)):
                target = truth.window(history + step, history + step + 1)
                for name, (score, _) in SCORES.items():
                    found = score(frame[:, None], target.values, target.mask, floors[name])
                    values[name][number, :, step, samples] = found[:, 0].T.numpy()
                done += len(group)
                if progress:
                    progress(done, total)
    return _dataset(values, tuple(named), sets, windows, history, scales)


def _named(models: Surrogate | Mapping[str, Surrogate]) -> dict[str, Surrogate]:
    named = {"model": models} if isinstance(models, Surrogate) else dict(models)
    if BASELINE in named:
        raise InputError(f"a model is named {BASELINE!r}, as the baseline is; rename it")
    return {**named, BASELINE: Persistence()}


def _require_alike(sets: Sequence[xr.Dataset]) -> None:
    if not sets:
        raise InputError("there is nothing to evaluate on; give at least one dataset")
    for ds in sets:
        schema.require_valid(ds)
    names, step = schema.names(sets[0]), _time_step(sets[0])
    for ds in sets[1:]:
        if schema.names(ds) != names:
            raise InputError(
                f"expected the fields {', '.join(names)} in every dataset, got "
                f"{', '.join(schema.names(ds))}; evaluate each system by itself"
            )
        if abs(_time_step(ds) - step) > schema.EVEN_TOLERANCE * step:
            raise InputError(
                f"time steps of {step:g} and {_time_step(ds):g} give different lead times; "
                "evaluate these datasets one by one"
            )


def _time_step(ds: xr.Dataset) -> float:
    time = np.asarray(ds["time"].values, dtype=np.float64)
    return float((time[-1] - time[0]) / max(time.size - 1, 1))


def _windows(
    ds: xr.Dataset, dataset: int, history: int, steps: int, starts: int
) -> Iterator[Window]:
    """Evenly placed windows of every run, from its start to its end."""
    for name, number in (("history", history), ("steps", steps), ("starts", starts)):
        if number < 1:
            raise InputError(f"expected {name} of at least 1, got {number}")
    frames, needed = ds.sizes["time"], history + steps
    if frames < needed:
        ways = []
        if frames > history:
            ways.append(f"steps to at most {frames - history}")
        if frames > steps:
            ways.append(f"history to at most {frames - steps}")
        raise InputError(
            f"{ds.attrs.get('system', 'dataset')}: a history of {history} and {steps} steps need "
            f"{needed} frames, and the runs have {frames}; lower "
            f"{' or '.join(ways) or f'both, to {frames} frames in all'}"
        )
    places = frames - needed + 1
    if starts > places:
        raise InputError(
            f"{starts} starts a run were asked for, and {frames} frames hold {places} windows of "
            f"{needed}; lower starts to at most {places}, or steps or history"
        )
    for run in range(ds.sizes["sample"]):
        for start in np.linspace(0, places - 1, starts).round().astype(int):
            yield Window(dataset, run, int(start))


def _batches(windows: Sequence[Window], size: int) -> Iterator[tuple[int, list[Window]]]:
    """Neighbouring windows of one dataset, with the place of the first of them."""
    if size < 1:
        raise InputError(f"expected a batch size of at least 1, got {size}")
    first = 0
    while first < len(windows):
        group = [w for w in windows[first : first + size] if w.dataset == windows[first].dataset]
        yield first, group
        first += len(group)


def _read(sets: Sequence[xr.Dataset], windows: Sequence[Window], length: int) -> Batch:
    """The frames of some windows of one dataset, at the precision of its fields."""
    ds = sets[windows[0].dataset]
    double = any(ds[name].dtype == np.float64 for name in schema.names(ds))
    parts = []
    for window in windows:
        time = slice(window.start, window.start + length)
        part = ds.isel(sample=slice(window.run, window.run + 1), time=time)
        parts.append(Batch.from_dataset(part, torch.float64 if double else torch.float32))
    return Batch.collate(parts)


def _forecast(
    model: Surrogate, history: Batch, steps: int
) -> Iterator[Float[Tensor, "sample field *space"]]:
    """Frames on the CPU, forecast on the model's device at its precision, in evaluation mode."""
    weights = next(chain(model.parameters(), model.buffers()), None)
    if weights is not None:
        dtype = weights.dtype if weights.is_floating_point() else history.values.dtype
        history = _cast(history, dtype).to(weights.device)
    history = history.in_units(model.number_units)
    training = model.training
    model.eval()
    try:
        for frame in model.forecast(history, steps):
            yield frame.cpu()
    finally:
        model.train(training)


def _cast(batch: Batch, dtype: torch.dtype) -> Batch:
    return replace(
        batch,
        values=batch.values.to(dtype),
        static=None if batch.static is None else batch.static.to(dtype),
        parameters={name: value.to(dtype) for name, value in batch.parameters.items()},
    )


def _dataset(
    values: Mapping[str, np.ndarray],
    models: Sequence[str],
    sets: Sequence[xr.Dataset],
    windows: Sequence[Window],
    history: int,
    scales: metrics.Scales,
) -> xr.Dataset:
    """The scores with their coordinates and where they come from."""
    steps = values["nrmse"].shape[2]
    time_units = {"units": str(sets[0]["time"].attrs["units"])}
    first = [float(sets[w.dataset]["time"].values[w.start]) for w in windows]
    fields = schema.fields(sets[0])
    count = np.arange(1, steps + 1)
    coords = {
        "model": ("model", list(models)),
        "field": ("field", list(scales.names)),
        "units": ("field", [field.units for field in fields]),
        "lead_time": ("lead_time", _time_step(sets[0]) * count, time_units),
        "step": ("lead_time", count),
        "dataset": ("sample", [w.dataset for w in windows]),
        "run": ("sample", [w.run for w in windows]),
        "start_time": ("sample", first, time_units),
    }
    data = {}
    for name, array in values.items():
        attrs: dict[str, object] = {"formula": SCORES[name][1], "units": "unit of the field"}
        if name in RELATIVE:
            attrs |= {"units": "1", "floor": scales.floor(name).numpy()}
        data[name] = (("model", "field", "lead_time", "sample"), array, attrs)
    attrs = {
        "system": str(sets[0].attrs.get("system", "unknown")),
        "history": history,
        "floor_fraction": metrics.FLOOR_FRACTION,
        "rms": scales.rms.numpy(),
        "std": scales.std.numpy(),
    }
    return xr.Dataset(data, coords, attrs)
