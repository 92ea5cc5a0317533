"""Files in the published layouts, for every test of the readers."""

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest


def load(name):
    """A module that lies beside this file; test folders are no packages."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def layouts():
    """The functions that write files."""
    return load("layouts")


@pytest.fixture(scope="session")
def solvers():
    """The solutions that are in them."""
    return load("solvers")


@pytest.fixture(scope="session")
def zoo():
    """The functions that write awkward files."""
    return load("zoo")


@pytest.fixture
def pdebench_file(tmp_path, layouts, solvers):
    """Writes a layout by name, ``pdebench_file("burgers")``, and returns its path.

    Names: those in ``layouts.LAYOUTS``, and ``darcy``. ``pdebench_file.truth`` then holds what was
    written, by the names in the schema.
    """
    return layouts.Pdebench(tmp_path, solvers)


@pytest.fixture
def well_file(tmp_path, layouts, solvers):
    """Writes a file in The Well's format, ``well_file("name.hdf5")``, and returns its path."""

    def write(name="euler_toy.hdf5", **changes):
        return layouts.write_well(tmp_path / name, solvers, **changes)

    return write


@pytest.fixture
def points_read(monkeypatch):
    """How many points each read of an HDF5 dataset gave, in turn, from here on."""
    read = []
    plain = h5py.Dataset.__getitem__

    def counting(self, key, **options):
        part = plain(self, key, **options)
        read.append(np.size(part))
        return part

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counting)
    return read
