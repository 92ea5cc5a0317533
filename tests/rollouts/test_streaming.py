"""Laws of frames that are written as they come: the same numbers, bounded memory, nothing lost."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mpp.errors import InputError
from mpp.model.surrogate import Persistence
from mpp.rollouts import rollout
from mpp.rollouts.stores import undisturbed
from mpp.schema import example, validate

ENDINGS = ("nc", "zarr")


@pytest.fixture
def runs():
    ds = example((8, 6), samples=3, frames=12)
    ds["bathymetry"] = ds["tracer"].isel(time=0).assign_attrs(role="static")
    ds["mask"] = xr.ones_like(ds["tracer"][0, 0], bool).assign_attrs(role="mask", units="1")
    ds["gravity"] = xr.Variable((), 9.81, {"role": "parameter", "units": "m s-2"})
    ds["time"].attrs["since"] = "2000-01-01"
    return ds.assign_coords(sample=[3, 5, 8])


@pytest.fixture(params=[2, 10**6], ids=["small blocks", "one block"])
def blocks(request, monkeypatch):
    """Frames of 8 x 6 points that are put at once."""
    monkeypatch.setattr("mpp.rollouts.stores.BLOCK_BYTES", request.param * 4 * 48)


def start(ds: xr.Dataset) -> xr.Dataset:
    return ds.isel(time=slice(0, 4))


def lasting(ds: xr.Dataset) -> dict:
    return {key: value for key, value in ds.attrs.items() if key != "created"}


class At:
    """Presses Ctrl-C after so many steps."""

    def __init__(self, step):
        self.step = step

    def __call__(self, done, total):
        if done == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("members", [1, 3])
def test_streamed_is_what_is_in_memory_to_the_bit(network, runs, tmp_path, ending, members, blocks):
    options = {"truth": runs, "members": members, "perturb": 0.1, "batch_size": 2}
    whole = rollout(network, start(runs), 7, **options)
    streamed = rollout(network, start(runs), 7, **options, out=tmp_path / f"x.{ending}")
    xr.testing.assert_equal(streamed, whole)
    assert lasting(streamed) == lasting(whole)
    for name, variable in whole.variables.items():
        assert streamed[name].attrs == variable.attrs
        assert streamed[name].dims == variable.dims
        assert streamed[name].dtype == ("int8" if variable.dtype == bool else variable.dtype)
    # What xarray itself makes of the file is the same.
    with xr.open_dataset(tmp_path / f"x.{ending}", decode_times=False) as opened:
        xr.testing.assert_equal(opened, whole)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("shape", [(8,), (4, 4, 4)])
def test_lines_and_cubes_are_streamed_as_well(tmp_path, ending, shape):
    ds = example(shape, samples=3, frames=8)
    options = {"truth": ds, "batch_size": 2}
    whole = rollout(Persistence(), start(ds), 4, **options)
    streamed = rollout(Persistence(), start(ds), 4, **options, out=tmp_path / f"x.{ending}")
    xr.testing.assert_equal(streamed, whole)


@pytest.mark.parametrize(
    ("batch_size", "members", "seen"), [(1, 1, 1), (2, 1, 2), (100, 1, 9), (4, 3, 3), (2, 3, 2)]
)
def test_no_more_runs_are_stepped_at_once_than_was_said(runs, tmp_path, batch_size, members, seen):
    class Counting(Persistence):
        seen = 0

        def forward(self, batch):
            self.seen = max(self.seen, batch.samples)
            return batch.values

    model, many = Counting(), runs.isel(sample=[0, 1, 2] * 3).drop_vars("sample")
    options = {"batch_size": batch_size, "members": members, "perturb": 0.1}
    made = rollout(model, start(many), 2, out=tmp_path / "x.zarr", **options)
    assert model.seen == seen  # whole samples with their members, where these fit
    assert made["tracer"].notnull().all()


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_file_is_read_only_when_asked(runs, tmp_path, ending):
    streamed = rollout(Persistence(), start(runs), 3, out=tmp_path / f"x.{ending}")
    assert not streamed["tracer"].variable._in_memory
    assert validate(streamed) == []
    assert [path.name for path in tmp_path.iterdir()] == [f"x.{ending}"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("step", [1, 4, 5, 6])
def test_an_interrupt_keeps_the_first_frames_of_an_undisturbed_rollout(
    network, runs, tmp_path, ending, step, blocks
):
    out = tmp_path / f"x.{ending}"
    whole = rollout(network, start(runs), 6, truth=runs)
    with pytest.raises(
        KeyboardInterrupt, match=f"interrupted after samples 0 to 2, step {step} of 6"
    ):
        rollout(network, start(runs), 6, None, At(step), truth=runs, out=out)
    with xr.open_dataset(out) as kept:
        xr.testing.assert_equal(kept, whole.isel(time=slice(0, step)))
        assert kept.attrs["interrupted"] == f"after samples 0 to 2, step {step} of 6"
        assert kept.attrs["finite_steps"] == step
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interrupt_in_a_later_batch_leaves_out_what_was_not_begun(
    network, runs, tmp_path, ending, blocks
):
    out = tmp_path / f"x.{ending}"
    whole = rollout(network, start(runs), 4, truth=runs, batch_size=1)
    with pytest.raises(KeyboardInterrupt):
        rollout(network, start(runs), 4, None, At(4 + 3), truth=runs, batch_size=1, out=out)
    with xr.open_dataset(out) as kept:
        assert kept.sizes["sample"] == 2
        xr.testing.assert_equal(kept.isel(sample=0), whole.isel(sample=0))
        second, expected = kept.isel(sample=1), whole.isel(sample=1)
        for name in ("tracer", "velocity_x"):
            np.testing.assert_array_equal(second[name][:3], expected[name][:3])
            assert second[name][3].isnull().all()
            np.testing.assert_array_equal(second[f"truth_{name}"], expected[f"truth_{name}"])
        assert kept.attrs["finite_steps"] == 3
        assert kept.attrs["interrupted"] == "after sample 1, step 3 of 4"


def test_an_interrupt_while_the_truth_is_copied_keeps_every_frame(
    network, runs, tmp_path, monkeypatch
):
    from mpp.rollouts import layout

    def copy(store, name, *arguments, real=layout.copy):
        if name == "truth_velocity_x":
            raise KeyboardInterrupt
        real(store, name, *arguments)

    monkeypatch.setattr(layout, "copy", copy)
    with pytest.raises(KeyboardInterrupt, match="while the truth was copied"):
        rollout(network, start(runs), 4, truth=runs, out=tmp_path / "x.nc")
    monkeypatch.undo()
    whole = rollout(network, start(runs), 4, truth=runs)
    with xr.open_dataset(tmp_path / "x.nc") as kept:
        xr.testing.assert_equal(
            kept.drop_vars("truth_velocity_x"), whole.drop_vars("truth_velocity_x")
        )


def test_a_file_that_is_being_finished_is_not_interrupted():
    # A shell's background jobs, and all that they start, are born deaf to the signal.
    born = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _finish_a_file_undisturbed()
    finally:
        signal.signal(signal.SIGINT, born)


def _finish_a_file_undisturbed():
    before = signal.getsignal(signal.SIGINT)
    with undisturbed():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interrupt_before_the_first_frame_or_an_error_leaves_what_was_there(
    network, runs, tmp_path, ending
):
    out = tmp_path / f"x.{ending}"
    before = rollout(Persistence(), start(runs), 2, out=out).load()

    def fail(done, total):
        raise ZeroDivisionError

    def stop_at_once(batch, steps):
        raise KeyboardInterrupt

    with pytest.raises(ZeroDivisionError):
        rollout(network, start(runs), 4, None, fail, out=out, overwrite=True)
    network.forecast = stop_at_once
    with pytest.raises(KeyboardInterrupt):
        rollout(network, start(runs), 4, out=out, overwrite=True)
    with xr.open_dataset(out) as kept:
        xr.testing.assert_equal(kept, before)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_an_existing_result_and_a_wrong_ending_are_refused(runs, tmp_path):
    rollout(Persistence(), start(runs), 2, out=tmp_path / "x.nc")
    with pytest.raises(InputError, match="exists"):
        rollout(Persistence(), start(runs), 2, out=tmp_path / "x.nc")
    with pytest.raises(InputError, match=r"\.nc \(NetCDF\) or \.zarr"):
        rollout(Persistence(), start(runs), 2, out=tmp_path / "x.h5")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_disk_that_refuses_is_one_line_with_the_name_that_was_asked_for(runs, tmp_path, ending):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot make this folder"):
        rollout(Persistence(), start(runs), 2, out=tmp_path / "file" / f"x.{ending}")


MEMORY = """
import re, sys
from pathlib import Path
import torch
from mpp.data.open import open_dataset
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Persistence
from mpp.rollouts import rollout
from mpp.rollouts.stores import undisturbed

