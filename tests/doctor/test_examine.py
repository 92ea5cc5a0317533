"""What the report says of files whose contents are known."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from mpp.data.mapping import Mapping
from mpp.data.open import open_dataset
from mpp.doctor import sampled
from mpp.doctor.checks.axes import HISTORY
from mpp.doctor.examine import examine
from mpp.errors import InputError
from mpp.model.axial import AxialTransformer
from mpp.schema import example

POINTS = 32


def jet(tmp_path: Path) -> Path:
    """Periodic along lon_x, between walls along lat_y; the wave moves one point a frame."""
    x, y = np.arange(POINTS) / POINTS, (np.arange(16) + 0.5) / 16
    t = np.arange(8.0)
    wave = np.sin(2 * np.pi * (x - t[:, None] / POINTS))
    values = wave[:, None, :] * np.cos(np.pi * y)[:, None]
    runs = np.stack([values, 2 * values])
    ds = xr.Dataset(
        {
            "T": (("run", "t", "lat_y", "lon_x"), runs, {"units": "K"}),
            "nu": ("run", [0.1, 0.2]),
            "label": ("run", ["a", "b"]),
        },
        {"t": ("t", t, {"units": "s"}), "lon_x": ("lon_x", x, {"units": "m"})},
    )
    ds.to_netcdf(tmp_path / "jet.nc", engine="netcdf4")
    return tmp_path / "jet.nc"


def test_the_report_says_what_was_understood(tmp_path: Path):
    report = examine(jet(tmp_path))
    assert (report.system, report.format, report.files) == ("jet", "netcdf4", 1)
    assert (report.samples, report.sample_source) == (2, "run")
    assert (report.time.size, report.time.step, report.time.even) == (8, 1.0, True)
    x, y = report.axes
    assert (x.name, x.source, x.size, x.spacing) == ("x", "lon_x", POINTS, 1 / POINTS)
    assert (x.sides, y.sides) == ("wraps", "does not wrap")
    assert (x.numbered, y.numbered) == (False, True)
    (field,) = report.fields
    assert (field.name, field.source, field.units) == ("temperature", "T", "K")
    # The wave reaches 1 and the second run is twice as large; cos is 1 at most between the walls.
    assert 1.9 < field.high <= 2
    assert -2 <= field.low < -1.9
    # A sine moved by phase d changes by 2 sin(d/2) of its RMS; here d is 2 pi / 32.
    assert field.change == pytest.approx(2 * np.sin(np.pi / POINTS), rel=1e-3)
    assert field.missing == 0
    assert report.others["nu"] == "parameter 0.1 to 0.2, by sample"
    assert report.left_out == {"label": "not numbers"}
    assert report.nbytes == 2 * 8 * 16 * POINTS * 8


def test_runs_shorter_than_a_window_of_the_default_model_are_told(tmp_path: Path):
    # The jet has 8 frames; a window is 8 frames of history and the one to predict.
    assert inspect.signature(AxialTransformer).parameters["history"].default == HISTORY == 8
    assert [told for told in examine(jet(tmp_path)).warnings if "windows of 9" in told]
    longer = example(frames=9)
    longer.to_netcdf(tmp_path / "longer.nc", engine="netcdf4")
    assert not [t for t in examine(tmp_path / "longer.nc").warnings if "windows of" in t]


def test_a_missing_boundary_is_a_problem_that_the_printed_mapping_solves(tmp_path: Path):
    path = jet(tmp_path)
    report = examine(path)
    assert not report.verdict
    assert "no boundary condition along x, y" in report.problems[0]
    (tmp_path / "mapping.yaml").write_text(report.mapping, encoding="utf-8")
    mapping = Mapping.from_yaml(tmp_path / "mapping.yaml")
    assert mapping.boundary == {"x": "periodic", "y": "wall"}
    assert examine(path, mapping).verdict
    assert open_dataset(path, mapping=mapping).sizes["x"] == POINTS


def test_what_may_solve_a_problem_stands_in_the_mapping_as_a_comment(tmp_path: Path):
    ds = example(frames=9)
    ds = ds.assign_coords(time=ds["time"].copy(data=np.arange(9.0) ** 1.5))
    ds["tracer"].values[:, :, 2, 2] = np.nan
    ds.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    report = examine(tmp_path / "a.nc")
    assert report.needs_mapping
    lines = [line for line in report.mapping.splitlines() if line.startswith("#")]
    assert lines == [
        "# missing: mask  # for: missing values",
        "# even: [time]  # for: time step",
    ]
    assert yaml.safe_load(lines[1].removeprefix("# ")) == {"even": ["time"]}
    assert Mapping.from_dict(yaml.safe_load(report.mapping)).boundary["x"] == "periodic"


def test_a_boundary_that_the_fields_contradict_is_a_warning(tmp_path: Path):
    report = examine(jet(tmp_path), Mapping(boundary="periodic"))
    assert report.verdict
    told = [warning for warning in report.warnings if "periodic" in warning]
    assert told == [
        "y is declared periodic, but a field jumps from its last point to its first; check it"
    ]


def test_numbers_that_cannot_be_trained_on_are_problems(tmp_path: Path):
    path = jet(tmp_path)
    ds = xr.open_dataset(path, engine="netcdf4").load()
    ds.close()
    ds["T"][:, :, 3, 4] = np.nan
    ds.to_netcdf(tmp_path / "nan.nc", engine="netcdf4")
    mapping = Mapping(boundary="wall")
    report = examine(tmp_path / "nan.nc", mapping)
    # One point of 16 x 32 is missing in every frame.
    assert report.fields[0].missing == pytest.approx(1 / (16 * POINTS))
    assert "NaN or infinite" in report.problems[0]
    ds["wet_mask"] = (("lat_y", "lon_x"), np.isfinite(ds["T"].values[0, 0]).astype("int8"))
    ds.to_netcdf(tmp_path / "masked.nc", engine="netcdf4")
    masked = examine(tmp_path / "masked.nc", mapping)
    assert masked.verdict
    assert masked.axes[0].sides == "unknown"
    ds["T"][:] = 3.0
    ds.isel(t=slice(0, 1)).to_netcdf(tmp_path / "still.nc", engine="netcdf4")
    still = examine(tmp_path / "still.nc", mapping)
    assert any("only one frame" in problem for problem in still.problems)
    assert any("constant" in problem for problem in still.problems)


def test_json_holds_no_nan_and_says_the_verdict(tmp_path: Path):
    path = jet(tmp_path)
    ds = xr.open_dataset(path, engine="netcdf4").load()
    ds.close()
    ds.isel(t=[0]).to_netcdf(tmp_path / "one.nc", engine="netcdf4")
    found = examine(tmp_path / "one.nc").to_dict()
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text)["verdict"] is False
    assert found["fields"][0]["change"] is None
    assert yaml.safe_load(found["mapping"])["space"] == {"x": "lon_x", "y": "lat_y"}


def test_few_frames_are_read_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ds = xr.Dataset(
        {"u": (("run", "t", "x"), np.zeros((20, 100, 8), "float32"))},
        {"t": ("t", np.arange(100.0))},
    )
    ds.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    monkeypatch.setattr(sampled, "WHOLE_BYTES", ds["u"].nbytes - 1)
    # At most three runs, three pairs of frames in each.
    assert examine(tmp_path / "a.nc").sampling.frames <= 18


@pytest.mark.parametrize("place", [(0, 0, 0), (11, 57, 3), (19, 99, 7)])
def test_a_single_missing_value_of_a_small_file_is_found(tmp_path: Path, place: tuple[int, ...]):
    values = np.random.default_rng(0).normal(size=(20, 100, 8)).astype("float32")
    values[place] = np.nan
    ds = xr.Dataset({"u": (("run", "t", "x"), values)}, {"t": ("t", np.arange(100.0))})
    ds.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    report = examine(tmp_path / "a.nc", Mapping(boundary="periodic"))
    assert (report.sampling.runs, report.sampling.share) == (20, 1.0)
    assert report.fields[0].missing == pytest.approx(1 / values.size)
    assert any("less than 0.01% of the values read are NaN" in p for p in report.problems)


def test_numbers_of_a_field_do_not_depend_on_how_much_is_looked_at_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    values = np.random.default_rng(0).normal(size=(3, 40, 8))
    values[:, 20:22] = values[:, 20:21]  # one change in 39 is none
    ds = xr.Dataset({"u": (("run", "t", "x"), values)}, {"t": ("t", np.arange(40.0))})
    ds.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    whole = examine(tmp_path / "a.nc").fields[0]
    assert whole.rms == pytest.approx(np.sqrt(np.square(values).mean()))
    assert whole.step == pytest.approx(np.sqrt(np.square(np.diff(values, axis=1)).mean()))
    assert whole.still == pytest.approx(1 / 39)
    monkeypatch.setattr(sampled, "BLOCK_BYTES", 10 * 8 * 8)
    parts = examine(tmp_path / "a.nc").fields[0]
    assert (parts.low, parts.high) == (whole.low, whole.high) == (values.min(), values.max())
    assert parts.rms == pytest.approx(whole.rms)
    assert parts.step == pytest.approx(whole.step, rel=0.02)  # without the changes between parts


def test_a_mask_costs_two_frames_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    values = np.random.default_rng(0).normal(size=(2, 60, 6, 5))
    values[:, :, 2, 2] = np.nan
    values[:, 31, 0, 0] = np.nan
    ds = xr.Dataset({"u": (("run", "t", "x", "y"), values)}, {"t": ("t", np.arange(60.0))})
    ds.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    mapping = Mapping(boundary="wall", missing="mask")
    with pytest.raises(InputError, match="in its frame 0 or its frame 31 alone"):
        examine(tmp_path / "a.nc", mapping)
    monkeypatch.setattr(sampled, "WHOLE_BYTES", ds["u"].nbytes - 1)
    (mask,) = examine(tmp_path / "a.nc", mapping).masks
    assert mask.inside == pytest.approx(29 / 30)
