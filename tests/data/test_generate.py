"""The runner: what a trajectory may depend on, what its file holds, and mistakes in one line."""

import importlib.util
import zlib
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from mpp import schema
from mpp.cli.main import main
from mpp.data.generate import _stamp, _trajectory, generate, solver_pool
from mpp.data.system import SEEDS, Range, load_system
from mpp.errors import InputError

SPEC = """
title: Sines
purpose: pretrain
solver: numpy
licence: BSD-3-Clause
fields: [tracer, velocity_x]
domain: [0, 2]
boundary: periodic
frames: 3
interval: 0.5
burn_in: 1
step: 0.1
trajectories: 2
resolution: 8
refinement: 2
least_resolution: 4
parameters:
  speed: {low: 1, high: 2, units: m s-1}
constants: {}
"""

SOLVER = """
import numpy as np

def simulate(system, resolution, rng):
    drawn = system.draw(rng)
    x = np.arange(resolution) / resolution * 2
    noise = rng.normal()
    wave = np.sin(np.pi * (x - drawn["speed"] * system.times[:, None]))
    field = np.broadcast_to(wave[:, :, None], (*wave.shape, resolution))
    return system.sample(np.stack([field, noise * field], 1), drawn)
"""


def write(folder: Path, spec: str = SPEC, solver: str = SOLVER) -> Path:
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(spec)
    (folder / "generate.py").write_text(solver)
    return folder


@pytest.fixture
def sines(tmp_path: Path) -> Path:
    return write(tmp_path / "datasets" / "sines")


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with solver_pool(1) as processes:
        yield processes


def test_trajectory_depends_on_seed_and_index_alone(
    sines: Path, tmp_path: Path, pool: Executor
) -> None:
    few = xr.load_dataset(generate(sines, tmp_path / "few", trajectories=3, pool=pool))
    many = xr.load_dataset(generate(sines, tmp_path / "many", trajectories=5, workers=2))
    other = xr.load_dataset(generate(sines, tmp_path / "other", trajectories=3, seed=1, pool=pool))
    xr.testing.assert_identical(few, many.isel(sample=slice(3)))
    assert np.unique(np.concatenate([many.speed, other.speed])).size == 8


def test_longer_runs_start_with_the_frames_of_shorter_ones(
    sines: Path, tmp_path: Path, pool: Executor
) -> None:
    short = xr.load_dataset(generate(sines, tmp_path / "short", pool=pool))
    long = xr.load_dataset(generate(sines, tmp_path / "long", frames=5, pool=pool))
    assert (short.sizes["time"], long.sizes["time"], long.attrs["frames"]) == (3, 5, 5)
    xr.testing.assert_equal(short, long.isel(time=slice(3)))


