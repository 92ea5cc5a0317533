"""Runs that appear twice are found where they are, and no others."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mpp.data.mapping import Mapping
from mpp.data.open import read
from mpp.doctor import twins
from mpp.doctor.checks.runs import twins as check
from mpp.doctor.examine import examine
from mpp.doctor.twins import Twins, find_twins
from mpp.schema import coordinate

DIMS = ("sample", "time", "x", "y")
FRAMES, POINTS = 4, 12


def runs(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, FRAMES, POINTS, POINTS))


def dataset(values: np.ndarray) -> xr.Dataset:
    points = np.arange(POINTS) / POINTS
    coords = {axis: coordinate(points, axis, "1", "periodic") for axis in "xy"}
    coords["time"] = coordinate(np.arange(float(FRAMES)), "time", "1")
    return xr.Dataset({"tracer": (DIMS, values)}, coords, {"system": "noise"})


def found(path: Path) -> Twins:
    return find_twins(read(path, Mapping()), path, Mapping())


def write(values: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset(values).to_netcdf(path, engine="netcdf4")
    return path


def test_runs_that_differ_are_told_apart(tmp_path: Path):
    seen = found(write(runs(5), tmp_path / "a.nc"))
    assert (seen.identical, seen.same_start, seen.compared, seen.runs) == ((), (), 5, 5)
    # Runs that agree where they are looked at first, and at no other point.
    values = np.zeros((3, FRAMES, POINTS, POINTS))
    values[:, :, 0, 0] = np.arange(3)[:, None]
    assert found(write(values, tmp_path / "b.nc")).identical == ()
    values = np.broadcast_to(runs(1), (3, FRAMES, POINTS, POINTS)).copy()
    values[:, :, 0, 0] = np.arange(3)[:, None]
    twins.BLOCK, block = POINTS, twins.BLOCK
    try:
        assert found(write(values, tmp_path / "c.nc")).identical == ()
    finally:
        twins.BLOCK = block


def test_runs_that_share_one_field_are_told_apart(tmp_path: Path):
    shared = dataset(np.broadcast_to(runs(1), (3, FRAMES, POINTS, POINTS)))
    ds = shared.assign(height=(DIMS, runs(3, seed=1)))
    ds.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    seen = found(tmp_path / "a.nc")
    assert (seen.identical, seen.same_start) == ((), ())


def test_copies_and_common_starts_are_found(tmp_path: Path):
    values = runs(6)
    values[4] = values[1]
    values[5, 0] = values[2, 0]
    seen = found(write(values, tmp_path / "a.nc"))
    assert seen.identical == (("run 1", "run 4"),)
    assert seen.same_start == (("run 2", "run 5"),)
    report = examine(tmp_path / "a.nc")
    told = [(f.level, f.text) for f in report.findings if f.check == "runs twice"]
    assert told == [
        ("warning", "run 1 and run 4 are the same"),
        ("note", "run 2 and run 5 start from the same frame"),
    ]
    assert report.outlook == "will train, but"


def test_files_are_named(tmp_path: Path):
    values = runs(3)
    for number, place in enumerate((0, 1, 0)):
        write(values[place : place + 1], tmp_path / f"{number}.nc")
    assert found(tmp_path).identical == (("run 0 of 0.nc", "run 2 of 2.nc"),)


def test_copies_in_another_split_are_found(tmp_path: Path):
    values = runs(4)
    write(values[:3], tmp_path / "train" / "a.nc")
    write(values[2:], tmp_path / "test" / "a.nc")
    seen = found(tmp_path)
    assert seen.splits == ("test",)
    assert seen.identical == (("run 2", "test run 0"),)
    apart = tmp_path / "apart"
    write(values[:3], apart / "train" / "a.nc")
    write(values[3:], apart / "test" / "a.nc")
    assert found(apart).splits == ("test",)
    assert found(apart).identical == ()
    (apart / "valid").mkdir()
    (apart / "valid" / "a.nc").write_bytes(b"")
    assert list(found(apart).unread) == ["valid"]


def test_how_many_were_compared_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(runs(8), tmp_path / "a.nc")
    # Two frames of each run, read whole here: 12 x 12 numbers of 8 bytes.
    monkeypatch.setattr(twins, "COMPARED_BYTES", 3 * 2 * POINTS**2 * 8)
    assert found(path).compared == 3
    told = [f for f in examine(path).findings if f.check == "runs twice"]
    assert [f.text for f in told] == ["no run appears twice (3 of 8 compared)"]
    monkeypatch.setattr(twins, "COMPARED_BYTES", 0)
    report = examine(path)
    assert [f.level for f in check(report)] == ["note"]
