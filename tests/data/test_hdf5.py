"""Laws of lazy HDF5 arrays: numpy's indexing, only the slice, any process, bounded memory."""

import operator
import os
import pickle
import subprocess
import sys
from io import BytesIO
from multiprocessing import get_context

import h5py
import numpy as np
import pytest
import xarray as xr
from torch.utils.data import DataLoader

from mpp.data import hdf5
from mpp.data.hdf5 import Hdf5Array
from mpp.errors import InputError

KEYS = [
    (0, 1, slice(None), slice(None)),
    (-1, slice(-2, None), 3, slice(None, None, -2)),
    (slice(None), [2, 0, 2], slice(1, 4), 1),
    ([1], [0, 1], [4, 0], [3, 3, 0]),
    (slice(0, 0), slice(None), slice(None), 0),
    (slice(None), [], 0, slice(None)),
    (1, 2, 3, 0),
]


@pytest.fixture(params=["one dataset", "one a sample"])
def stored(request, tmp_path):
    """An array over (sample, time, x, y) whose file has (time, y, x, component) instead."""
    values = np.arange(2 * 3 * 5 * 4 * 2, dtype="f4").reshape(2, 3, 5, 4, 2)
    path, turned = str(tmp_path / "a.h5"), values.transpose(0, 1, 3, 2, 4)
    one = request.param == "one dataset"
    with h5py.File(path, "w") as file:
        if one:
            file["a"] = turned
        for sample in range(0 if one else 2):
            file[f"{sample}/a"] = turned[sample]
    names = "a" if one else ("0/a", "1/a")
    dims = (*(("sample",) if one else ()), "time", "y", "x", "component")
    sizes = {"sample": 2, "time": 3, "x": 5, "y": 4}
    return values, Hdf5Array(path, names, dims, sizes, {"component": 1}, np.dtype("f4"))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("whole", [hdf5.WHOLE_BYTES, 0])
def test_indexing_is_numpys(stored, key, whole, monkeypatch):
    values, array = stored
    monkeypatch.setattr(hdf5, "WHOLE_BYTES", whole)
    variable = xr.Variable(tuple(array.sizes), values[..., 1])
    dims = dict(zip(variable.dims, key, strict=True))
    read = array.variable({}).isel(dims)
    assert read.values.flags.writeable
    np.testing.assert_array_equal(read.values, variable.isel(dims).values)


def test_dims_that_are_not_stored_repeat_the_values(tmp_path):
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(4, dtype=">f2")
    sizes = {"sample": 3, "x": 2, "y": 4}
    variable = Hdf5Array(path, "a", ("y",), sizes, {}, np.dtype("f4")).variable({})
    expected = np.broadcast_to(np.arange(4, dtype="f4"), (3, 2, 4))
    np.testing.assert_array_equal(variable.values, expected)
    np.testing.assert_array_equal(variable[1, :, [3, 0]].values, expected[1][:, [3, 0]])
    assert variable[0].values.dtype == np.float32


def test_only_the_slice_is_read(stored, points_read):
    _, array = stored
    points_read.clear()
    variable = array.variable({})
    assert points_read == []
    variable[1, 0:2, 1:3].values  # noqa: B018  # reading is what is tested
    # 2 frames x 2 x 4 points, with both of the components that lie beside each other.
    assert sum(points_read) == 2 * 2 * 4 * 2


@pytest.mark.parametrize("kind", ["f2", "f4", ">f4", "u1", "i2", "?"])
def test_narrow_numbers_become_float32(kind):
    assert hdf5.real_dtype(np.dtype(kind), "a") == np.float32


@pytest.mark.parametrize("kind", ["f8", "i4", "i8"])
def test_wide_numbers_become_float64(kind):
    assert hdf5.real_dtype(np.dtype(kind), "a") == np.float64


def test_complex_numbers_are_refused():
    with pytest.raises(InputError, match="expected real numbers, got complex64"):
        hdf5.real_dtype(np.dtype("c8"), "a.h5: u")


def test_pickle_carries_no_values(stored):
    values, array = stored
    variable = array.variable({})
    variable.isel(time=0).values  # noqa: B018  # the file is open in this process now
    data = pickle.dumps(variable)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data).values, values[..., 1])


def test_file_that_changed_is_opened_again(stored, tmp_path):
    values, array = stored
    variable = array.variable({})
    assert variable[0, 0, 0, 0] == values[0, 0, 0, 0, 1]
    with h5py.File(tmp_path / "b.h5", "w") as new, h5py.File(array.path, "r") as old:
        for name in old:
            old.copy(name, new)
        name = array.names if isinstance(array.names, str) else array.names[0]
        new[name][...] = -1
    os.replace(tmp_path / "b.h5", array.path)
    assert variable[0, 0, 0, 0] == -1


