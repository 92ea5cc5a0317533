"""The command: a readable report, JSON, and a status that says whether it will train."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.cli import doctor
from mpp.cli.main import main
from mpp.model.axial import AxialTransformer
from mpp.schema import example
from mpp.weights import save


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def test_a_file_that_will_train(tmp_path: Path, wide: None, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "a b.nc"
    example().to_netcdf(path, engine="netcdf4")
    assert main(["doctor", str(path)]) == 0
    captured = capsys.readouterr()
    for word in ("NetCDF-4, 1 file", "tracer", "wall open", "It will train", "mpp finetune"):
        assert word in captured.out
    assert "Mapping" not in captured.out
    assert f"--data '{path}'" in captured.out
    assert max(map(len, captured.out.splitlines()[:-1])) <= 100


def test_a_file_without_boundaries_prints_the_mapping_and_fails(
    tmp_path: Path, wide: None, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "a.nc"
    ds = xr.Dataset({"u": (("t", "y", "x"), np.random.default_rng(0).normal(size=(4, 5, 6)))})
    ds.to_netcdf(path, engine="netcdf4")
    saved = tmp_path / "mapping.yaml"
    assert main(["doctor", str(path), "--save-mapping", str(saved)]) == 2
    captured = capsys.readouterr()
    shown = [line.strip() for line in captured.out.splitlines()]
    assert [line for line in saved.read_text().split("\n") if line.strip() not in shown] == []
    assert "will not train yet: no boundary condition along x, y" in captured.err
    assert captured.err.count("\n") == 1
    assert main(["doctor", str(path), "--boundary", "open"]) == 0
    assert main(["doctor", str(path), "--mapping", str(saved)]) == 0
    assert main(["doctor", str(path), "--save-mapping", str(saved)]) == 2
    assert "give --save-mapping another name" in capsys.readouterr().err


def test_the_checkpoint_and_the_precision_reach_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    torch.manual_seed(0)
    small = {"history": 2, "width": 32, "heads": 2, "depth": 1, "hidden": 16, "local_out": 1}
    save(AxialTransformer(["tracer"], **small), tmp_path / "small")
    path, checkpoint = tmp_path / "a.nc", str(tmp_path / "small")
    example(samples=3, frames=9).to_netcdf(path, engine="netcdf4")
    words = ["doctor", str(path), "--checkpoint", checkpoint, "--precision", "bf16-mixed", "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["checkpoint"]["known"] == ["tracer"]
    assert found["checkpoint"]["new"] == ["velocity_x"]
    assert found["checkpoint"]["cost"]["precision"] == found["precision"] == "bf16-mixed"
    assert found["next"] == (
        f"mpp finetune --checkpoint {checkpoint} --data {path} --out finetuned "
        "--precision bf16-mixed"
    )
    assert main(["doctor", str(path), "--checkpoint", "nowhere"]) == 2
    captured = capsys.readouterr()
    assert "nowhere: expected a checkpoint folder" in captured.err
    assert captured.err.count("\n") == 1


def test_keys_of_the_json_are_those_that_are_documented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "a.nc"
    example().to_netcdf(path, engine="netcdf4")
    assert main(["doctor", str(path), "--json"]) == 0
    documented = set(re.findall(r"``(\w+)``", doctor.__doc__ or ""))
    assert set(json.loads(capsys.readouterr().out)) <= documented


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "a.nc"
    example().to_netcdf(path, engine="netcdf4")
    assert main(["doctor", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] is True
    assert [axis["boundary"] for axis in found["axes"]] == ["periodic", "wall open"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello\n", "got text"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    assert main(["doctor", str(path)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
