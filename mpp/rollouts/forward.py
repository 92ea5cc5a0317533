"""The public way to step forward: from a history to a dataset in memory or in a file."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr

from mpp import schema
from mpp.data.convert import require_free
from mpp.data.plain import open_plain
from mpp.devices import device_of
from mpp.errors import InputError
from mpp.files import make_folder, written_beside
from mpp.model.surrogate import Surrogate
from mpp.ranges import require
from mpp.rollouts import provenance
from mpp.rollouts.blocks import Blocks
from mpp.rollouts.layout import Layout
from mpp.rollouts.stepping import Row, Stepping
from mpp.rollouts.stops import LIMIT
from mpp.rollouts.stores import MemoryStore, Store, file_store, undisturbed
from mpp.rollouts.truth import continuation

Report = Callable[[int, int], None]


class RolloutStopped(UserWarning):
    """Some runs were not stepped to the end: they left the finite, or what their size can be."""


def rollout(
    model: Surrogate | Sequence[Surrogate],
    history: xr.Dataset,
    steps: int,
    time_step: float | None = None,
    progress: Report | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    truth: xr.Dataset | None = None,
    batch_size: int = 4,
    limit: float | None = LIMIT,
    members: int = 1,
    perturb: float = 0.0,
    seed: int = 0,
    command: str = "",
) -> xr.Dataset:
    """Step every sample of a history forward.

    A run stops at the first frame that is not finite, or in which the RMS of a field is above
    ``limit`` times the larger of its RMS in training and in the history. What it has so far is
    kept, NaN follows while other runs go on, and the result ends with the last frame of any run.
    The attributes ``stopped_step`` and ``stopped_reason`` say so, and a `RolloutStopped` warns.

    Args:
        model: A trained surrogate, as `mpp.load` returns it, or several, whose rollouts then stand
            along the dim ``member``.
        history: Past frames in the schema; the model looks at the last ``model.history`` of them.
        steps: Number of frames to predict.
        time_step: Time between frames, needed only when the history has a single frame.
        progress: Called with the steps done and to do, over all batches of runs.
        out: A name that ends in ``.nc`` or ``.zarr``. Frames are written there as they come, at a
            memory that grows neither with steps nor with samples. The file appears when it is
            whole; after Ctrl-C it holds the frames so far, and the attribute ``interrupted``.
        overwrite: Replace what is at ``out``.
        truth: The runs that the history was taken from; what follows it there is put beside the
            prediction as ``truth_FIELD``, and gives the times.
        batch_size: Runs stepped at once. Apart from rounding nothing depends on it.
        limit: See above; ``None`` stops at values that are not finite only.
        members: Perturbed histories for each model, along ``member`` where this makes several.
        perturb: RMS of the perturbations, relative to the RMS of each field's change from frame to
            frame in the history; see `mpp.rollouts.ensembles`.
        seed: Where the perturbations come from.
        command: A command line to record.

    Returns:
        The predicted frames alone, in physical units, with the history's coordinates continued in
        time and, in the attributes, what made them. With ``out`` it is read from there lazily.

    Raises:
        InputError: Steps, batch size or members below one, members that would all be alike, a
            history that breaks the schema or holds NaN, a field that the model does not know, a
            single frame without a time step, a time step that is not positive, a truth that ends
            too early, or an ``out`` that must not be written.

    Examples:
        >>> future = mpp.rollout(model, ds.isel(time=slice(0, 8)), steps=20)  # doctest: +SKIP
    """
    models = [model] if isinstance(model, Surrogate) else list(model)
    _require_sense(models, steps, time_step, batch_size, limit, members, perturb, seed)
    schema.require_valid(history, "history")
    stepping = Stepping(models, history, steps, batch_size, limit, members, perturb, seed)
    after = None if truth is None else continuation(truth, history, steps)
    time = _times(history, steps, time_step) if after is None else after["time"].values
    beyond = _numbers_outside(stepping)
    layout = Layout(stepping, time, after)
    target = None if out is None else require_free(Path(out), overwrite)
    with _store(layout, target) as store:
        done, interrupted = _fill(store, stepping, progress, catch=target is not None)
        lengths = _lengths(done)
        try:
            layout.copy_to(store, lengths)
        except KeyboardInterrupt:
            if target is None:
                raise
            interrupted = interrupted or "while the truth was copied"
        attrs = {
            **provenance.made_by(stepping, command),
            **provenance.outcome(stepping, done, lengths["sample"]),
            "numbers_outside_training": beyond or "none",
            **({"interrupted": interrupted} if interrupted else {}),
        }
        with undisturbed():
            store.finish(lengths, attrs)
    if interrupted:
        raise KeyboardInterrupt(f"interrupted {interrupted}; the frames so far are in {target}")
    if stepping.stopped:
        warnings.warn(provenance.stopped_line(attrs), RolloutStopped, stacklevel=2)
    if isinstance(store, MemoryStore):
        return store.dataset
    assert target is not None
    return reopen(target)


def reopen(path: Path) -> xr.Dataset:
    """A rollout that was written, lazily and without a handle that stays open."""
    return open_plain(path, "zarr" if path.suffix == ".zarr" else "netcdf4")


@contextmanager
def _store(layout: Layout, out: Path | None) -> Iterator[Store]:
    if out is None:
        yield MemoryStore(layout.entries, layout.sizes)
        return
    make_folder(out.parent)
    with (
        written_beside(out) as unfinished,
        file_store(layout.entries, layout.sizes, unfinished) as made,
    ):
        yield made


def _fill(
    store: Store, stepping: Stepping, progress: Report | None, catch: bool
) -> tuple[dict[Row, int], str]:
    """Step and put the frames in blocks.

    Args:
        store: Where they go.
        stepping: What to step.
        progress: As in `rollout`.
        catch: Whether an interrupt ends the rollout where it is, once there is a frame.

    Returns:
        Frames of each row, and up to where it came if it was interrupted.
    """
    total = len(stepping.batches()) * stepping.steps
    blocks, interrupted = Blocks(store, schema.names(stepping.history)), ""
    try:
        for frames in stepping.frames():
            blocks.add(frames)
            if progress is not None:
                progress(frames.number * stepping.steps + frames.step, total)
        blocks.put()
        if progress is not None:
            progress(total, total)
    except KeyboardInterrupt:
        if not (catch and blocks.latest):
            raise
        interrupted = f"after {blocks.latest} of {stepping.steps}"
        blocks.put()
    return blocks.done, interrupted


def _lengths(done: dict[Row, int]) -> dict[str, int]:
    """Samples that were begun, and frames up to the last of any run."""
    return {"sample": max(row.sample for row in done) + 1, "time": max(done.values())}


def _times(history: xr.Dataset, steps: int, time_step: float | None) -> np.ndarray:
    """Times that go on after the history's last one."""
    times = np.asarray(history["time"].values, np.float64)
    if time_step is None and times.size == 1:
        raise InputError(
            "the history has one frame, which does not tell the time between frames; "
            "give time_step=..."
        )
    step = time_step if time_step is not None else (times[-1] - times[0]) / (times.size - 1)
    return times[-1] + step * np.arange(1, steps + 1)


def _numbers_outside(stepping: Stepping) -> str:
    """Numbers of the equation beyond their range in training; every history is read and checked."""
    found: dict[str, None] = {}
    for model, rows in stepping.batches():
        start = stepping.start(model, rows).to(device_of(model))
        found |= dict.fromkeys(model.numbers_outside(start))
    return ", ".join(found)


def _require_sense(
    models: Sequence[Surrogate],
    steps: int,
    time_step: float | None,
    batch_size: int,
    limit: float | None,
    members: int,
    perturb: float,
    seed: int,
) -> None:
    if not models:
        raise InputError("there is no model to step with; give at least one")
    require(
        steps=steps, time_step=time_step, batch_size=batch_size, members=members, perturb=perturb,
        limit=limit, seed=seed,
    )  # fmt: skip
    if members > 1 and not perturb:
        raise InputError(
            f"{members} members of one history would all be alike; perturb them, for instance by "
            "0.1 of the RMS of a field's change (perturb=0.1, --perturb 0.1)"
        )
