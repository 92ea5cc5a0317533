"""Each fault is found by the check that is for it, and a sound file gives no check anything."""

from collections.abc import Callable
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from mpp.data.mapping import Mapping
from mpp.data.statistics import STILL
from mpp.data.windows import IN_MEMORY_BYTES
from mpp.doctor import sampled, storage
from mpp.doctor.checks import fields as field_checks
from mpp.doctor.checks.table import CHECKS
from mpp.doctor.examine import examine
from mpp.doctor.finding import Finding
from mpp.doctor.report import Precision, Report
from mpp.schema import coordinate

RUNS, FRAMES, ALONG_X, ALONG_Y = 3, 20, 24, 16
DIMS = ("sample", "time", "x", "y")


def wave(speed: float = 0.4) -> np.ndarray:
    """Waves that run along both axes, another phase for each run."""
    run, frame = np.arange(RUNS)[:, None, None, None], np.arange(FRAMES)[:, None, None]
    x, y = (
        2 * np.pi * np.arange(ALONG_X)[:, None] / ALONG_X,
        2 * np.pi * np.arange(ALONG_Y) / ALONG_Y,
    )
    return np.sin(x - speed * frame - run) + 0.5 * np.cos(y + x + speed * frame)


def sound() -> xr.Dataset:
    """A file in the schema with nothing to say of: a vector with both components, and a scalar."""
    coords = {
        "time": coordinate(0.5 * np.arange(FRAMES), "time", "s"),
        "x": coordinate(np.arange(ALONG_X) / ALONG_X, "x", "m", "periodic"),
        "y": coordinate(np.arange(ALONG_Y) / ALONG_Y, "y", "m", "periodic"),
    }
    data = {
        "velocity_x": (DIMS, wave(), {"units": "m s-1"}),
        "velocity_y": (DIMS, 2 * wave(0.3), {"units": "m s-1"}),
        "tracer": (DIMS, 3 + wave(0.5), {"units": "1"}),
    }
    return xr.Dataset(data, coords, {"system": "waves"})


def written(ds: xr.Dataset, folder: Path) -> Path:
    path = folder / "waves.nc"
    path.unlink(missing_ok=True)
    ds.to_netcdf(path, engine="netcdf4")
    return path


def look(ds: xr.Dataset, folder: Path, **options) -> Report:
    return examine(written(ds, folder), **options)


def said(report: Report, check: str) -> list[Finding]:
    return [f for f in report.findings if f.check == check and f.level != "ok"]


def with_tracer(values: np.ndarray | float) -> xr.Dataset:
    ds = sound()
    return ds.assign(
        tracer=(DIMS, np.broadcast_to(values, ds["tracer"].shape).copy(), {"units": "1"})
    )


def with_points(value: float, *places: tuple[int, int, int]) -> xr.Dataset:
    """The tracer of every run set to a value at some frames and points."""
    ds = sound()
    for frame, x, y in places:
        ds["tracer"].values[:, frame, x, y] = value
    return ds


EVERY = [(frame, 5, 6) for frame in range(FRAMES)]
MOVING = [(frame, frame % ALONG_X, 6) for frame in range(FRAMES)]


def no_boundary() -> xr.Dataset:
    ds = sound()
    del ds["x"].attrs["boundary"]
    return ds


def sloped() -> xr.Dataset:
    slope = np.linspace(0, 60, ALONG_X)[:, None]
    return with_tracer(wave(0.5) + slope)


def declared_walls() -> xr.Dataset:
    ds = sound()
    ds["y"].attrs["boundary"] = "wall"
    return ds


def times(values: np.ndarray) -> xr.Dataset:
    return sound().assign_coords(time=coordinate(values, "time", "s"))


def uneven_grid(boundary: str) -> xr.Dataset:
    positions = np.arange(ALONG_X) ** 1.2
    return sound().assign_coords(x=coordinate(positions, "x", "m", boundary))


def repeated() -> xr.Dataset:
    ds = sound()
    # Of the pairs of frames that are read, one starts in the middle of the 20.
    for frame in range(8, 13):
        ds["tracer"].values[:, frame] = ds["tracer"].values[:, 8]
    return ds


def one_component() -> xr.Dataset:
    return sound().drop_vars("velocity_y")


