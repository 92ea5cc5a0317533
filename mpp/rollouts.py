"""Rollouts: a model steps a history forward, and the result is an ordinary dataset again."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from mpp import __version__, schema
from mpp.batch import Batch
from mpp.data.windows import require_finite
from mpp.errors import InputError
from mpp.model.surrogate import Surrogate


def rollout(
    model: Surrogate,
    history: xr.Dataset,
    steps: int,
    time_step: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Step every sample of a history forward.

    Args:
        model: A trained surrogate, as `mpp.load` returns it.
        history: Past frames in the schema; the model looks at the last ``model.history`` of them.
        steps: Number of frames to predict.
        time_step: Time between frames, needed only when the history has a single frame.
        progress: Called after each step with the number of steps done.

    Returns:
        The predicted frames alone, in physical units, with the history's coordinates continued in
        time and, in the attributes, what made them.

    Raises:
        InputError: Steps below one, a history that breaks the schema or holds NaN, a field that the
            model does not know, a single frame without a time step, or a time step that is not
            positive.

    Example:
        >>> future = mpp.rollout(model, ds.isel(time=slice(0, 8)), steps=20)  # doctest: +SKIP
    """
    if steps < 1:
        raise InputError(f"a rollout of {steps} steps was asked for; give at least 1")
    if time_step is not None and not time_step > 0:
        raise InputError(f"a time step of {time_step} was given; give the time between frames")
    schema.require_valid(history, "history")
    batch = Batch.from_dataset(history.isel(time=slice(-model.history, None)))
    require_finite(batch, "history")
    times = history["time"].values
    if time_step is None and times.size == 1:
        raise InputError(
            "the history has one frame, which does not tell the time between frames; "
            "give time_step=..."
        )
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    frames = []
    told = batch.in_units(model.number_units).to(device)
    for done, frame in enumerate(model.eval().forecast(told, steps), 1):
        frames.append(frame.cpu())
        if progress is not None:
            progress(done)
    step = time_step if time_step is not None else float(times[-1]) - float(times[-2])
    later = batch.time[:, -1:] + step * torch.arange(1, steps + 1, dtype=torch.float64)
    values = torch.stack(frames, 1)
    predicted = replace(batch, values=values, time=later, parameters={})
    result = replace(predicted, parameter_fields=()).to_dataset()
    numbers = {name: history[name] for name in schema.names(history, "parameter")}
    steady = {name: value for name, value in numbers.items() if "time" not in value.dims}
    made_by = provenance(model, history, batch.frames)
    outside = ", ".join(model.numbers_outside(told))
    return result.assign(steady).assign_attrs(
        **made_by, finite_steps=finite_steps(values), numbers_outside_training=outside or "none"
    )


def finite_steps(values: Float[Tensor, "sample time field *space"]) -> int:
    """How many frames from the first on are finite in every sample."""
    finite = torch.isfinite(values).flatten(2).all(-1).all(0)
    return int(finite.long().cumprod(0).sum())


def provenance(model: Surrogate, history: xr.Dataset, frames: int) -> dict[str, str | int | float]:
    """Attributes that say how a rollout was made."""
    kept = {key: value for key, value in history.attrs.items() if key in ("system", "source")}
    return {
        **kept,
        "model": type(model).__name__,
        "checkpoint": str(model.card.get("sha256", "not saved")),
        "history_frames": frames,
        "history_end": float(history["time"][-1]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "mpp_version": __version__,
    }


def with_truth(predicted: xr.Dataset, ds: xr.Dataset) -> xr.Dataset:
    """Add to a rollout what the solver gave at the same times, as ``truth_FIELD``.

    Args:
        predicted: The result of `rollout`.
        ds: The dataset whose beginning was the history; it must reach the same times.

    Raises:
        InputError: The dataset has no frames at the times of the rollout.
    """
    times = predicted["time"]
    truth = ds.sel(time=times, method="nearest")
    missed = abs(truth["time"].values - times.values) > 0.5 * _time_step(predicted)
    if missed.any():
        raise InputError(
            f"the rollout goes from time {float(times[0]):g} to {float(times[-1]):g}, and the "
            f"dataset has no frame at {float(times[missed][0]):g}; give runs that go on as far"
        )
    truth = truth.assign_coords(time=times)
    fields = {f"truth_{name}": truth[name] for name in schema.names(predicted)}
    marked = {name: value.assign_attrs(role="truth") for name, value in fields.items()}
    return predicted.assign(marked)


def _time_step(predicted: xr.Dataset) -> float:
    return float(predicted["time"][0]) - predicted.attrs["history_end"]