def test_other_splits_start_from_what_no_training_run_starts_from(
    tmp_path: Path, pool: Executor
) -> None:
    spec = SPEC.replace("units: m s-1}", "units: m s-1, beyond: [[0.5, 1], [2, 3]]}")
    folder = write(tmp_path / "sines", spec)
    made = {
        split: xr.load_dataset(
            generate(folder, tmp_path / "out", trajectories=8, split=split, pool=pool)
        )
        for split in SEEDS
    }
    places = [path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.nc")]
    assert sorted(map(str, places)) == ["beyond/sines.nc", "sines.nc", "test/sines.nc"]
    assert [ds.attrs["split"] for ds in made.values()] == list(SEEDS)
    noise = [(ds.velocity_x / ds.tracer).mean(["time", "x", "y"]) for ds in made.values()]
    assert np.unique(np.concatenate(noise).round(6)).size == 24
    inside = [((ds.speed >= 1) & (ds.speed <= 2)).values for ds in made.values()]
    assert (inside[0].all(), inside[1].all(), inside[2].any()) == (True, True, False)
    assert (made["beyond"].speed < 1).any()
    assert (made["beyond"].speed > 2).any()


def test_file_is_canonical_chunked_and_says_where_it_comes_from(
    sines: Path, tmp_path: Path, pool: Executor
) -> None:
    seen: list[int] = []
    path = generate(sines, tmp_path / "out", pool=pool, on_trajectory=seen.append)
    assert (path.name, seen) == ("sines.nc", [0, 1])
    assert [item.name for item in path.parent.iterdir()] == ["sines.nc"]
    ds = xr.load_dataset(path)
    assert schema.validate(ds) == []
    assert schema.names(ds) == ("tracer", "velocity_x")
    assert schema.names(ds, "parameter") == ("speed",)
    assert ds.speed.attrs["units"] == "m s-1"
    assert ds.velocity_x.attrs["vector"] == "velocity"
    # A burn-in of 1, then 3 frames 0.5 apart; 8 points from 0 on, 2 / 8 apart.
    np.testing.assert_allclose(ds.time, [1, 1.5, 2])
    np.testing.assert_allclose(ds.x, np.arange(8) / 4)
    # What is stored are the even points of the solver's 16: sin(pi (x - c t)) at x = 0, t = 1.
    np.testing.assert_allclose(ds.tracer[:, 0, 0, 0], np.sin(-np.pi * ds.speed), atol=1e-6)
    assert ds.attrs["system"] == "sines"
    assert ds.attrs["seed"] == 0
    assert ds.attrs["solver"].startswith("numpy ")
    with netCDF4.Dataset(path) as file:
        assert file["tracer"].chunking() == [1, 3, 8, 8]
        assert file["tracer"].dtype == np.float32


def test_cells_are_averaged_where_points_would_be_picked(tmp_path: Path) -> None:
    folder = write(tmp_path / "sines", SPEC.replace("boundary: periodic", "boundary: wall"))
    system = load_system(folder)
    values = np.arange(2 * 16 * 16, dtype=float).reshape(1, 2, 16, 16).repeat(3, 0)
    ds = system.sample(values, {})
    # Cells (0, 0), (0, 1), (1, 0), (1, 1) of 16 x 16 hold 0, 1, 16, 17.
    assert ds.tracer[0, 0, 0, 0] == (0 + 1 + 16 + 17) / 4
    np.testing.assert_allclose(ds.x, (np.arange(8) + 0.5) / 4)


def test_an_axis_may_be_periodic_beside_one_with_walls(tmp_path: Path) -> None:
    spec = SPEC.replace("boundary: periodic", "boundary: [periodic, wall]")
    system = load_system(write(tmp_path / "sines", spec))
    values = np.arange(2 * 16 * 16, dtype=float).reshape(1, 2, 16, 16).repeat(3, 0)
    ds = system.sample(values, {})
    assert schema.boundaries(ds) == (("periodic", "periodic"), ("wall", "wall"))
    # Along x every other point, from 0 on; along y averages of two cells, from 1/8 on.
    np.testing.assert_allclose(ds.x, np.arange(8) / 4)
    np.testing.assert_allclose(ds.y, (np.arange(8) + 0.5) / 4)
    np.testing.assert_allclose(ds.tracer[0, 0, :2, 0], [(0 + 1) / 2, (32 + 33) / 2])
    np.testing.assert_allclose(ds.tracer[0, 0, 0, :2], [(0 + 1) / 2, (2 + 3) / 2])


def test_static_maps_and_the_sides_of_each_axis_are_stored(tmp_path: Path, pool: Executor) -> None:
    spec = SPEC.replace("boundary: periodic", "boundary: [wall open, wall]")
    solver = SOLVER.replace("drawn)", "drawn, {'bathymetry': np.add.outer(0 * x, x)})")
    ds = xr.load_dataset(generate(write(tmp_path / "sines", spec, solver), tmp_path, pool=pool))
    assert schema.validate(ds) == []
    assert schema.boundaries(ds) == (("wall", "open"), ("wall", "wall"))
    assert schema.names(ds, "static") == ("bathymetry",)
    assert ds.bathymetry.dims == ("sample", "x", "y")
    # The solver's map is y at the low ends of 16 cells in 2; two of them average to their middle.
    expected = (ds.y - 1 / 16).broadcast_like(ds.bathymetry)
    np.testing.assert_allclose(ds.bathymetry, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("span", "allowed"),
    [
        (Range(2, 3), lambda value: 2 <= value <= 3),
        (Range(1e-3, 1e3, "log"), lambda value: 1e-3 <= value <= 1e3),
        (Range(2, 4, "integer"), lambda value: value in (2, 3, 4)),
    ],
)
def test_range_stays_within_its_ends(span: Range, allowed) -> None:
    rng = np.random.default_rng(0)
    drawn = [span.draw(rng) for _ in range(200)]
    assert all(allowed(value) for value in drawn)
    middle = np.sqrt(span.low * span.high) if span.scale == "log" else (span.low + span.high) / 2
    below, above = (sum(test(value) for value in drawn) for test in (middle.__gt__, middle.__lt__))
    assert abs(below - above) < 60


@pytest.mark.parametrize(
    ("span", "outside"),
    [
        (Range(2, 3, beyond=((1, 2), (3, 5))), lambda value: 1 <= value <= 2 or 3 <= value <= 5),
        (Range(1, 10, "log", beyond=((0.1, 1),)), lambda value: 0.1 <= value <= 1),
        (Range(2, 4, "integer", beyond=((5, 6), (0, 0))), lambda value: value in (0, 5, 6)),
        (Range(2, 3), lambda value: 2 <= value <= 3),
    ],
)
def test_beyond_is_drawn_from_each_interval_and_the_range_where_there_is_none(
    span: Range, outside
) -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([span.draw_beyond(rng) for _ in range(400)])
    assert all(outside(value) for value in drawn)
    for low, high in span.beyond:  # each as likely as the others
        share = np.mean((drawn >= low) & (drawn <= high))
        assert share == pytest.approx(1 / len(span.beyond), abs=0.1)


@pytest.mark.parametrize(
    ("scale", "beyond"),
    [
        ("linear", (2.5, 4)),  # it reaches into the range
        ("linear", (1, 4)),
        ("linear", (5, 4)),
        ("integer", (3, 4)),  # its low end is the range's high end
        ("log", (0, 1)),
    ],
)
def test_beyond_that_is_not_outside_is_refused(
    tmp_path: Path, scale: str, beyond: tuple[float, float]
) -> None:
    line = f"{{low: 2, high: 3, scale: {scale}, beyond: [[{beyond[0]}, {beyond[1]}]]}}"
    folder = write(tmp_path / "sines", SPEC.replace("{low: 1, high: 2, units: m s-1}", line))
    with pytest.raises(InputError, match=r"beyond \[.*\] is no interval outside \[2, 3\]"):
        load_system(folder)


def test_non_finite_trajectory_is_never_written(tmp_path: Path, pool: Executor) -> None:
    solver = SOLVER.replace("noise = rng.normal()", "noise = np.nan")
    folder = write(tmp_path / "sines", solver=solver)
    with pytest.raises(
        InputError, match=r"velocity_x of trajectory 0 .* with speed=1\.\d+; narrow"
    ):
        generate(folder, tmp_path / "out", pool=pool)
    assert list((tmp_path / "out").iterdir()) == []


def test_non_finite_map_is_never_written(tmp_path: Path, pool: Executor) -> None:
    solver = SOLVER.replace("drawn)", "drawn, {'bathymetry': np.full(2 * [resolution], np.nan)})")
    with pytest.raises(InputError, match=r"bathymetry of trajectory 0 .* is not finite"):
        generate(write(tmp_path / "sines", solver=solver), tmp_path / "out", pool=pool)


def test_dead_worker_is_one_line(tmp_path: Path) -> None:
    folder = write(tmp_path / "sines", solver="import os\nos._exit(1)")
    with pytest.raises(InputError, match="a solver process died"):
        generate(folder, tmp_path / "out", workers=1)


def test_workers_follow_the_folder_and_refuse_another_one(
    sines: Path, tmp_path: Path, pool: Executor
) -> None:
    generate(sines, tmp_path, pool=pool)
    (sines / "generate.py").write_text(SOLVER.replace("np.sin(", "2 * np.sin("))
    ds = xr.load_dataset(generate(sines, tmp_path, overwrite=True, pool=pool))
    assert ds.tracer.max() > 1.5
    elsewhere = write(tmp_path / "elsewhere", SPEC.replace("high: 2", "high: 3"))
    for folder, message in ((sines, "sees another spec.yaml"), (tmp_path / "gone", "no spec.yaml")):
        job = pool.submit(_trajectory, str(folder), _stamp(elsewhere), "train", 0, 8, 3, 0)
        with pytest.raises(InputError, match=message):
            job.result()


def test_existing_file_needs_overwrite(sines: Path, tmp_path: Path, pool: Executor) -> None:
    path = generate(sines, tmp_path, pool=pool)
    with pytest.raises(InputError, match=r"exists already.*--overwrite"):
        generate(sines, tmp_path, pool=pool)
    generate(sines, tmp_path, trajectories=1, overwrite=True, pool=pool)
    assert xr.load_dataset(path).sizes["sample"] == 1


def test_unusable_output_folder_is_refused(
    sines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot make this folder"):
        generate(sines, tmp_path / "file")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(InputError, match="no permission to write there"):
        generate(sines, tmp_path / "out")


def test_a_split_is_drawn_with_seeds_that_training_cannot_have(sines: Path) -> None:
    # Test runs of the demo were drawn with a seed a million higher before there were splits.
    system = load_system(sines)
    for split, start in (("train", 5), ("test", 1_000_005), ("beyond", 2_000_005)):
        expected = np.random.default_rng([start, zlib.crc32(b"sines"), 3]).random()
        assert replace(system, split=split).rng(5, 3).random() == expected


def test_step_shortens_on_finer_grids_only(sines: Path) -> None:
    system = load_system(sines)  # step 0.1 on 8 points stored of 16
    assert system.courant_step(8) == system.courant_step(16) == 0.1
    assert system.courant_step(32) == 0.05
    assert system.courant_step(40) == pytest.approx(0.1 / 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trajectories": 0}, "trajectories must be at least 1, got 0"),
        ({"resolution": 2}, "resolution must be at least 4, got 2"),
        ({"frames": 1}, "frames must be at least 2, got 1"),
        ({"resolution": 7}, "resolution must be even, got 7"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"seed": 1_000_000}, "seed must be below 1000000, got 1000000; .* --split test"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
    ],
)
def test_wrong_number_is_refused(sines: Path, tmp_path: Path, options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(sines, tmp_path / "out", **options)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: Sines", "titel: Sines", r"unknown keys \['titel'\]"),
        ("fields: [tracer, velocity_x]", "", "incomplete.*fields"),
        ("{low: 1, high: 2, units: m s-1}", "{lowest: 1}", "incomplete or of a wrong type"),
        ("title: Sines", "title: [", "not valid YAML"),
        ("boundary: periodic", "boundary: [wall, wall, wall]", "too many values"),
        (SPEC, "just text", "expected keys and values"),
        ("solver: numpy", "solver: no_such_solver", "no_such_solver is not installed"),
    ],
)
def test_wrong_specification_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    folder = write(tmp_path / "sines", SPEC.replace(old, new))
    with pytest.raises(InputError, match=message):
        generate(folder, tmp_path / "out")


def test_folder_without_a_solver_is_refused(tmp_path: Path, pool: Executor) -> None:
    folder = write(tmp_path / "sines", solver="x = 1")
    with pytest.raises(InputError, match="defines no function simulate"):
        generate(folder, tmp_path / "out", pool=pool)


@pytest.mark.parametrize(
    ("solver", "hint"),
    [
        ("exponax", r"pip install 'mpp-physics\[simulate\]'"),
        ("clawpack", r"pip install 'mpp-physics\[simulate-fv\]' \(it needs gfortran to build\)"),
    ],
)
def test_missing_solver_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, solver: str, hint: str
) -> None:
    folder = write(tmp_path / "sines", SPEC.replace("solver: numpy", f"solver: {solver}"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=f"{solver} is not installed; {hint}"):
        generate(folder, tmp_path / "out")


def test_command_ends_with_its_path_or_with_status_2(
    sines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", str(sines), "--out", str(tmp_path), "--trajectories", "1"]
    assert main([*words, "--workers", "1"]) == 0
    assert capsys.readouterr().out.strip().endswith("sines.nc")
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["generate", str(tmp_path / "nowhere"), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
