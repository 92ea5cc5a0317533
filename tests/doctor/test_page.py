"""The page fits the terminal, says what was found, and is no markup of what a file is called."""

import io
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from mpp.data.mapping import Mapping
from mpp.doctor.examine import examine
from mpp.doctor.page import next_command, render
from mpp.doctor.report import Report


@pytest.fixture
def hard(tmp_path: Path) -> Report:
    """A file with long names, missing values, uneven times, no boundary, and a name like markup."""
    rng = np.random.default_rng(0)
    dims = ("member", "time", "latitude_of_cell", "longitude_of_cell")
    values = rng.normal(size=(3, 9, 12, 14))
    values[:, :, 3, 4] = np.nan
    long = "sea_water_potential_temperature_at_the_surface"
    data = {
        long: (dims, 280 + values, {"units": "degC"}),
        "[bold]": (dims, rng.normal(size=values.shape) * 1e-12, {"units": "kg m-2 s-1"}),
        "salinity": (("time", "depth"), np.zeros((9, 4))),
    }
    coords = {
        "time": ("time", np.arange(9.0) ** 1.5, {"units": "days since 2000-01-01"}),
        "longitude_of_cell": ("longitude_of_cell", np.linspace(0, 359, 14), {"units": "degrees"}),
    }
    path = tmp_path / "ocean surface.nc"
    xr.Dataset(data, coords).to_netcdf(path, engine="h5netcdf")
    return examine(path)


def page(report: Report, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    render(report, console)
    return console.file.getvalue().splitlines()  # type: ignore[union-attr]


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits(hard: Report, width: int):
    lines = page(hard, width)
    text = "\n".join(lines)
    assert max(len(line) for line in lines if not line.startswith("Next")) <= width
    assert len(lines) < 70
    for word in ("[bold]", "uneven", "missing", "even: [time]", "missing: mask", "boundary:", "✗"):
        assert word in text
    assert "It will not train yet." in text
    assert "It will train" not in text


def test_ends_of_a_range_are_told_apart(hard: Report):
    field = replace(hard.fields[0], low=100000.25, high=100003.5)
    lines = page(replace(hard, fields=(field,)), 120)
    assert [line for line in lines if "100000" in line and "100004" in line]
    lines = page(replace(hard, fields=(replace(field, low=3.0, high=3.0),)), 120)
    row = next(line for line in lines if " 0.60% " in line)
    assert row.split()[-4:-2] == ["3", "3"]


def test_every_finding_is_on_it(hard: Report):
    flat = " ".join(" ".join(page(hard, 120)).split())
    for finding in hard.findings:
        assert finding.check in flat
        for word in (finding.text, finding.todo):
            assert " ".join(word.split())[:60] in flat


def test_the_next_command_can_be_typed(hard: Report):
    words = shlex.split(next_command(hard))
    assert words[:2] == ["mpp", "convert"]
    assert hard.paths[0] in words
    assert words[words.index("--mapping") + 1] == "mapping.yaml"
    ready = replace(hard, findings=(), needs_mapping=False)
    words = shlex.split(next_command(ready))
    assert words[:4] == ["mpp", "finetune", "--checkpoint", "mpp-mini"]
    assert hard.paths[0] in words
    assert page(ready, 80)[-1].startswith("Next  mpp finetune")


def test_the_mapping_on_it_can_be_read(hard: Report, tmp_path: Path):
    (tmp_path / "mapping.yaml").write_text(hard.mapping, encoding="utf-8")
    mapping = Mapping.from_yaml(tmp_path / "mapping.yaml")
    assert not [p for p in examine(hard.paths[0], mapping).problems if "boundary" in p]
