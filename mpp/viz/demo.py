"""The page that a demo ends with, drawn from the files that the demo wrote."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import xarray as xr

from mpp.metrics import table
from mpp.schema import names
from mpp.viz.curves import curves
from mpp.viz.page import Picture, Section, write_page
from mpp.viz.panels import panels
from mpp.viz.sheet import sheet
from mpp.viz.training import training_curve

TITLE = "One model, many kinds of physics"
ARMS = {"finetuned": "Finetuned from the pretrained model", "scratch": "Trained from scratch"}
LEAD_STEPS = (1, 5, 10, 20)


def demo_page(folder: Path, story: str, progress: Callable[[int], None] | None = None) -> Path:
    """Draw everything that `mpp.demo.demo` wrote and gather it in ``folder/index.html``.

    Args:
        folder: The demo's folder.
        story: What was done, in a few sentences.
        progress: Called with the number of sections done, four in all.
    """
    report = progress or (lambda done: None)
    sections = []
    for draw in (partial(_scores, story=story), _rollouts, _training, _data):
        sections.append(draw(folder))
        report(len(sections))
    return write_page(folder, TITLE, sections)


def _scores(folder: Path, story: str) -> Section:
    scores = xr.load_dataset(folder / "scores.nc", decode_times=False)
    blocks = [
        story,
        table(scores, "vrmse", LEAD_STEPS),
        Picture(curves(scores, "vrmse"), "Error against lead time: median and quartiles over runs"),
    ]
    return Section("Is pretraining worth it?", blocks)


def _rollouts(folder: Path) -> Section:
    blocks = []
    for arm, caption in ARMS.items():
        ds = xr.load_dataset(folder / f"rollout_{arm}.nc", decode_times=False)
        pictures = [panels(ds, name) for name in names(ds)]
        blocks += [Picture(picture, f"{caption}: one test run") for picture in pictures]
    return Section("What the rollouts look like", blocks)


def _training(folder: Path) -> Section:
    blocks = [
        Picture(
            training_curve(folder / arm / "metrics.csv"),
            f"{caption}. 1 is what copying the last frame costs; val is the relative error of one "
            "step on held-out runs",
        )
        for arm, caption in ARMS.items()
    ]
    return Section("How training went", blocks)


def _data(folder: Path) -> Section:
    blocks = []
    for path in sorted((folder / "data").glob("*.nc")):
        ds = xr.load_dataset(path, decode_times=False)
        first = names(ds)[0]
        blocks.append(Picture(sheet(ds, first), f"{ds.attrs['title']}: {first} of some runs"))
    return Section("What it was trained on", blocks)
