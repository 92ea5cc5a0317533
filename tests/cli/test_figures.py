"""Laws of the command: pictures and their paths, one line for a mistake."""

import numpy as np
import pytest
import xarray as xr

from mpp import schema
from mpp.cli.main import main


@pytest.fixture
def runs(tmp_path):
    path = tmp_path / "runs.nc"
    schema.example((6, 4), samples=1, frames=1).drop_vars("velocity_x").to_netcdf(path)
    return path


def test_it_draws_and_says_where(runs, tmp_path, capsys):
    assert main(["figures", str(runs), "--out", str(tmp_path / "out")]) == 0
    picture = tmp_path / "out" / "sheet_tracer.png"
    assert capsys.readouterr().out.strip() == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_format_and_overwrite(runs, tmp_path, capsys):
    words = ["figures", str(runs), "--out", str(tmp_path / "out"), "--format", "pdf"]
    assert main(words) == 0
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert (tmp_path / "out" / "sheet_tracer.pdf").read_bytes().startswith(b"%PDF")


def test_a_mistake_is_one_line_and_status_2(tmp_path, capsys):
    text, empty, other = tmp_path / "text.nc", tmp_path / "empty.nc", tmp_path / "other.nc"
    text.write_text("not a picture of anything")
    empty.write_bytes(b"")
    xr.Dataset({"a": ("x", np.zeros(3))}).to_netcdf(other)
    cases = {
        text: "cannot be read as nc",
        empty: "cannot be read as nc",
        other: "neither a rollout, an evaluation nor runs",
        tmp_path / "none.nc": "no such file",
    }
    for path, message in cases.items():
        assert main(["figures", str(path), "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert path.name in error
        assert error.strip().count("\n") == 0
    assert not (tmp_path / "out").exists()


def test_a_file_as_out_is_refused(runs, capsys):
    assert main(["figures", str(runs), "--out", str(runs)]) == 2
    assert "is a file" in capsys.readouterr().err


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["figures", "--help"])
    assert ended.value.code == 0
    assert "example:\n  mpp figures rollout.nc --out figures --animate" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["energy", "=tracer", "energy="])
def test_a_quantity_has_a_name_and_an_expression(runs, tmp_path, capsys, word):
    words = ["figures", str(runs), "--out", str(tmp_path / "out"), "--quantity", word]
    assert main(words) == 2
    assert "NAME=EXPRESSION" in capsys.readouterr().err
