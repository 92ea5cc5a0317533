"""Any path, recognised by content, opened lazily, whoever reads it."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch.utils.data import DataLoader

from mpp.batch import Batch
from mpp.data import windows
from mpp.data.lazy import join, view
from mpp.data.open import open_dataset
from mpp.errors import InputError
from mpp.model.surrogate import Persistence
from mpp.rollouts import rollout
from mpp.schema import example, names, validate


def piece(start: float = 0, frames: int = 4, points: int = 6, seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    times = start + np.arange(frames)
    return xr.Dataset(
        {
            "rho": (("t", "y", "x"), rng.normal(size=(frames, 5, points)).astype("float32")),
            "nu": ((), 0.1 + seed),
        },
        {
            "t": ("t", times.astype(float), {"units": "t_star"}),
            "x": ("x", np.arange(float(points)), {"units": "m"}),
        },
    )


def write(ds: xr.Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zarr":
        ds.to_zarr(path, consolidated=False)
    elif path.suffix == ".cdf":
        ds.to_netcdf(path, format="NETCDF3_64BIT", engine="netcdf4")
    else:
        ds.to_netcdf(path, engine="netcdf4")
    return path


@pytest.fixture(params=["a.nc", "a.cdf", "a.zarr"])
def plain_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(piece(), tmp_path / request.param)


def test_each_plain_format_opens_lazily_with_its_values(plain_file: Path):
    ds = open_dataset(plain_file, boundary="periodic")
    assert "density" in ds
    assert not ds["density"].variable._in_memory
    assert ds["density"].dims == ("sample", "time", "x", "y")
    wanted = piece()["rho"].transpose("t", "x", "y").values[None]
    np.testing.assert_array_equal(ds["density"].values, wanted)
    assert not ds["density"].isel(time=slice(1, 3)).variable._in_memory


def test_names_do_not_matter_content_does(tmp_path: Path):
    path = write(piece(), tmp_path / "a.nc").rename(tmp_path / "results of tuesday.dat")
    assert open_dataset(path, boundary="open").sizes["x"] == 6


def test_times_that_cf_does_not_know_stay_numbers(plain_file: Path):
    time = open_dataset(plain_file, boundary="open")["time"]
    assert time.dtype == np.float64
    assert time.attrs["units"] == "t_star"


def test_packed_values_are_unpacked(tmp_path: Path):
    ds = piece()
    ds["rho"].encoding = {"dtype": "int16", "scale_factor": 0.001, "_FillValue": -32768}
    ds["rho"][0, 0, 0] = np.nan
    read = open_dataset(write(ds, tmp_path / "a.nc"), boundary="open")["density"]
    # The packing keeps three decimals.
    np.testing.assert_allclose(read[0, :, :, :].values.transpose(0, 2, 1), ds["rho"], atol=6e-4)


def test_the_schema_keeps_everything_without_a_mapping(tmp_path: Path):
    ds = example()
    ds["truth_tracer"] = ds["tracer"].assign_attrs(role="truth")
    ds = ds.assign_coords(step=("time", np.arange(5)))
    opened = open_dataset(write(ds, tmp_path / "a.nc"))
    xr.testing.assert_identical(opened.load(), ds)


def test_pieces_in_time_are_joined_in_the_order_of_time(tmp_path: Path):
    folder = tmp_path / "my runs"
    for number in range(12):
        write(piece(4 * number, seed=0), folder / f"out_{number}.nc")
    for path in (folder, folder / "out_*.nc", sorted(folder.glob("*.nc"))):
        ds = open_dataset(path, boundary="open")
        assert ds["time"].values.tolist() == list(range(48))
        assert not ds["density"].variable._in_memory
    across = ds["density"].isel(time=[47, 3, 4], sample=0).values
    want = piece()["rho"].transpose("t", "x", "y").values
    np.testing.assert_array_equal(across, want[[3, 3, 0]])


def test_pieces_with_their_own_reference_dates_are_counted_from_the_first(tmp_path: Path):
    for number, date in enumerate(("2000-01-01", "2000-01-05")):
        ds = piece()
        ds["t"].attrs["units"] = f"days since {date}"
        write(ds, tmp_path / f"{number}.nc")
    time = open_dataset(tmp_path, boundary="open")["time"]
    assert time.values.tolist() == list(range(8))
    assert time.attrs["units"] == "days"


def test_files_with_the_same_times_are_runs(tmp_path: Path):
    for seed in range(3):
        write(piece(seed=seed), tmp_path / f"run{seed}.nc")
    ds = open_dataset(tmp_path, boundary="open")
    assert ds.sizes["sample"] == 3
    # nu is 0.1 + seed, one a file.
    np.testing.assert_allclose(ds["nu"], [0.1, 1.1, 2.1], rtol=1e-6)
    want = piece(seed=2)["rho"].transpose("t", "x", "y").values
    np.testing.assert_array_equal(ds["density"].isel(sample=2).values, want)


def test_runs_in_pieces(tmp_path: Path):
    for seed in range(2):
        for start in (0, 4):
            write(piece(start, seed=seed), tmp_path / f"run{seed}_{start}.nc")
    ds = open_dataset(tmp_path, boundary="open")
    assert (ds.sizes["sample"], ds.sizes["time"]) == (2, 8)


def test_a_split_of_a_folder_in_the_layout_of_the_well(tmp_path: Path):
    for number, split in enumerate(("train", "valid", "test")):
        write(piece(seed=number), tmp_path / "data" / split / "a.nc")
    assert float(open_dataset(tmp_path, boundary="open")["nu"]) == pytest.approx(0.1)
    assert float(open_dataset(tmp_path, boundary="open", split="test")["nu"]) == pytest.approx(2.1)


def test_a_mapping_file_and_single_entries_over_it(tmp_path: Path):
    (tmp_path / "m.yaml").write_text("boundary: {x: wall}\nsystem: pipe\n", encoding="utf-8")
    path = write(piece(), tmp_path / "a.nc")
    ds = open_dataset(path, mapping=tmp_path / "m.yaml", boundary={"y": "open"})
    assert ds.attrs["system"] == "pipe"
    assert (ds["x"].attrs["boundary"], ds["y"].attrs["boundary"]) == ("wall", "open")


def test_pickled_datasets_read_the_same(plain_file: Path):
    ds = open_dataset(plain_file, boundary="open")
    again = pickle.loads(pickle.dumps(ds))
    assert not again["density"].variable._in_memory
    np.testing.assert_array_equal(again["density"].values, ds["density"].values)


def _read_by_workers(path: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Windows comes from the package: a spawned worker does not find what a test module defines.
    monkeypatch.setattr(windows, "IN_MEMORY_BYTES", 0)
    frames = windows.Windows(open_dataset(path, boundary="open"), frames=2)
    here = torch.cat([frames[index].values for index in range(len(frames))])
    loader = DataLoader(
        frames, collate_fn=Batch.collate, num_workers=2, multiprocessing_context=method
    )
    assert torch.equal(torch.cat([batch.values for batch in loader]), here)


def test_forked_workers_read_what_the_parent_has_open(plain_file: Path, monkeypatch):
    _read_by_workers(plain_file, "fork", monkeypatch)


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_an_ensemble_is_refused_and_one_member_of_it_is_not(tmp_path: Path, ending: str):
    ds = example(frames=9)
    path, start = tmp_path / f"e.{ending}", ds.isel(time=slice(0, 5))
    made = rollout(Persistence(), start, 3, truth=ds, members=2, perturb=0.1, out=path)
    with pytest.raises(InputError, match=r"member: an ensemble of 2 members.*select: {member: 0}"):
        open_dataset(path)
    one = open_dataset(path, select={"member": 1})
    assert validate(one) == []
    xr.testing.assert_equal(one["tracer"], made["tracer"].isel(member=1, drop=True))
    assert names(one, "truth") == ("truth_tracer", "truth_velocity_x")


@pytest.mark.slow
def test_spawned_workers(plain_file: Path, monkeypatch):
    _read_by_workers(plain_file, "spawn", monkeypatch)


@pytest.mark.parametrize(
    "key",
    [
        (0,),
        (slice(None), 1, slice(2, 5)),
        (0, [2, 0], slice(None, None, -2), 3),
        ([0, 0], slice(1, 3), [1, 5, 3], slice(None), -1),
        (0, slice(3, 3)),
    ],
)
def test_a_view_indexes_as_the_array_it_shows(key: tuple):
    values = np.random.default_rng(0).normal(size=(3, 10, 6, 8))
    source = xr.Variable(("run", "t", "y", "x"), values)
    made = view(source, ("new", "run", "t", "x", "y"), np.dtype("float32"))
    whole = xr.Variable(made.dims, values.transpose(0, 1, 3, 2)[None].astype("float32"))
    np.testing.assert_array_equal(made[key].values, whole[key].values)


@pytest.mark.parametrize(
    "key",
    [(0,), (slice(None), 11), (0, [13, 2, 10, 3], 2), (0, slice(None, None, -3), [1, 3]), (0, -1)],
)
def test_joined_parts_index_as_one_array(key: tuple):
    values = np.random.default_rng(0).normal(size=(3, 14, 6))
    whole = xr.Variable(("run", "t", "x"), values)
    made = join([whole[:, :4], whole[:, 4:5], whole[:, 5:]], "t")
    np.testing.assert_array_equal(made[key].values, whole[key].values)
    assert made[0, 3:3].values.shape == (0, 6)


def damaged(path: Path, source: Path, share: float) -> Path:
    content = source.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path):
    def refused(path: Path | str | list, message: str, **overrides: object) -> None:
        with pytest.raises(InputError, match=message) as error:
            open_dataset(path, **{"boundary": "open", **overrides})
        assert "\n" not in str(error.value)

    whole, classic = write(piece(), tmp_path / "a.nc"), write(piece(), tmp_path / "a.cdf")
    refused(damaged(tmp_path / "cut.h5", whole, 0.6), "cut off")
    refused(damaged(tmp_path / "cut.cdf", classic, 0.6), "cut off")
    (tmp_path / "empty.nc").touch()
    refused(tmp_path / "empty.nc", "empty .0 bytes")
    (tmp_path / "text.nc").write_text("time, u\n0, 1\n", encoding="utf-8")
    refused(tmp_path / "text.nc", "got text that starts with 'time, u'")
    (tmp_path / "noise").write_bytes(bytes(range(128, 250)))
    refused(tmp_path / "noise", "got bytes that start with 80 81")
    np.save(tmp_path / "a.npy", np.zeros(3))
    refused(tmp_path / "a.npy", "a NumPy array")
    refused(tmp_path / "absent.nc", "no such file or folder")
    refused(str(tmp_path / "*.absent"), "no file matches")
    refused([], "no path was given")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "readme.md").write_text("hello", encoding="utf-8")
    refused(folder, "it holds readme.md")
    still = write(piece().isel(t=0, drop=True), tmp_path / "still.nc")
    refused(still, "no time axis among its dims")
    with pytest.raises(InputError, match="no boundary condition along x, y"):
        open_dataset(whole)
    with pytest.raises(InputError, match="unknown key boundry"):
        open_dataset(whole, boundry="open")
    other = write(piece(points=7), tmp_path / "b.nc")
    refused([whole, other], r"mixed grids: x has 6 points in .*a\.nc but 7 in .*b\.nc")
    late = write(piece(start=2), tmp_path / "c.nc")
    refused([whole, late], "neither the same nor one after the other")
    refused([whole, late], "must share their times", join="sample")
    more = write(piece().assign(p=piece()["rho"]), tmp_path / "d.nc")
    refused([whole, more], "differ in variables: only one of them has pressure")
