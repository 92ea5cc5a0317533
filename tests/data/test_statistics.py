"""Scales take one pass at constant memory, and no bit of them depends on who read what when."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.data import statistics as module
from mpp.data import windows
from mpp.data.cluster import cluster_pool
from mpp.data.convert import write
from mpp.data.frames import Frames
from mpp.data.open import open_dataset
from mpp.data.statistics import field_scales
from mpp.data.windows import Windows
from mpp.errors import InputError
from mpp.schema import example


@pytest.fixture
def noise() -> xr.Dataset:
    """Runs whose sums depend on the order that they are taken in."""
    rng = np.random.default_rng(0)
    ds = example((7, 6), samples=4, frames=11)
    for name, size in (("tracer", 1.0), ("velocity_x", 1e4)):
        values = size * rng.lognormal(0, 3, ds[name].shape)
        ds[name] = ds[name].copy(data=values.astype("float32"))
    return ds


def masked(ds: xr.Dataset) -> xr.Dataset:
    inside = np.random.default_rng(1).random((4, 7, 6)) < 0.7
    return ds.assign(mask=(("sample", "x", "y"), inside, {"role": "mask"}))


def same(one, other) -> bool:
    return torch.equal(one.value, other.value) and torch.equal(one.change, other.change)


@pytest.mark.parametrize("changed", [lambda ds: ds, masked], ids=["whole", "masked"])
def test_no_bit_depends_on_the_blocks(noise, changed, tmp_path: Path, monkeypatch):
    ds = changed(noise)
    stored = open_dataset(write(ds, tmp_path / "a.nc"))
    whole = field_scales(ds)
    for frames in (1, 2, 3, 10, 11, 12):
        monkeypatch.setattr(module, "BLOCK_BYTES", frames * 4 * 2 * 42)
        assert module.block_frames(ds) == frames
        assert same(field_scales(stored), whole)
        assert same(Windows(ds, 2).scales(), whole)


def test_no_bit_depends_on_the_order_of_runs(noise):
    turned = noise.isel(sample=[2, 0, 3, 1])
    assert same(field_scales(turned), field_scales(noise))


@pytest.mark.parametrize("changed", [lambda ds: ds, masked], ids=["whole", "masked"])
def test_scales_are_root_mean_squares_of_values_and_changes(noise, changed, monkeypatch):
    ds = changed(noise)
    monkeypatch.setattr(module, "BLOCK_BYTES", 3 * 4 * 2 * 42)  # 11 frames as 3, 3, 3, 2
    scales = field_scales(ds)
    for number, name in enumerate(("tracer", "velocity_x")):
        values, inside = ds[name].astype("float64"), ds.get("mask", xr.ones_like(ds[name]))
        # The mean over the points of a frame first: masks may differ from run to run.
        for parts, found in ((values, scales.value), (values.diff("time"), scales.change)):
            mean = (parts**2).where(inside).mean(("x", "y")).mean()
            np.testing.assert_allclose(found[number], np.sqrt(mean), rtol=1e-6)


def test_every_frame_is_read_once(noise, tmp_path: Path, monkeypatch):
    ds = open_dataset(write(noise, tmp_path / "a.nc"))
    read: list[int] = []
    window = Frames.window

    def counted(self, run, start, stop):
        read.extend(range(start, stop))
        return window(self, run, start, stop)

    monkeypatch.setattr(Frames, "window", counted)
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * 4 * 2 * 42)
    field_scales(ds)
    assert read == list(range(11)) * 4


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_memory_does_not_follow_the_length_of_a_run(tmp_path: Path, monkeypatch, ending: str):
    # One run of 256 frames of 64 x 64 float32 numbers: 4 MiB, of which a block is 1/64.
    values = np.ones((1, 256, 64, 64), "float32")
    ds = example((64, 64), samples=1, frames=256)[["tracer"]].copy(data={"tracer": values})
    monkeypatch.setattr("mpp.data.convert.CHUNK_BYTES", 2**16)
    lazy = open_dataset(write(ds, tmp_path / f"a{ending}"))
    monkeypatch.setattr(module, "BLOCK_BYTES", 2**16)
    monkeypatch.setattr(windows, "IN_MEMORY_BYTES", 0)
    data = Windows(lazy, 2)
    tracemalloc.start()
    scales = data.scales()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scales.value[0] == 1
    assert peak < values.nbytes / 4


def test_a_value_that_is_not_finite_is_told_with_its_run(noise):
    noise["tracer"][2, 5, 1, 1] = np.inf
    with pytest.raises(InputError, match="mine, run 2: tracer holds NaN or infinite"):
        field_scales(noise, source="mine")


def test_a_dataset_outside_the_schema_is_refused(noise):
    with pytest.raises(InputError, match="mine: time: no coordinate"):
        field_scales(noise.drop_vars("time"), source="mine")


@pytest.mark.slow
def test_the_workers_of_a_cluster_give_the_same_bits(noise, tmp_path: Path):
    distributed = pytest.importorskip("distributed")
    for run in range(4):
        write(noise.isel(sample=[run]), tmp_path / f"{run}.{'nc' if run % 2 else 'zarr'}")
    ds = open_dataset(tmp_path)
    wrong = noise.copy(deep=True)
    wrong["tracer"][3, 0, 0, 0] = np.nan
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with (
        distributed.LocalCluster(**options, dashboard_address=None) as cluster,
        cluster_pool(cluster.scheduler_address) as pool,
    ):
        assert same(field_scales(ds, pool=pool), field_scales(noise))
        with pytest.raises(InputError, match="mine, run 3: tracer holds NaN"):
            field_scales(wrong, source="mine", pool=pool)