def test_few_files_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "OPEN_FILES", 3)
    variables = []
    for number in range(6):
        path = str(tmp_path / f"{number}.h5")
        with h5py.File(path, "w") as file:
            file["a"] = np.full(4, number, "f4")
        variables.append(Hdf5Array(path, "a", ("x",), {"x": 4}, {}, np.dtype("f4")).variable({}))
    assert [int(variable[0]) for variable in variables * 2] == [*range(6)] * 2
    assert len(hdf5._handles) <= 3


def test_child_of_a_fork_has_handles_of_its_own(stored):
    values, array = stored
    variable = array.variable({})
    variable[0, 0].values  # noqa: B018  # the parent's handle is open when it forks
    child = os.fork()
    if not child:
        apart = not hdf5._handles
        same = np.array_equal(variable.values, values[..., 1])
        os._exit(0 if apart and same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(variable.values, values[..., 1])


def test_spawned_process_reads_what_the_parent_reads(stored):
    values, array = stored
    variable = array.variable({})
    variable[0, 0].values  # noqa: B018  # the parent's handle is open
    with get_context("spawn").Pool(1) as pool:
        read = pool.map(operator.attrgetter("values"), [variable[1], variable[0, :2]])
        pool.close()
        pool.join()
    np.testing.assert_array_equal(read[0], values[1, ..., 1])
    np.testing.assert_array_equal(read[1], values[0, :2, ..., 1])


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_dataloader_workers_read_what_the_parent_reads(pdebench_file, start):
    ds = xr.open_dataset(pdebench_file("diffusion_reaction"), engine="pdebench")
    ds.activator[0, 0].values  # noqa: B018  # a handle is open when the workers start
    windows = [
        ds.activator.isel(sample=s, time=slice(t, t + 2)) for s in range(3) for t in range(4)
    ]
    loader = DataLoader(
        windows,  # pyright: ignore[reportArgumentType]  # a list is a dataset
        batch_size=None,
        num_workers=2,
        collate_fn=operator.attrgetter("values"),
        multiprocessing_context=start,
    )
    truth = pdebench_file.truth["activator"].astype("f4")
    expected = [truth[s, t : t + 2] for s in range(3) for t in range(4)]
    for read, written in zip(loader, expected, strict=True):
        np.testing.assert_array_equal(read, written)


MEASURE = """
import sys
import xarray as xr
ds = xr.open_dataset(sys.argv[1], engine="pdebench")
window = ds[["velocity_x", "velocity_y", "tracer"]].isel(sample=[1], time=slice(10, 26)).load()
assert float(window.velocity_y.mean()) == 2, window
assert "torch" not in sys.modules and not ds.chunks  # dask is imported where it is there
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) // 1024)
"""


def test_memory_does_not_follow_the_size_of_the_file(tmp_path):
    # 2 x 256 x 512 x 512 points of 3 numbers of 4 bytes are 1.5 GiB; the chunks are never written,
    # so HDF5 gives the fill value and the file takes no room. A window of 16 frames is 48 MiB.
    # VmHWM is the peak of the process itself; ru_maxrss would start at that of this one.
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        options = {"chunks": (1, 1, 512, 512, 1), "dtype": "f4", "fillvalue": 2}
        file.create_dataset("velocity", (2, 256, 512, 512, 2), **options)
        file.create_dataset("particles", (2, 256, 512, 512, 1), **options)
        file["t"] = np.broadcast_to(0.1 * np.arange(256), (2, 256))
    command = [sys.executable, "-c", MEASURE, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(result.stdout) < 350  # MiB, of which the imports take about 100


def test_missing_file_and_folder_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="no such file"), hdf5.reading(str(tmp_path / "a.h5")):
        pass
    with pytest.raises(InputError, match="got a folder"), hdf5.reading(str(tmp_path)):
        pass


def test_source_that_is_no_path_is_refused():
    with pytest.raises(InputError, match="got BytesIO"):
        hdf5.local_path(BytesIO())


def test_data_damaged_after_opening_is_told(stored):
    _, array = stored
    size = os.path.getsize(array.path)
    os.truncate(array.path, size // 2)
    with pytest.raises(InputError, match="cut off"):
        array.variable({})[0].values  # noqa: B018
