"""Laws of a suite: what fits is kept, what differs refused, what fails stops no other."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from mpp.data.generate import solver_pool
from mpp.data.suite import Job, make, missing, plan_suite
from mpp.errors import InputError


@pytest.fixture
def datasets(tmp_path: Path, waves: Any) -> Path:
    """Two systems to pretrain on, and one to transfer to."""
    root = tmp_path / "datasets"
    for name in ("ripples", "swell"):
        waves.write(root / name)
    waves.write(root / "tide", waves.SPEC.replace("purpose: pretrain", "purpose: transfer"))
    return root


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with solver_pool(1) as processes:
        yield processes


@contextmanager
def no_bar(task: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda done: None


def plan(datasets: Path, **options) -> list[Job]:
    sizes = {"test_trajectories": 1} | options
    return plan_suite(datasets, "pretrain", datasets.parent / "out", **sizes)


def made(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


EVERY = sorted(
    f"{folder}{name}.nc" for name in ("ripples", "swell") for folder in ("", "test/", "beyond/")
)


def test_suite_is_every_system_of_the_purpose_in_every_split(
    datasets: Path, pool: Executor
) -> None:
    seen: dict[str, list[int]] = {}

    @contextmanager
    def bar(task: str, total: int) -> Iterator[Callable[[int], None]]:
        seen[f"{task} {total}"] = []
        yield seen[f"{task} {total}"].append

    out = datasets.parent / "out"
    assert make(missing(plan(datasets, resolution=6)), bar, pool=pool) == {}
    assert made(out) == EVERY
    assert seen == {"ripples 4": [1, 2, 3, 4], "swell 4": [1, 2, 3, 4]}
    train, beyond = (xr.load_dataset(out / part / "swell.nc") for part in ("", "beyond"))
    assert (train.sizes["sample"], beyond.sizes["sample"], train.sizes["x"]) == (2, 1, 6)
    assert train.speed.max() < 2 < beyond.speed.min()


def test_the_same_call_goes_on_with_what_is_missing(datasets: Path, pool: Executor) -> None:
    out = datasets.parent / "out"
    make(missing(plan(datasets)), no_bar, pool=pool)
    whole = {path: path.stat().st_mtime_ns for path in out.rglob("*.nc")}
    lost = out / "test" / "ripples.nc"
    before = xr.load_dataset(lost)
    lost.unlink()
    (out / ".swell.123.nc").write_bytes(b"unfinished")  # what a killed process leaves
    left = missing(plan(datasets))
    assert [job.path for job in left] == [lost]
    make(left, no_bar, pool=pool)
    xr.testing.assert_identical(xr.load_dataset(lost), before)
    assert all(path.stat().st_mtime_ns == time for path, time in whole.items() if path != lost)
    assert missing(plan(datasets)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"resolution": 10}, "resolution 8, not 10"),
        ({"frames": 4}, "frames 3, not 4"),
        ({"trajectories": 3}, "trajectories 2, not 3"),
    ],
)
def test_a_file_made_with_other_settings_is_neither_kept_nor_replaced(
    datasets: Path, pool: Executor, options: dict[str, int], message: str
) -> None:
    jobs = plan(datasets, splits=("train",))
    make(missing(jobs), no_bar, pool=pool)
    others = plan(datasets, splits=("train",), **options)
    with pytest.raises(InputError, match=rf"ripples.nc was made .*{message} \(and 1 files more\)"):
        missing(others)
    assert missing(others, overwrite=True) == others
    make(others[:1], no_bar, pool=pool)
    assert missing(others, overwrite=True) == others[1:]  # what fits is never made again


def test_a_specification_differs_by_what_it_says_for_the_split(
    datasets: Path, pool: Executor, waves: Any
) -> None:
    make(missing(plan(datasets)), no_bar, pool=pool)
    spec = datasets / "swell" / "spec.yaml"
    spec.write_text(f"# a remark\n{waves.SPEC}")
    assert missing(plan(datasets)) == []
    spec.write_text(waves.SPEC.replace("[[2, 3]]", "[[2, 4]]"))
    different = missing(plan(datasets), overwrite=True)
    assert [job.path.parent.name for job in different] == ["beyond"]
    spec.write_text(waves.SPEC.replace("burn_in: 1", "burn_in: 2"))
    with pytest.raises(InputError, match=r"swell.nc was made .*: another specification"):
        missing(plan(datasets, splits=("train",)))


def test_a_file_of_another_kind_is_refused(datasets: Path) -> None:
    path = datasets.parent / "out" / "swell.nc"
    path.parent.mkdir()
    path.write_text("not NetCDF")
    with pytest.raises(InputError, match=r"swell.nc .*: not a file of mpp generate"):
        missing(plan(datasets))
    xr.Dataset({"speed": ("run", np.zeros(2))}).to_netcdf(path)
    with pytest.raises(InputError, match=r"swell.nc .*: not a file of mpp generate"):
        missing(plan(datasets))


def test_what_cannot_be_made_stops_no_other(datasets: Path, pool: Executor, waves: Any) -> None:
    waves.write(datasets / "foam", waves.SPEC.replace("solver: numpy", "solver: no_such_solver"))
    waves.write(
        datasets / "nought", solver=waves.SOLVER.replace("wave[:, None]", "np.nan * wave[:, None]")
    )
    failed = make(missing(plan(datasets)), no_bar, pool=pool)
    assert (
        failed["foam"] == "its solver no_such_solver is not installed; pip install no_such_solver"
    )
    assert failed["nought"].startswith(
        "tracer of trajectory 0 (train, seed 0, resolution 8) is not"
    )
    assert set(failed) == {"foam", "nought"}
    assert made(datasets.parent / "out") == EVERY


def test_dead_processes_end_it(datasets: Path, waves: Any) -> None:
    waves.write(datasets / "abyss", solver="import os\nos._exit(1)")
    with pytest.raises(InputError, match="abyss: a solver process died"):
        make(missing(plan(datasets)), no_bar, workers=1)
    assert made(datasets.parent / "out") == []


def test_a_system_has_the_points_that_resolve_it(datasets: Path, waves: Any) -> None:
    waves.write(
        datasets / "swell", waves.SPEC.replace("least_resolution: 4", "least_resolution: 16")
    )
    jobs = plan(datasets, resolution=8, splits=("train",))
    assert {job.system.name: job.resolution for job in jobs} == {"ripples": 8, "swell": 16}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 9}, "ripples: resolution must be even, got 9"),
        ({"trajectories": 0}, "ripples: trajectories must be at least 1, got 0"),
        ({"test_trajectories": 0}, "ripples: trajectories must be at least 1, got 0"),
        ({"seed": 1_000_000}, "ripples: seed must be below 1000000"),
    ],
)
def test_wrong_numbers_are_refused_before_anything_is_made(
    datasets: Path, options: dict[str, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plan(datasets, **options)


def test_a_folder_without_systems_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no system to pretrain there; expected"):
        plan_suite(tmp_path, "pretrain", tmp_path)
