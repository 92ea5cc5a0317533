"""Laws of the command: a page, its size, one line for a mistake."""

import re

import pytest
import xarray as xr

from mpp import schema
from mpp.cli.main import main


@pytest.fixture
def rollout(tmp_path):
    """One field of one run at two frames, a tenth too large."""
    ds = schema.example((6, 4), samples=1, frames=3).drop_vars("velocity_x")
    truth = ds["tracer"].assign_attrs(role="truth")
    later = ds.assign(tracer=(1.1 * ds["tracer"]).assign_attrs(ds["tracer"].attrs))
    both = later.assign(truth_tracer=truth).isel(time=slice(1, None))
    path = tmp_path / "rollout.nc"
    both.assign_attrs(history_end=float(ds["time"][0])).to_netcdf(path)
    return path


def test_it_writes_a_page_and_says_where_and_how_large(rollout, tmp_path, capsys):
    page = tmp_path / "report.html"
    words = ["report", str(rollout), "--out", str(page)]
    assert main(words) == 0
    told = re.fullmatch(r"wrote (.*) \((.*) MB\)\n", capsys.readouterr().out)
    assert told[1] == str(page)
    assert float(told[2]) == pytest.approx(page.stat().st_size / 1e6, abs=0.05)
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "report.pdf"], "ends in .html"),
        (["--out", "report.html", "--sample", "3"], "runs 0 to 0"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(rollout, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(rollout), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().count("\n") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["rollout.nc"]


def test_a_file_that_is_nothing_is_told(tmp_path, capsys):
    xr.Dataset({"a": ("x", [0.0])}).to_netcdf(tmp_path / "a.nc")
    assert main(["report", str(tmp_path / "a.nc"), "--out", str(tmp_path / "r.html")]) == 2
    assert "neither a rollout" in capsys.readouterr().err
