"""What a small checkpoint makes of files: fields, numbers, and steps that are really taken."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mpp.cli import finetune as finetune_command
from mpp.doctor import cost
from mpp.doctor.checks.table import checkpoint_checks
from mpp.doctor.examine import examine
from mpp.doctor.report import Report
from mpp.model.axial import AxialTransformer
from mpp.model.numbers import Transform
from mpp.schema import example
from mpp.train.modes import UNROLL_SHARE
from mpp.weights import save

SHAPE = {"history": 2, "width": 32, "heads": 2, "depth": 1, "hidden": 16, "local_out": 1}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It knows velocity_x in another unit, and a tracer; diffusivities from 0.15 to 0.3."""
    torch.manual_seed(0)
    model = AxialTransformer(["velocity_x", "dye"], numbers=["diffusivity"], **SHAPE)
    model.numbers.set_transforms({"diffusivity": Transform(low=0.15, high=0.3)})
    model.numbers.widen({"diffusivity": Transform(low=0.15, high=0.3)})
    card = {
        "fields": {"velocity_x": {"units": "km s-1"}, "dye": {"units": "1"}},
        "numbers": {"diffusivity": {"units": "m2 s-1"}},
    }
    return save(model, tmp_path_factory.mktemp("checkpoint") / "small", card)


def look(tmp_path: Path, checkpoint: Path, **options) -> Report:
    ds = example(samples=3, frames=9, **options)
    ds.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    return examine(tmp_path / "a.nc", checkpoint=checkpoint)


def told(report: Report, check: str) -> list[tuple[str, str]]:
    return [(f.level, f.text) for f in report.findings if f.check == check]


def test_fields_and_numbers_are_told_apart(tmp_path: Path, checkpoint: Path):
    report = look(tmp_path, checkpoint)
    found = report.checkpoint
    assert found is not None
    assert (found.known, found.new) == (("velocity_x",), ("tracer",))
    assert found.units == {"velocity_x": "km s-1"}
    assert found.resembles["tracer"] in ("velocity_x", "dye")
    numbers = {number.name: number for number in found.numbers}
    # The example's diffusivities go from 0.1 to 0.2.
    assert (numbers["diffusivity"].low, numbers["diffusivity"].high) == (0.1, 0.2)
    assert numbers["diffusivity"].trained == pytest.approx((0.15, 0.3))
    assert numbers["diffusivity"].outside
    assert numbers["time_step"].trained is None
    assert [level for level, _ in told(report, "numbers")] == ["note", "note"]
    assert "0.1 to 0.2 here and was 0.15 to 0.3" in told(report, "numbers")[0][1]
    assert [level for level, _ in told(report, "known fields")] == ["note", "note"]
    assert {f.check for f in report.findings} >= {c.name for c in checkpoint_checks()}
    inside = example(samples=3, frames=9)
    inside["diffusivity"] = inside["diffusivity"] + 0.05
    inside["diffusivity"].attrs = example()["diffusivity"].attrs
    inside[["velocity_x", "diffusivity"]].to_netcdf(tmp_path / "b.nc", engine="netcdf4")
    report = examine(tmp_path / "b.nc", checkpoint=checkpoint)
    assert report.checkpoint is not None
    assert report.checkpoint.new == ()
    outside = [number.name for number in report.checkpoint.numbers if number.outside]
    assert outside == []


def test_three_steps_are_taken_one_of_them_rolled_out(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
):
    watches = []

    class Kept(cost.Stopwatch):
        def __init__(self, on_step) -> None:
            super().__init__(on_step)
            watches.append(self)

    monkeypatch.setattr(cost, "Stopwatch", Kept)
    report = look(tmp_path, checkpoint)
    (watch,) = watches
    assert (len(watch.plain), len(watch.rolled), len(watch.validation)) == (2, 1, 1)
    assert report.checkpoint is not None
    found = report.checkpoint.cost
    assert found is not None
    assert (found.steps, found.batch_size) == (500, 2)
    rolled = UNROLL_SHARE / 2  # every other one of that share
    each = (1 - rolled) * watch.plain[-1] + rolled * watch.rolled[-1]
    assert found.seconds_a_step == pytest.approx(each)
    # Twenty validations; one run of three is held out, and its 9 frames are two windows of 5.
    assert found.seconds == pytest.approx(500 * each + 20 * watch.validation[-1])
    assert found.memory > 0
    assert found.scaled == 1
    # A fresh model predicts next to no change, and copying the last frame has an error of 1.
    assert 0.5 < found.error < 3
    assert told(report, "cost")[0][0] == "ok"


def test_large_frames_are_measured_in_part(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cost, "POINTS", 32 * 32)
    report = look(tmp_path, checkpoint, shape=(64, 64))
    assert report.checkpoint is not None
    assert report.checkpoint.cost is not None
    assert report.checkpoint.cost.scaled == 4
    assert "a frame with 1/4 of its points" in told(report, "cost")[0][1]


def test_what_does_not_fit_is_a_problem(tmp_path: Path, checkpoint: Path):
    report = look(tmp_path, checkpoint, shape=(16,))
    assert told(report, "checkpoint")[0][0] == "problem"
    assert "it has ends for 2 space axes and the data has 1" in report.problems[-1]
    assert not report.verdict
    example(frames=2).to_netcdf(tmp_path / "short.nc", engine="netcdf4")
    report = examine(tmp_path / "short.nc", checkpoint=checkpoint)
    assert "it needs 3 frames and the runs have 2" in report.problems[-1]


def test_the_steps_that_are_told_are_those_of_the_command():
    words = " ".join(finetune_command.parser().format_help().split())
    assert f"steps (default {cost.DEFAULT_STEPS}" in words


def test_nothing_is_trained_on_broken_values(tmp_path: Path, checkpoint: Path):
    ds = example(samples=3, frames=9)
    ds["tracer"].values[:, :, 2, 2] = np.nan
    ds.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    report = examine(tmp_path / "a.nc", checkpoint=checkpoint)
    assert report.checkpoint is not None
    assert report.checkpoint.cost is None
    assert ("note", "solve the problems first") in [(f.level, f.todo) for f in report.findings]


def test_a_missing_boundary_keeps_nothing_from_being_measured(tmp_path: Path, checkpoint: Path):
    ds = example(samples=3, frames=9)
    del ds["x"].attrs["boundary"]
    ds.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    report = examine(tmp_path / "a.nc", checkpoint=checkpoint)
    assert not report.verdict
    assert report.checkpoint is not None
    assert report.checkpoint.cost is not None


def test_half_precision_is_measured_in_half_precision(tmp_path: Path, checkpoint: Path):
    example(samples=3, frames=9).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    report = examine(tmp_path / "a.nc", checkpoint=checkpoint, precision="bf16-mixed")
    assert report.checkpoint is not None
    assert report.checkpoint.cost is not None
    assert report.checkpoint.cost.precision == "bf16-mixed"
