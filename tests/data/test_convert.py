"""The schema survives the way to disk and back, in bounded memory, whole or not at all."""

import pickle
import threading
import tracemalloc
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mpp.data import convert as module
from mpp.data.convert import convert, write
from mpp.data.mapping import Mapping
from mpp.data.open import open_dataset
from mpp.data.spread import in_order
from mpp.errors import InputError
from mpp.schema import example


def foreign(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    ds = xr.Dataset(
        {
            "u": (("run", "t", "y", "x"), rng.normal(size=(3, 6, 4, 5))),
            "nu": ("run", [0.1, 0.2, 0.3]),
            "mask": (("y", "x"), np.ones((4, 5), "int8")),
        },
        {"t": ("t", np.arange(6.0), {"units": "Myr"}), "x": ("x", np.arange(5.0), {"units": "m"})},
        {"code": "solver 2"},
    )
    ds.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    return tmp_path / "a.nc"


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
@pytest.mark.parametrize("shape", [(8,), (8, 6), (4, 3, 5)])
def test_the_schema_survives_the_round_trip(tmp_path: Path, ending: str, shape: tuple[int, ...]):
    ds = example(shape)
    ds["mask"] = xr.Variable(ds["tracer"].dims[2:], np.ones(shape, bool), {"role": "mask"})
    again = open_dataset(write(ds, tmp_path / f"a{ending}")).load()
    # Fields are stored in float32, masks as bytes; coordinates keep all digits.
    kinds = dict.fromkeys(ds.data_vars, "float32") | {"mask": "int8"}
    xr.testing.assert_identical(again, ds.astype(kinds))


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_a_foreign_file_arrives_with_its_provenance(tmp_path: Path, ending: str):
    source = foreign(tmp_path)
    mapping = Mapping(boundary="open", names={"u": "tracer"})
    out = convert(source, tmp_path / f"b{ending}", mapping)
    ds = open_dataset(out)
    wanted = open_dataset(source, mapping=mapping)
    xr.testing.assert_allclose(ds["tracer"].load(), wanted["tracer"].astype("float32"))
    assert ds.attrs["source_files"] == "a.nc"
    assert ds.attrs["code"] == "solver 2"
    assert ds.attrs["converter"].startswith("mpp ")
    assert "tracer" in ds.attrs["mapping"]
    # What was converted needs no mapping to be read, nor to be converted again, onto itself too.
    convert(out, out, overwrite=True)
    xr.testing.assert_identical(open_dataset(out)["tracer"].load(), ds["tracer"].load())


def test_published_layouts_survive_the_round_trip(
    tmp_path: Path, layouts, pdebench_file, well_file
):
    sources = [pdebench_file(name) for name in layouts.LAYOUTS] + [well_file()]
    for number, source in enumerate(sources):
        before = open_dataset(source)
        after = open_dataset(convert(source, tmp_path / f"{number}.nc"))
        added = {"source_files", "source_format", "converter"}
        assert {k: v for k, v in after.attrs.items() if k not in added} == before.attrs
        plain = before.astype({name: after[name].dtype for name in before.data_vars})
        for name in before.variables:
            xr.testing.assert_identical(after[name].load(), plain[name].load())


def test_no_chunk_holds_more_than_one_run_or_much_more_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # A frame of 8 x 6 float32 numbers has 192 bytes, so two fit in 400.
    monkeypatch.setattr(module, "CHUNK_BYTES", 400)
    ds = example((8, 6), samples=3, frames=5)
    for ending, key in ((".nc", "chunksizes"), (".zarr", "chunks")):
        again = open_dataset(write(ds, tmp_path / f"a{ending}"))
        assert again["tracer"].encoding[key] == (1, 2, 8, 6)
        np.testing.assert_array_equal(again["tracer"], ds["tracer"].astype("float32"))


def test_memory_does_not_follow_the_size_of_the_input(tmp_path: Path):
    # 32 runs of 8 frames of 64 x 64 float32 numbers: 4 MiB, of which a chunk is 1/32.
    values = np.zeros((32, 8, 64, 64), "float32")
    ds = example((64, 64), samples=32, frames=8)[["tracer"]].copy(data={"tracer": values})
    source = write(ds, tmp_path / "a.nc")
    lazy = open_dataset(source)
    tracemalloc.start()
    write(lazy, tmp_path / "b.nc")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < values.nbytes / 4


def test_progress_is_told_up_to_the_end(tmp_path: Path):
    told: list[tuple[int, int]] = []
    write(example(), tmp_path / "a.nc", on_chunk=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path, ending: str):
    out = write(example(), tmp_path / f"a{ending}")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(2 * example(), out, overwrite=True, on_chunk=stop)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert open_dataset(out).attrs["system"] == "example"


def test_outputs_that_must_not_be_written(tmp_path: Path):
    ds = example()
    out = write(ds, tmp_path / "a.nc")
    with pytest.raises(InputError, match="exists; choose another name"):
        write(ds, out)
    with pytest.raises(InputError, match=r"end the output's name in \.nc"):
        write(ds, tmp_path / "a.csv")
    (tmp_path / "folder.nc").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write(ds, tmp_path / "folder.nc", overwrite=True)
    with pytest.raises(InputError, match="cannot make this folder"):
        write(ds, out / "below.nc")
    with pytest.raises(InputError, match="no boundary condition along x, y"):
        convert(
            foreign(tmp_path), tmp_path / "b.nc", Mapping(names={"u": "tracer"}), overwrite=True
        )


class Inline(Executor):
    """Runs a task as soon as it is handed in, on copies, as another process would have them."""

    def submit(self, fn, /, *args, **kwargs):
        done: Future = Future()
        try:
            result = pickle.loads(pickle.dumps(fn))(*pickle.loads(pickle.dumps(args)), **kwargs)
            done.set_result(result)
        except InputError as error:
            done.set_exception(error)
        return done


def stored(path: Path) -> dict[str, bytes]:
    """All bytes of a store, or of a file."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path.parent)): file.read_bytes() for file in files}


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_tasks_write_what_one_process_writes(tmp_path: Path, monkeypatch, ending: str):
    monkeypatch.setattr(module, "CHUNK_BYTES", 400)
    monkeypatch.setattr(module, "TASK_BYTES", 1000)
    source = write(example((8, 6), samples=3, frames=5), tmp_path / "source.nc")
    ds = open_dataset(source)
    ds["tracer"] = ds["tracer"].where(ds["tracer"] > 1, 0)  # in memory, beside lazy ones
    told: list[tuple[int, int]] = []
    one = write(ds, tmp_path / "one" / f"a{ending}")
    many = write(
        ds,
        tmp_path / "many" / f"a{ending}",
        pool=Inline(),
        on_chunk=lambda done, total: told.append((done, total)),
    )
    assert told[-1][0] == told[-1][1]
    if ending == ".zarr":
        assert stored(many) == stored(one)
    xr.testing.assert_identical(open_dataset(many).load(), open_dataset(one).load())
    assert [list(v.attrs) for v in open_dataset(many).variables.values()] == [
        list(v.attrs) for v in open_dataset(one).variables.values()
    ]


def test_a_failing_task_leaves_nothing(tmp_path: Path):
    ds = example((8, 6)).copy(deep=True)
    ds["tracer"][-1, -1] = 1e300
    for ending in (".nc", ".zarr"):
        with pytest.raises(InputError, match="tracer holds values beyond float32"):
            write(ds, tmp_path / f"a{ending}", pool=Inline())
    assert list(tmp_path.iterdir()) == []


def test_few_tasks_are_ahead_and_none_left_when_it_ends():
    class Slow(Executor):
        def __init__(self) -> None:
            self.futures: list[Future] = []

        def submit(self, fn, /, *args, **kwargs):
            self.futures.append(Future())
            threading.Timer(0.02, lambda f=self.futures[-1]: f.set_result(args[0])).start()
            return self.futures[-1]

    pool = Slow()
    results = in_order(pool, print, ((number,) for number in range(100)), ahead=3)
    assert [next(results) for _ in range(5)] == list(range(5))
    assert len(pool.futures) == 5 + 3
    results.close()
    assert all(future.done() for future in pool.futures)
    assert len(pool.futures) == 5 + 3
    assert list(in_order(pool, print, ((n,) for n in range(7)), ahead=3)) == list(range(7))


def test_a_worker_that_does_not_see_the_output_says_so(tmp_path: Path):
    place = [(slice(None),)]
    with pytest.raises(InputError, match=r"does not see this folder; give --out a place that all"):
        module._put(str(tmp_path / "a.zarr"), "x", place, [example()["x"].variable], np.dtype("f8"))