def untold_vector() -> xr.Dataset:
    return sound().rename(velocity_x="wind_x", velocity_y="wind_y")


def masked(share: float) -> xr.Dataset:
    inside = np.zeros(ALONG_X * ALONG_Y, "i1")
    inside[: round(share * inside.size)] = 1
    shaped = inside.reshape(ALONG_X, ALONG_Y)
    return sound().assign(wet=(("x", "y"), shaped, {"role": "mask"}))


def plain(ds: xr.Dataset) -> xr.Dataset:
    """The same without what says that it is in the schema."""
    ds = ds.copy()
    del ds.attrs["system"]
    return ds


def with_levels() -> xr.Dataset:
    levels = np.zeros((RUNS, FRAMES, 2, ALONG_X, ALONG_Y), "f4")
    return plain(sound()).assign(salt=(("sample", "time", "lev", "x", "y"), levels))


def numbered(dim: str) -> xr.Dataset:
    return plain(sound()).drop_vars(dim)


FAULTS: list[tuple[str, str, str, Callable[[], xr.Dataset]]] = [
    ("boundary", "problem", "no boundary condition along x", no_boundary),
    ("boundary", "warning", "jumps from its last point", sloped),
    ("boundary", "note", "y is declared wall, but the fields go on", declared_walls),
    ("schema", "problem", "do not increase", lambda: times(np.minimum(np.arange(20.0), 18))),
    ("missing values", "problem", "missing: mask", lambda: with_points(np.nan, *EVERY)),
    ("missing values", "problem", "missing: nearest", lambda: with_points(np.nan, *MOVING)),
    ("missing values", "problem", "infinite", lambda: with_points(np.inf, *EVERY)),
    ("time step", "problem", "even: [time]", lambda: times(np.arange(FRAMES) ** 1.1)),
    ("time step", "warning", "time has no coordinate", lambda: numbered("time")),
    ("frames", "problem", "only one frame", lambda: sound().isel(time=[3])),
    ("frames", "warning", "windows of 9", lambda: sound().isel(time=slice(0, 8))),
    ("grid", "warning", "even: {x: {period: ", lambda: uneven_grid("periodic")),
    ("grid", "warning", "even: [x]", lambda: uneven_grid("wall")),
    ("grid", "warning", "x has no coordinate", lambda: numbered("x")),
    ("fill values", "warning", "-9999", lambda: with_points(-9999.0, *EVERY)),
    ("constant fields", "warning", "tracer is constant", lambda: with_tracer(3.0)),
    ("constant fields", "warning", "nearly constant", lambda: with_tracer(1e9 + wave())),
    ("constant fields", "warning", "tracer: static", lambda: with_tracer(wave()[:, :1])),
    ("constant fields", "problem", "all fields are constant", lambda: 0 * sound()[["tracer"]]),
    ("repeated frames", "note", "nothing changes", repeated),
    ("precision", "warning", "standing still", lambda: with_tracer(1e5 + 2 * wave())),
    ("precision", "warning", "float64 holds that", lambda: with_tracer(1e5 + 0.3 * wave(0.005))),
    ("precision", "problem", "cannot hold", lambda: with_tracer(1e39 * wave())),
    ("decades", "note", "logarithm", lambda: with_tracer(np.exp(9 * wave()))),
    ("vectors", "note", "none along y", one_component),
    ("vectors", "note", "wind_x and wind_y look like components", untold_vector),
    ("masks", "problem", "no point is inside", lambda: masked(0)),
    ("masks", "note", "1 everywhere", lambda: masked(1)),
    ("masks", "warning", "is it 1 where fields are defined", lambda: masked(0.02)),
    ("other dims", "note", "select", with_levels),
    ("number of runs", "warning", "only one run", lambda: sound().isel(sample=[0])),
]  # fmt: skip


def test_nothing_is_said_of_a_sound_file(tmp_path: Path):
    report = look(sound(), tmp_path)
    assert [str(f) for f in report.findings if f.level != "ok"] == []
    assert {f.check for f in report.findings} == {check.name for check in CHECKS}
    assert report.outlook == "will train"
    assert look(masked(0.5), tmp_path).outlook == "will train"


