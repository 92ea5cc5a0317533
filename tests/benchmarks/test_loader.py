"""The benchmark of reading runs, and all its readers read the same numbers."""

import json

import numpy as np
import pytest
import torch

from mpp.batch import Batch


@pytest.fixture
def loader(scripts):
    return scripts("loader")


def values(window):
    """Frames of a window with the channel second, whoever read it."""
    if isinstance(window, dict):
        both = torch.cat([window["input_fields"], window["output_fields"]])
        return np.moveaxis(both.numpy(), -1, 1)
    found = window.values if isinstance(window, Batch) else window
    return found.numpy().reshape(9, 4, 16, 16)


def test_every_reader_gives_the_same_windows(loader, tmp_path):
    loader.make(tmp_path, 2, 12, 16)
    for every in loader.CONTENDERS.values():
        opened = [opening(tmp_path) for opening in every.values()]
        assert {len(data) for data in opened} == {2 * 4}
        for number in (0, 5, 7):
            first, *others = (values(data[number]) for data in opened)
            assert all(np.array_equal(first, other) for other in others)


@pytest.mark.slow
def test_the_benchmark_runs(command):
    done = command("loader", "--quick", "--workers", "0", "--json", "-")
    assert done.status == 0
    found = json.loads(done.out)
    assert found["ratio"] > 0
    assert {row["reader"] for row in found["rates"]} == {
        "mpp", "mpp, in memory", "WellDataset", "h5py", "xarray",
    }  # fmt: skip
    assert [row["format"] for row in found["memory"]] == ["The Well", "PDEBench", "Zarr"]
    assert all(row["bytes"] > 0 for row in found["memory"])
