"""What a block of values costs to read, against chunks counted one by one; reads stay small."""

import sys
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from mpp.data.convert import convert
from mpp.data.mapping import Mapping
from mpp.data.open import read
from mpp.doctor import sampled, storage, twins
from mpp.doctor.examine import examine
from mpp.doctor.layout import PAGE, Stored, cost, stored

SHAPE = (6, 32, 24, 16)
LARGE = (16, 64, 64, 64)
DIMS = ("run", "t", "x", "y")


def hdf5(
    path: Path,
    chunks: tuple[int, ...] | None,
    order: str = "run t x y",
    shape: tuple[int, ...] = SHAPE,
    **options,
) -> Path:
    """A file of HDF5 with named dims, its values in the given order."""
    sizes = dict(zip(DIMS, shape, strict=True))
    dims = order.split()
    values = np.random.default_rng(0).normal(size=[sizes[dim] for dim in dims]).astype("f4")
    with h5py.File(path, "w") as file:
        for dim, size in sizes.items():
            file[dim] = np.arange(float(size))
            file[dim].make_scale(dim)
        made = file.create_dataset("u", data=values, chunks=chunks, **options)
        for place, dim in enumerate(dims):
            made.dims[place].attach_scale(file[dim])
    return path


def opened(path: Path) -> xr.Dataset:
    return read(path, Mapping(boundary="periodic")).ds


def test_a_frame_in_one_piece_costs_itself(tmp_path: Path):
    ds = opened(hdf5(tmp_path / "a.nc", None))
    frame = 4 * 24 * 16
    assert cost(ds, {"sample": 1, "time": 1}) == frame
    assert cost(ds, {"sample": 1, "time": 5}) == 5 * frame
    # Time last: each number of a frame lies apart from the next, a page is read for each of them,
    # and no more than there is.
    ds = opened(hdf5(tmp_path / "b.nc", None, "run x y t"))
    assert cost(ds, {"sample": 1, "time": 1}) == min(24 * 16 * PAGE, ds["u"].nbytes)


