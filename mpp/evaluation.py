"""Scores of forecasts against a solver's truth, by model, field, lead time and window."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from mpp import metrics, schema
from mpp.batch import Batch
from mpp.errors import InputError
from mpp.metrics import catalogue, grid
from mpp.metrics.catalogue import Compat, Entry, Scene, Setting
from mpp.metrics.conserved import Quantity
from mpp.metrics.expression import Expression
from mpp.metrics.valid import valid_time
from mpp.model.surrogate import Climatology, LinearExtrapolation, Persistence, Surrogate
from mpp.ranges import require

BASELINE = "persistence"
LINE, MEAN = "linear extrapolation", "climatology"
Baseline = Literal["linear extrapolation", "climatology"]
SCORES = ("nrmse", "vrmse", "rmse", "mae")
"""Scores that every evaluation file holds; `mpp.metrics.catalogue` has the others."""


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
    batch_size: int | None = 4,
    progress: Callable[[int, int], None] | None = None,
    scores: Sequence[str] | Literal["all"] | None = None,
    baselines: Sequence[Baseline] = (),
    quantities: Mapping[str, Quantity] | None = None,
    climatology: xr.Dataset | Sequence[xr.Dataset] | None = None,
    compat: Compat | None = None,
) -> xr.Dataset:
    """Forecast from windows of every run and score each frame, persistence beside the models.

    The relative scores divide by a size of the truth that is kept above a floor: a thousandth of
    the field's RMS or, for ``vrmse``, standard deviation over all windows, histories included. The
    floors stand in the attributes of these scores. Points outside a mask never count, and those of
    an uneven grid count with the size of their cell.

    A window's scores do not depend on the other windows, but for rounding: a matrix product over
    several windows rounds otherwise than one over a single window. With ``batch_size=None`` every
    window is forecast by itself and its scores are the same to the last bit, however the runs are
    ordered or split into datasets.

    Args:
        models: One model, named ``model`` in the result, or several by name.
        ds: Runs with their truth, in the schema; several datasets of one system may differ in grid.
        steps: Number of frames to forecast from each window.
        history: Number of frames that the models are given; by default the longest they ask for.
        starts: Number of windows a run, evenly placed, the first at the start of the run.
        batch_size: Number of windows forecast at once, or ``None`` for each by itself, which takes
            one and a half times as long on grids of 64 x 64 points, more on smaller ones.
        progress: Called with the forecast frames done and their total.
        scores: Names of `mpp.metrics.catalogue`, computed besides the cheap ones, or ``all`` that
            the data allows; by default the cheap ones.
        baselines: Baselines besides persistence. The climatology is the mean over time and runs at
            each point; linear extrapolation is given the same history as the models.
        quantities: Quantities whose totals to follow, by name: arithmetic over fields, maps and
            numbers of the equation such as ``0.5*density*velocity_x**2``, or functions of these.
        climatology: Training runs to take the climatology of. Without them it is that of the first
            history of every run, which holds no frame that is scored.
        compat: Take the definitions of a benchmark, to compare with its published numbers.

    Returns:
        One variable a score over (model, field, lead_time, sample), where a sample is a window with
        the coordinates ``dataset``, ``run`` and ``start_time`` (the time of its first frame), and
        ``step`` counts the lead times; without ``field`` for what is made of several fields, and
        ``valid_time`` without ``lead_time``.

    Raises:
        InputError: Runs too short, datasets that differ in fields or time step, NaN in the truth, a
            score that is not known or cannot be computed here, or an expression that is none.

    Examples:
        >>> scores = evaluate(Persistence(), schema.example(), steps=3)
        >>> scores["vrmse"].sel(model="persistence", field="tracer").mean("sample")
    """
    require(steps=steps, history=history, starts=starts, batch_size=batch_size)
    named = _named(models, baselines)
    sets = [ds] if isinstance(ds, xr.Dataset) else list(ds)
    if history is None:
        history = max(model.history for model in named.values())
    _require_alike(sets)
    windows = [w for i, one in enumerate(sets) for w in _windows(one, i, history, steps, starts)]
    length = history + steps
    scales = metrics.measure(_read(sets, [window], length) for window in windows)
    declared = _declared(quantities or {})
    patches = _patches(named)
    names = tuple(dict.fromkeys((*named, BASELINE, *baselines)))
    settings = {
        (number, name): Setting(
            fields=first.fields,
            axes=first.axes,
            scales=scales,
            weights=grid.weights(first.axes),
            quantities=declared,
            patch=patches[name],
        )
        for number, first in enumerate(_firsts(sets))
        for name in names
    }
    entries, left_out = catalogue.choose(scores, tuple(settings.values()), compat)
    told: dict[str, str] = {} if compat is None else {"compat": compat}
    if left_out:
        told["left_out"] = "; ".join(f"{name}: {why}" for name, why in left_out.items())
    if MEAN in baselines or "anomaly_correlation" in entries:
        means, told["climatology"] = _climatologies(sets, history, climatology)
        settings = {key: replace(one, climatology=means[key[0]]) for key, one in settings.items()}

    found = _Found(len(names), len(scales.names), steps, len(windows))
    total, done = len(names) * len(windows) * steps, 0
    for first, group in _batches(windows, 1 if batch_size is None else batch_size):
        truth = _read(sets, group, length)
        places = slice(first, first + len(group))
        for row, name in enumerate(names):
            setting = settings[group[0].dataset, name]
            model = named[name] if name in named else _baseline(name, setting)
            for step, frame in enumerate(_forecast(model, truth.window(0, history), steps)):
                target = truth.window(history + step, history + step + 1)
                scene = _scene(frame, target, setting)
                found.put(catalogue.compute(entries, scene), row, step, places)
                done += len(group)
                if progress:
                    progress(done, total)
    return _dataset(found, names, sets, windows, history, scales).assign_attrs(told)


class _Found:
    """Numbers by name of the score; which there are shows with the first frame."""

    def __init__(self, models: int, fields: int, steps: int, windows: int) -> None:
        self.sizes = {"model": models, "field": fields, "lead_time": steps, "sample": windows}
        self.values: dict[str, np.ndarray] = {}
        self.entries: dict[str, Entry] = {}

    def dims(self, name: str) -> tuple[str, ...]:
        """Of a score by field, or of all fields."""
        every = tuple(self.sizes)
        return every if self.values[name].ndim == len(every) else (every[0], *every[2:])

    def put(
        self, made: Mapping[str, tuple[Entry, Tensor]], model: int, step: int, windows: slice
    ) -> None:
        """Keep the scores of one frame of some windows."""
        for name, (entry, values) in made.items():
            by_field = values.ndim == 3
            if name not in self.values:
                dims = [d for d in self.sizes if by_field or d != "field"]
                self.values[name] = np.full([self.sizes[d] for d in dims], np.nan)
                self.entries[name] = entry
            place = (model, slice(None), step) if by_field else (model, step)
            self.values[name][(*place, windows)] = values[:, 0].cpu().numpy().T


def _named(
    models: Surrogate | Mapping[str, Surrogate], baselines: Sequence[str]
) -> dict[str, Surrogate]:
    named = {"model": models} if isinstance(models, Surrogate) else dict(models)
    for name in (BASELINE, *baselines):
        if name in named:
            raise InputError(f"a model is named {name!r}, as the baseline is; rename it")
    unknown = [name for name in baselines if name not in (LINE, MEAN)]
    if unknown:
        raise InputError(f"no baseline is called {', '.join(unknown)}; there are: {LINE}, {MEAN}")
    return named or {BASELINE: Persistence()}


def _baseline(name: str, setting: Setting) -> Surrogate:
    if name != MEAN:
        return LinearExtrapolation() if name == LINE else Persistence()
    assert setting.climatology is not None
    return Climatology(setting.climatology)


def _declared(quantities: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """Texts are parsed once, and names must do as names of variables."""
    for name in quantities:
        if not name.isidentifier():
            raise InputError(f"a quantity is named {name!r}; use letters, digits and _")
    return {
        name: Expression.parse(one) if isinstance(one, str) else one
        for name, one in quantities.items()
    }


def _patches(named: Mapping[str, Surrogate]) -> dict[str, int]:
    """The largest patch of every model; a baseline is looked at with the largest of all."""
    own = {name: max(model.patch, default=0) for name, model in named.items()}
    largest = max(own.values(), default=0)
    largest = largest if largest > 1 else 0
    every = {name: size if size > 1 else largest for name, size in own.items()}
    return {**dict.fromkeys((BASELINE, LINE, MEAN), largest), **every}


def _firsts(sets: Sequence[xr.Dataset]) -> list[Batch]:
    """The first frame of every dataset, for its fields and axes."""
    return [_read(sets, [Window(number, 0, 0)], 1) for number in range(len(sets))]


def _climatologies(
    sets: Sequence[xr.Dataset],
    history: int,
    given: xr.Dataset | Sequence[xr.Dataset] | None,
) -> tuple[list[Float[Tensor, "field *space"]], str]:
    """The mean state on the grid of every dataset, and what it is a mean of.

    Raises:
        InputError: Training runs with other fields, or none on the grid of a dataset.
    """
    if given is None:
        sources = [one.isel(time=slice(0, history)) for one in sets]
        runs = sum(one.sizes["sample"] for one in sets)
        origin = f"mean over the first {history} frames of {runs} runs, none of which is scored"
    else:
        sources = [given] if isinstance(given, xr.Dataset) else list(given)
        for one in sources:
            schema.require_valid(one, "climatology")
            if schema.names(one) != schema.names(sets[0]):
                raise InputError(
                    f"climatology: expected the fields {', '.join(schema.names(sets[0]))}, got "
                    f"{', '.join(schema.names(one))}"
                )
        runs = sum(one.sizes["sample"] for one in sources)
        origin = f"mean over {runs} training runs"
    axes = [first.axes for first in _firsts(sources)]
    means = []
    for first in _firsts(sets):
        same = [one for one, theirs in zip(sources, axes, strict=True) if theirs == first.axes]
        if not same:
            raise InputError(
                "climatology: none of the training runs is on the grid of the runs to score "
                f"({', '.join(f'{a.name}: {len(a.points)} points' for a in first.axes)})"
            )
        means.append(_mean_state(same))
    return means, origin


def _mean_state(sets: Sequence[xr.Dataset]) -> Float[Tensor, "field *space"]:
    """Mean over times and runs at every point, run by run; 0 where a mask leaves out all."""
    total, count = torch.zeros(()).double(), torch.zeros(()).double()
    for number, ds in enumerate(sets):
        for run in range(ds.sizes["sample"]):
            batch = _read(sets, [Window(number, run, 0)], ds.sizes["time"])
            inside = torch.ones(()) if batch.mask is None else batch.mask[0]
            frames = batch.values[0].double()
            total = total + torch.where(inside.bool(), frames, 0.0).sum(0)
            count = count + inside.double() * batch.frames
    return total / count.clamp(min=1)


def _scene(frame: Float[Tensor, "sample field *space"], target: Batch, setting: Setting) -> Scene:
    """One frame of some windows, with the maps and numbers that quantities may be made of."""
    others: dict[str, Tensor] = {}
    if setting.quantities:
        space = [1] * len(target.axes)
        for name, value in target.parameters.items():
            others[name] = value.reshape(target.samples, 1, *space)
        for place, item in enumerate(target.static_fields):
            assert target.static is not None
            others[item.name] = target.static[:, place][:, None]
    return Scene(frame[:, None], target.values, target.mask, others, setting)


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
    found: _Found,
    models: Sequence[str],
    sets: Sequence[xr.Dataset],
    windows: Sequence[Window],
    history: int,
    scales: metrics.Scales,
) -> xr.Dataset:
    """The scores with their coordinates and where they come from."""
    steps = found.sizes["lead_time"]
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
    for name, array in found.values.items():
        entry = found.entries[name]
        attrs: dict[str, object] = {
            "formula": entry.formula, "units": entry.units, "best": entry.best
        }  # fmt: skip
        if entry.floor is not None and "field" in found.dims(name):
            attrs["floor"] = entry.floor(scales).numpy()
        data[name] = (found.dims(name), array, attrs)
    attrs = {
        "system": str(sets[0].attrs.get("system", "unknown")),
        "history": history,
        "floor_fraction": metrics.FLOOR_FRACTION,
        "rms": scales.rms.numpy(),
        "std": scales.std.numpy(),
    }
    result = xr.Dataset(data, coords, attrs)
    if "vrmse" in data:
        result["valid_time"] = valid_time(result["vrmse"]).assign_attrs(best="highest")
    return result
