"""What the matrix of bad input shares."""

import importlib.util
import sys
from pathlib import Path

import pytest


def load(name):
    """A module that lies beside this file; test folders are no packages."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"faults_{name}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def files():
    """The functions that write files."""
    return load("files")


@pytest.fixture(scope="session")
def bench():
    """How to call commands."""
    return load("desk")


@pytest.fixture(scope="session")
def desk(bench, waves, tmp_path_factory):
    """All that commands need."""
    return bench.make(tmp_path_factory.mktemp("desk"), waves)


@pytest.fixture(scope="session")
def formats(files):
    """Every format by name."""
    return files.FORMATS


@pytest.fixture(scope="session")
def held(files):
    """What the files hold."""
    return files.runs()