@pytest.mark.parametrize("chunks", [(1, 32, 24, 16), (2, 4, 24, 16), (6, 8, 5, 16), (1, 1, 7, 16)])
def test_chunks_are_counted(chunks: tuple[int, ...]):
    whole = Stored(("sample", "time", "x", "y"), SHAPE, chunks, 4)
    for length in (1, 2, 4, 32):
        counted = []
        for run, start in product(range(SHAPE[0]), range(SHAPE[1] - length + 1)):
            # Chunks that hold a frame of the block, or a part of one.
            times = {time // chunks[1] for time in range(start, start + length)}
            space = -(-SHAPE[2] // chunks[2]) * -(-SHAPE[3] // chunks[3])
            counted.append(len({run // chunks[0]}) * len(times) * space)
        mean = np.mean(counted) * 4 * np.prod(chunks)
        # Starts near the ends of the runs cross fewer edges, hence not the same number.
        assert whole.touched({"sample": 1, "time": length}) == pytest.approx(mean, rel=0.15)
        assert whole.touched({"sample": 1, "time": length}) >= 4 * length * 24 * 16


def test_layouts_are_found_behind_every_reader(tmp_path: Path):
    packed = hdf5(tmp_path / "a.nc", (1, 4, 24, 16), compression="gzip")
    found = stored(opened(packed)["u"].variable)
    assert found == Stored(("sample", "time", "x", "y"), SHAPE, (1, 4, 24, 16), 4, True)
    found = stored(opened(hdf5(tmp_path / "b.nc", None, "run x y t"))["u"].variable)
    assert found == Stored(("sample", "x", "y", "time"), (6, 24, 16, 32), (), 4, False)
    group = zarr.create_group(tmp_path / "c.zarr")
    group.create_array(
        "u", data=np.zeros(SHAPE, "f4"), chunks=(1, 2, 24, 16), shards=(1, 8, 24, 16),
        dimension_names=DIMS, compressors=None,
    )  # fmt: skip
    found = stored(opened(tmp_path / "c.zarr")["u"].variable)
    # A shard is no more than a file: chunks in it are read one by one.
    assert found == Stored(("sample", "time", "x", "y"), SHAPE, (1, 2, 24, 16), 4, False)
    joined = tmp_path / "runs"
    joined.mkdir()
    for number in range(2):
        hdf5(joined / f"{number}.nc", (3, 4, 24, 16))
    found = stored(opened(joined)["u"].variable)
    assert found is not None
    assert found.chunks == (3, 4, 24, 16)
    assert stored(xr.Variable(("x",), np.zeros(3))) is None


def test_chunks_across_runs_are_told_where_data_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(storage, "IN_MEMORY_BYTES", 1000)
    across = examine(hdf5(tmp_path / "a.nc", (6, 32, 4, 4)), Mapping(boundary="periodic"))
    (told,) = [f for f in across.findings if f.check == "storage"]
    # A window of 17 of 32 frames of one run of six, and every chunk is needed for it.
    assert across.storage.overhead == pytest.approx(6 * 32 / 17)
    # Converted, a run of 48 KiB is one chunk.
    assert across.storage.converted == pytest.approx(32 / 17)
    assert told.level == "warning"
    assert "chunks of 6×32×4×4" in told.text
    assert "mpp convert" in told.todo
    frames = examine(hdf5(tmp_path / "b.nc", (1, 1, 24, 16)), Mapping(boundary="periodic"))
    (told,) = [f for f in frames.findings if f.check == "storage"]
    assert frames.storage.overhead == 1
    assert told.level == "ok"
    assert frames.storage.windows_per_second > 0


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_what_converting_brings_is_what_it_brought(tmp_path: Path, ending: str):
    mapping = Mapping(boundary="periodic")
    path = hdf5(tmp_path / "a.nc", (6, 32, 4, 4))
    made = convert(path, tmp_path / f"out{ending}", mapping)
    assert examine(made).storage.overhead == pytest.approx(examine(path, mapping).storage.converted)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts the bytes that a process reads")
@pytest.mark.parametrize(
    ("chunks", "order"),
    [(None, "run t x y"), (None, "run x y t"), ((4, 16, 16, 16), "run t x y")],
)
def test_little_of_a_large_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: tuple[int, ...] | None, order: str
):
    bounds = ((sampled, "SAMPLED_BYTES"), (sampled, "MOST_BYTES"), (storage, "MEASURED_BYTES"),
              (twins, "COMPARED_BYTES"), (sampled, "WHOLE_BYTES"))  # fmt: skip
    for module, name in bounds:
        monkeypatch.setattr(module, name, 2**18)
    path = hdf5(tmp_path / "a.nc", chunks, order, LARGE)
    examine(hdf5(tmp_path / "b.nc", None), Mapping(boundary="periodic"))  # imports read as well
    before = _read()
    report = examine(path, Mapping(boundary="periodic"))
    # HDF5 reads 64 KiB where it is asked for less, hence not four times 2^18 alone.
    assert _read() - before < path.stat().st_size / 3
    assert 0 < report.sampling.share < 0.02


def _read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


def test_large_frames_are_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = hdf5(tmp_path / "a.nc", None, shape=LARGE)
    # Two frames of 64 x 64 numbers of 4 bytes, of which half must do.
    monkeypatch.setattr(sampled, "SAMPLED_BYTES", 64 * 64 * 4)
    report = examine(path, Mapping(boundary="periodic"))
    assert report.sampling.part == {"x": [16, 48]}
    assert (report.sampling.frames, report.sampling.nbytes) == (2, 64 * 64 * 4)
    with h5py.File(path) as file:
        part = file["u"][8, 31:33, 16:48]  # the run and the pair of frames in the middle
    assert report.fields[0].low == part.min()
    assert report.fields[0].high == part.max()
    # Lines along y lie together and tell of the sides, noise jumps there as elsewhere; for those
    # along x 64 pages would have to be read.
    assert [axis.sides for axis in report.axes] == ["unknown", "wraps"]
