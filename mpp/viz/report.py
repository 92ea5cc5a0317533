"""A rollout, its scores and its pictures in one HTML file, to open or to send."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from mpp import schema
from mpp.errors import InputError
from mpp.metrics import table
from mpp.metrics.summary import Cell
from mpp.viz import labels
from mpp.viz.curves import score_names
from mpp.viz.figures import Plan, kind, opened, plan
from mpp.viz.members import joined
from mpp.viz.page import Block, Grid, Picture, Section, save_page
from mpp.viz.panels import lead_times
from mpp.viz.player import player, text
from mpp.viz.strips import frame_scores, select

LEAD_STEPS = (1, 5, 10, 20)
TABLES = ("vrmse", "nrmse")
CURVES = ("vrmse", "nrmse", "pearson", "drift")
"""Scores of an evaluation that get a table, and that get a picture."""
TOLD = {
    "model": "kind of model",
    "checkpoint": "checkpoint",
    "ensemble": "ensemble",
    "seed": "seed",
    "normalization": "normalization",
    "history_frames": "frames of history",
    "history_end": "time of the last of them",
    "finite_steps": "steps that are finite",
    "numbers_outside_training": "numbers outside training",
    "created": "made at",
    "mpp_version": "mpp",
    "command": "command",
}
"""Attributes of a rollout that the page tells, and how it calls them."""
Source = str | Path | xr.Dataset


def report(
    sources: Source | Sequence[Source],
    out: str | Path,
    runs: Sequence[int] | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    quantities: Mapping[str, str] | None = None,
) -> Path:
    """Gather what files hold in one HTML file, which opens from disk and loads nothing.

    A rollout moves there: a slider for the lead time, and a choice of field and run. Below it stand
    a table of its errors, its panels, for print, its spectra, its error by scale and its totals. An
    evaluation adds its tables and the curves of its relative scores, any other file that
    `mpp.figures` draws its pictures.

    Args:
        sources: Files, or datasets in memory.
        out: The page, ``.html``.
        runs: Runs of the rollouts that can be chosen; by default up to four. The first is drawn for
            print.
        overwrite: Replace a page that is there.
        progress: Called with the number of files done and their total.
        quantities: As `mpp.figures` takes them.

    Returns:
        The page's path.

    Raises:
        InputError: No file, one that cannot be drawn, no such run, or a page that exists.

    Examples:
        >>> report(["rollout.nc", "scores.nc"], "report.html")  # doctest: +SKIP
    """
    files = [sources] if isinstance(sources, str | Path | xr.Dataset) else list(sources)
    path = Path(out)
    if not files:
        raise InputError("no file to report on; give a rollout that mpp rollout wrote")
    if path.suffix != ".html":
        raise InputError(f"{path}: expected a name that ends in .html")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; choose another name, or overwrite it")
    sections: list[Section] = []
    systems: list[str] = []
    for done, file in enumerate(files, 1):
        with opened(file) as ds:
            sections += _sections(file, ds, runs, quantities or {})
            systems.append("training" if isinstance(ds, Path) else text(schema.system(ds)))
        if progress is not None:
            progress(done, len(files))
    return save_page(path, f"Report: {', '.join(dict.fromkeys(systems))}", sections, overwrite)


def _sections(
    file: Source,
    ds: xr.Dataset | Path,
    runs: Sequence[int] | None,
    quantities: Mapping[str, str],
) -> list[Section]:
    """What a file adds to the page."""
    sample = 0 if not runs else runs[0]
    planned = plan(ds, sample, quantities)
    if isinstance(ds, Path):
        return [Section("Training", _pictures(planned))]
    found, system = kind(ds), text(schema.system(ds))
    if found == "rollout":
        name = "" if isinstance(file, xr.Dataset) else f" · {Path(file).name}"
        shown = joined(ds)
        system = text(schema.system(shown), 60)
        blocks = [player(shown, runs), *_errors(shown), _provenance(shown)]
        panels = _pictures({k: draw for k, draw in planned.items() if k.startswith("rollout_")})
        other = _pictures({k: draw for k, draw in planned.items() if not k.startswith("rollout_")})
        return [
            Section(f"Rollout of {system}{name}", blocks),
            Section(f"Run {sample} of {system} at a few lead times", panels),
            Section(f"Scales and totals of {system}", other),
        ]
    if found == "evaluation":
        tables = [table(ds, score, LEAD_STEPS) for score in TABLES if score in score_names(ds)]
        wanted = {f"error_{score}" for score in CURVES}
        panels = _pictures({k: draw for k, draw in planned.items() if k in wanted})
        return [Section(f"Scores on {system}", [*tables, *panels])]
    titles = {"inference": "Numbers of the equation", "runs": "Runs", "transfer": "Transfer"}
    return [Section(f"{titles[found]} · {system}", _pictures(planned))]


def _pictures(planned: Plan) -> list[Picture]:
    return [_picture(name, draw()) for name, draw in planned.items()]


def _picture(name: str, figure: Figure) -> Picture:
    """A figure whose own title is read out where it cannot be seen."""
    words = figure.get_suptitle() or " · ".join(axes.get_title() for axes in figure.axes)
    words = re.sub(r" ?(?<!\\)\$.*?(?<!\\)\$", "", words)  # a symbol in mathematical type
    return Picture(figure, words.replace("\n", " · ").replace(r"\$", "$") or name)


def _provenance(ds: xr.Dataset) -> Grid:
    """What made a rollout, and how long it is."""
    leads, units = lead_times(ds), str(ds["time"].attrs.get("units", "1"))
    last = text(labels.quantity(float(leads[-1]), units))
    boundaries = ", ".join(f"{axis} {ds[axis].attrs['boundary']}" for axis in schema.space_axes(ds))
    told = {"boundaries": boundaries} | {
        name: str(ds.attrs[key]) for key, name in TOLD.items() if key in ds.attrs
    }
    size = f"{ds.sizes['sample']} runs, {ds.sizes['time']} frames to lead time {last}"
    rows = [("rollout", size), *told.items()]
    return Grid(
        ("what made it", ""), [(text(name), text(what, 200)) for name, what in rows], words=True
    )


def _errors(ds: xr.Dataset) -> list[Block]:
    """VRMSE of each field at a few lead times, as the mean over all runs."""
    if not schema.names(ds, "truth"):
        return ["The file holds no truth to compare with."]
    steps = [step for step in LEAD_STEPS if step < ds.sizes["time"]] + [ds.sizes["time"]]
    shown = ds.isel(time=[step - 1 for step in steps])
    units = str(ds["time"].attrs.get("units", "1"))
    leads = [text(labels.quantity(float(lead), units)) for lead in lead_times(ds)]
    head = ["field", *(f"step {step}\n{leads[step - 1]}" for step in steps)]
    rows = []
    for name in schema.names(ds):
        scores = np.array([_scores(shown, name, run) for run in range(ds.sizes["sample"])])
        count = len(scores)
        spread = (
            scores.std(0, ddof=1) / np.sqrt(count) if count > 1 else np.full(len(steps), np.nan)
        )
        cells = zip(scores.mean(0), spread, strict=True)
        rows.append([text(name, 60), *(str(Cell(*cell, best=False)) for cell in cells)])
    runs = f"{ds.sizes['sample']} runs ± standard error" if ds.sizes["sample"] > 1 else "1 run"
    meaning = "0 is perfect, 1 no better than the mean of the frame"
    return [Grid(head, rows, f"VRMSE of the rollout: mean over {runs}; {meaning}")]


def _scores(ds: xr.Dataset, name: str, run: int) -> list[float]:
    """VRMSE of one field of one run at every frame."""
    if f"truth_{name}" not in ds:
        return [np.nan] * ds.sizes["time"]
    _, predicted, defined = select(ds, name, run)
    truth = ds[f"truth_{name}"].isel(sample=run).transpose(*predicted.dims).astype(np.float64)
    return frame_scores(predicted, truth, defined)
