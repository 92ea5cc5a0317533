"""No experiment trains on a system that is there to transfer to."""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from mpp.data.system import load_system

ROOT = Path(__file__).parents[1]
SYSTEMS = [load_system(spec.parent) for spec in sorted(ROOT.glob("datasets/*/spec.yaml"))]
TRANSFER = {system.name for system in SYSTEMS if system.purpose == "transfer"}
EXPERIMENTS = sorted(
    path for ending in ("yaml", "yml") for path in ROOT.glob(f"experiments/**/*.{ending}")
)


def data_of(config: Any) -> Iterator[str]:
    """Every path under a key ``data``, at any depth, in lists, keys and values."""
    if isinstance(config, dict):
        for key, value in config.items():
            yield from strings(value) if key == "data" else data_of(value)
    elif isinstance(config, list):
        for value in config:
            yield from data_of(value)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, str):
            yield part
        elif isinstance(part, (list, dict)):
            yield from strings(part)


def transfer_data(text: str) -> list[str]:
    """The paths of a configuration that name a transfer system, patterns such as ``wave_*`` too."""
    return [
        path
        for path in data_of(yaml.safe_load(text))
        for stem in [Path(path).stem]
        if stem.strip("*?") and any(fnmatch(name, stem) for name in TRANSFER)
    ]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_experiment_trains_on_a_system_to_transfer_to(path: Path) -> None:
    assert transfer_data(path.read_text(encoding="utf-8")) == []


def test_there_are_experiments_and_systems_of_both_purposes() -> None:
    assert EXPERIMENTS
    assert set() < TRANSFER < {system.name for system in SYSTEMS}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("data: runs/wave_equation.nc", ["runs/wave_equation.nc"]),
        ("data: [a/burgers.nc, a/test/cahn_hilliard.zarr]", ["a/test/cahn_hilliard.zarr"]),
        ("stages:\n  - data:\n      - x/swift_hoh*.nc", ["x/swift_hoh*.nc"]),
        ("data: {suite/kuramoto_sivashinsky.nc: 2.0}", ["suite/kuramoto_sivashinsky.nc"]),
        ("data: [{path: x/wave_equation.nc, weight: 1}]", ["x/wave_equation.nc"]),
        ("data: [suite/*.nc, a/burgers.nc]\nmodel: wave_equation", []),
    ],
)
def test_a_made_up_experiment_is_found_out(text: str, found: list[str]) -> None:
    assert transfer_data(text) == found