torch.manual_seed(0)
model = AxialTransformer(("tracer",), 3, 8, 1, 1, 8, fine=16, coarse=1, local_in=0, local_out=0)
folder = Path(sys.argv[1])
ds = open_dataset(folder / "runs.nc")

def peak(model, steps, out=None):
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    rollout(model, ds.isel(time=slice(0, 3)), steps, limit=None, truth=ds, out=out)
    kilobytes = re.search("VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())
    print(int(kilobytes[1]) / 1024)

peak(model, 100, folder / "short.nc")
peak(model, 1000, folder / "long.nc")
peak(Persistence(), 100, folder / "short.zarr")
peak(Persistence(), 1000, folder / "long.zarr")
peak(Persistence(), 1000)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells peak memory")
def test_memory_does_not_grow_with_the_steps(tmp_path):
    """One frame is 64 KiB: 900 more, with their truth, are 112 MiB where they are kept."""
    ds = example((128, 128), samples=1, frames=1)[["tracer"]].astype("float32")
    ds = ds.isel(time=[0] * 1003)
    ds["time"] = ("time", np.arange(1003.0), {"units": "s"})
    ds.to_netcdf(tmp_path / "runs.nc", engine="h5netcdf")
    words = [sys.executable, "-c", MEMORY, tmp_path]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True)
    peaks = [float(word) for word in done.stdout.split()]
    assert peaks[1] - peaks[0] < 12
    assert peaks[3] - peaks[2] < 12
    assert peaks[4] - peaks[3] > 100
    for ending in ENDINGS:
        with xr.open_dataset(tmp_path / f"long.{ending}") as made:
            assert (made.sizes["time"], made.attrs["finite_steps"]) == (1000, 1000)
            np.testing.assert_array_equal(made["truth_tracer"][0, -1], ds["tracer"][0, -1])
