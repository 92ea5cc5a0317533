"""The schema survives the way to disk and back, in bounded memory, whole or not at all."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mpp.data import convert as module
from mpp.data.convert import convert, write
from mpp.data.mapping import Mapping
from mpp.data.open import open_dataset
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