@pytest.mark.parametrize(
    ("check", "level", "words", "make"), FAULTS, ids=[f"{f[0]}: {f[2]}" for f in FAULTS]
)
def test_a_fault_is_found_by_its_check(
    tmp_path: Path, check: str, level: str, words: str, make: Callable[[], xr.Dataset]
):
    ds = make()
    ds.attrs.setdefault("title", "waves")
    mapping = Mapping(boundary="periodic") if "system" not in ds.attrs else None
    report = look(ds, tmp_path, mapping=mapping)
    found = said(report, check)
    assert [f.level for f in found] == [level]
    assert words in str(found[0])
    grave = {f.check for f in report.findings if f.level in ("problem", "warning")}
    # Runs that are zero throughout are also the same.
    assert grave <= {check, "runs twice"} if words == "all fields are constant" else {check}
    outlook = {"problem": "will not train", "warning": "will train, but", "note": "will train"}
    assert report.outlook == outlook[level]


@pytest.mark.parametrize(("precision", "told"), [("32-true", False), ("bf16-mixed", True)])
def test_bfloat16_resolves_less(tmp_path: Path, precision: Precision, told: bool):
    # The tracer changes by 0.5 / sqrt(2) or so a frame, of 100: half of what bfloat16 tells apart.
    ds = with_tracer(100 + wave(0.5))
    found = said(look(ds, tmp_path, precision=precision), "precision")
    assert bool(found) == told
    assert all("bfloat16 resolves (7.8e-03)" in f.text for f in found)


def test_what_is_too_large_to_be_read_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for module, name in ((sampled, "SAMPLED_BYTES"), (sampled, "MOST_BYTES"),
                         (sampled, "WHOLE_BYTES"), (storage, "MEASURED_BYTES")):  # fmt: skip
        monkeypatch.setattr(module, name, 100)
    report = look(sound(), tmp_path)
    assert report.sampling.frames == 0
    assert [f.level for f in said(report, "values")] == ["warning"]
    assert [f.level for f in said(report, "storage")] == ["warning"]
    assert not report.problems
    assert all(field.rms != field.rms for field in report.fields)


def test_a_file_of_netcdf4_with_marks_for_missing_values(tmp_path: Path):
    path = tmp_path / "marks.nc"
    with netCDF4.Dataset(path, "w") as file:
        for dim, size in (("time", FRAMES), ("x", ALONG_X)):
            file.createDimension(dim, size)
            file.createVariable(dim, "f8", (dim,))[:] = np.arange(size)
        values = wave()[0, :, :, 0].astype("f4")
        values[:, 3] = -9999.0
        file.createVariable("h", "f4", ("time", "x"), fill_value=False)[:] = values
        marked = file.createVariable("m", "f4", ("time", "x"), fill_value=-9999.0)
        marked.set_auto_mask(False)
        marked[:] = values
    report = examine(path, Mapping(boundary="periodic"))
    assert [f.text.split(":")[0] for f in said(report, "fill values")] == ["h"]
    assert [f.text.split(":")[0] for f in said(report, "missing values")] == ["m"]


@pytest.mark.parametrize("kind", ["zarr", "NETCDF3_64BIT", "h5netcdf"])
def test_every_format_is_looked_at(tmp_path: Path, kind: str):
    if kind == "zarr":
        path = tmp_path / "waves.zarr"
        sound().to_zarr(path, zarr_format=3, consolidated=False)
    elif kind == "h5netcdf":
        path = tmp_path / "waves.nc"
        sound().to_netcdf(path, engine="h5netcdf")
    else:
        path = tmp_path / "waves.nc"
        sound().to_netcdf(path, engine="netcdf4", format=kind)
    report = examine(path)
    assert [str(f) for f in report.findings if f.level != "ok"] == []
    tracer = next(field for field in report.fields if field.name == "tracer")
    # A sine and half a cosine, the one with the other's variance four times.
    assert tracer.spread == pytest.approx(np.sqrt(0.5 + 0.125), rel=0.02)
    assert tracer.rms == pytest.approx(np.sqrt(9 + 0.5 + 0.125), rel=0.01)
    assert report.storage.windows_per_second > 0


def test_what_training_counts_as_still_is_what_the_check_says():
    assert field_checks.STILL == STILL
    assert storage.IN_MEMORY_BYTES == IN_MEMORY_BYTES
    assert field_checks.RESOLVED["float32"] == np.finfo(np.float32).eps
