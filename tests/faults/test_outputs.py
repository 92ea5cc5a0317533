"""Results are whole or absent, whatever the disk does; what is there is replaced when asked for."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mpp.data.convert import write
from mpp.errors import InputError
from mpp.files import ASIDE, _prefix, make_folder, written_beside
from mpp.schema import example

pytestmark = pytest.mark.faults

QUICK = ("convert", "rollout", "evaluate", "infer", "import-weights")
"""Commands that write after a moment of work."""
ROOM = (0, 8)
"""Kilobytes that are free: the result never fits, its beginning may."""


@pytest.fixture
def disk(files, tmp_path):
    """A disk of 256 kB, filled but for what the test says."""
    with files.mounted(tmp_path / "disk", "256k") as folder:
        if folder is None:
            pytest.skip("nothing may be mounted here; test_no_file_may_grow does without")

        def filled(room):
            fill(folder / "filler", room)
            return folder

        yield filled


def fill(path, room):
    """A file that leaves that many kilobytes of its disk."""
    with path.open("wb", buffering=0) as filler:
        with contextlib.suppress(OSError):
            while filler.write(bytes(4096)) == 4096:
                pass
        filler.truncate(max(0, filler.tell() // 4096 * 4096 - 1024 * room))


@pytest.fixture
def readonly(files, tmp_path):
    """A folder in which nobody may write, not even root."""
    with files.mounted(tmp_path / "still", "1m") as folder:
        if folder is None and os.geteuid() == 0:
            pytest.skip("root may write everywhere, and nothing may be mounted here")
        place = folder or tmp_path / "still"
        (place / "there").mkdir()
        if folder is None:
            for part in (place / "there", place):
                part.chmod(0o555)
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        yield place
        if folder is None:
            for part in (place, place / "there"):
                part.chmod(0o755)


def files_in(folder: Path) -> list[str]:
    inside = [path for path in folder.rglob("*") if path.is_file() and path.name != "filler"]
    return [str(path.relative_to(folder)) for path in inside]


@pytest.mark.parametrize("room", ROOM)
@pytest.mark.parametrize("command", QUICK)
def test_a_full_disk(command, room, disk, bench, desk):
    out = disk(room) / "new" / bench.OUT[command]
    told = bench.call(*desk.words(command, out))
    told.refused(r"No space left on device.*make room")
    assert str(out) in told.err
    assert files_in(out.parent) == []


@pytest.mark.parametrize("command", ["convert", "rollout"])
def test_a_full_disk_under_a_zarr_store(command, disk, bench, desk):
    out = disk(24) / "out.zarr"
    bench.call(*desk.words(command, out)).refused("No space left on device.*make room")
    assert [path.name for path in out.parent.iterdir()] == ["filler"]


def test_a_full_disk_keeps_what_is_there(disk, bench, desk):
    folder = disk(200)
    ds = example((4, 4), 1, 3)
    for name in ("out.nc", "out.zarr"):
        if name == "out.zarr":
            (folder / "out.nc").unlink()
        write(ds, folder / name)
        before = bench.tree(folder)
        fill(folder / "more", 8)
        told = bench.call(*desk.words("rollout", folder / name), "--overwrite")
        told.refused("No space left on device")
        (folder / "more").unlink()
        assert bench.tree(folder) == before


@pytest.mark.parametrize("size", [0, 1000, 5000])
@pytest.mark.parametrize("command", QUICK)
def test_no_file_may_grow(command, size, bench, desk, tmp_path):
    # What a quota or a batch system does, and a full disk where nothing can be mounted.
    out = tmp_path / "new" / bench.OUT[command]
    with bench.file_limit(size):
        told = bench.call(*desk.words(command, out))
    assert str(out) in told.refused("File too large.*make room")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("command", ["figures", "report"])
def test_no_picture_may_grow(command, bench, desk, tmp_path):
    source = desk.estimates
    with bench.file_limit(2000):
        told = bench.call(command, source, "--out", tmp_path / bench.OUT[command])
    told.refused("File too large.*make room")
    assert files_in(tmp_path) == []


def test_generating_onto_a_full_disk(bench, desk, tmp_path, monkeypatch):
    import mpp.data.generate

    class Here:
        """Solves in this process: starting another takes longer than all else here."""

        def map(self, task, items):
            return map(task, items)

        def shutdown(self, **_):
            pass

    monkeypatch.setattr(mpp.data.generate, "solver_pool", lambda workers: Here())
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    out = tmp_path / "made"
    for size in (0, 3000):
        with bench.file_limit(size):
            told = bench.call(*desk.words("generate", out))
        assert str(out / "waves.nc") in told.refused("File too large")
        assert files_in(tmp_path) == []
    assert bench.call(*desk.words("generate", out)).status == 0
    assert files_in(out) == ["waves.nc"]


def test_each_command_says_that_it_must_not_write_there(readonly, bench, desk):
    for command, name in bench.OUT.items():
        for out in (readonly / name, readonly / "new" / name, readonly / "there" / name):
            told = bench.call(*desk.words(command, out))
            told.refused(
                "no permission to write|cannot make this folder|Read-only|ermission denied"
            )
            assert str(readonly) in told.err
    assert [path.name for path in readonly.iterdir()] == ["there"]
    told = bench.call("doctor", desk.runs, "--save-mapping", readonly / "mapping.yaml")
    told.refused("Read-only file system|ermission denied")


def test_a_place_that_cannot_be(bench, desk, tmp_path):
    (tmp_path / "file").write_text("mine")
    for command, name in bench.OUT.items():
        told = bench.call(*desk.words(command, tmp_path / "file" / name))
        told.refused("cannot make this folder|is a file")
        told = bench.call(*desk.words(command, tmp_path / f"{'long' * 80}{name}"))
        told.refused("name too long")
    assert bench.tree(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_a_file_is_not_a_folder(overwrite, bench, desk, tmp_path):
    for command, name in bench.OUT.items():
        out, more = tmp_path / f"{command}-{name}", overwrite if command != "transfer" else ()
        if "." in name:
            (out / "inside").mkdir(parents=True)
        else:
            out.write_text("mine")
        before = bench.tree(tmp_path)
        told = bench.call(*desk.words(command, out), *more)
        told.refused("is a folder|is a file|cannot make this folder")
        assert bench.tree(tmp_path) == before


def test_nothing_is_replaced_unasked(bench, desk, tmp_path):
    for command, name in bench.OUT.items():
        out = tmp_path / command / name
        out.parent.mkdir()
        places = {"generate": out / "waves.nc", "figures": out / "estimates.png"}
        there = places.get(command, out if "." in name else out / "model.json")
        there.parent.mkdir(exist_ok=True)
        there.write_text("mine")
        words = desk.words(command, out, desk.estimates if command == "figures" else None)
        if command == "transfer":  # a study goes on in its folder, beside what else is there
            continue
        told = bench.call(*words)
        told.refused("exists|would be replaced")
        assert "--overwrite" in told.err or "overwrite it" in told.err
        assert bench.tree(out.parent)[str(there.relative_to(out.parent))] == b"mine"
    for beside in ("evaluate/out.csv", "infer/out.png"):
        command, name = beside.split("/")
        (tmp_path / command / "out.nc").unlink()
        (tmp_path / beside).write_text("mine")
        told = bench.call(*desk.words(command, tmp_path / command / "out.nc"))
        told.refused(f"{name} exists")


KILLED = """
import os, signal, sys
import mpp.{module} as module
from mpp.cli.main import main

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

module.{name} = die
main(sys.argv[1:])
"""


@pytest.mark.parametrize(("command", "name", "module", "where"), [
    ("rollout", "out.nc", "rollouts.forward", "_fill"),
    ("rollout", "out.zarr", "rollouts.forward", "_fill"),
    ("convert", "out.nc", "data.convert", "_stream"),
    ("convert", "out.zarr", "data.convert", "_stream"),
])  # fmt: skip
def test_what_a_killed_command_left_goes_with_the_next(
    command, name, module, where, bench, desk, tmp_path
):
    words = [str(word) for word in desk.words(command, tmp_path / name)]
    code = KILLED.format(module=module, name=where)
    assert subprocess.run([sys.executable, "-c", code, *words]).returncode == -9
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == 1
    assert left[0].startswith(".out.")
    # What another process of this machine is writing stays, as does what another machine left.
    others = [f"{_prefix(tmp_path / name, os.getppid())}abc", ".out.elsewhere.1.abc"]
    for other in others:
        (tmp_path / other).mkdir()
    assert bench.call(*words).status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, *others])


def test_a_store_that_was_being_replaced_comes_back(tmp_path):
    out = tmp_path / "out.zarr"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"{_prefix(out, dead.pid)}abc" / ASIDE
    left.mkdir(parents=True)
    (left / "mine").write_text("mine")
    with pytest.raises(ZeroDivisionError), written_beside(out):
        raise ZeroDivisionError
    assert (out / "mine").read_text() == "mine"
    # One that was replaced, and only then the process was killed.
    left.mkdir(parents=True)
    (left / "older").write_text("mine")
    with written_beside(out) as unfinished:
        unfinished.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]
    assert list(out.iterdir()) == []


def half_written(path, fault):
    with written_beside(path) as unfinished:
        unfinished.write_text("half")
        raise fault


def test_a_fault_that_is_not_the_disk_s_comes_through(tmp_path):
    for fault in (ZeroDivisionError(), RuntimeError("shapes"), FileNotFoundError(2, "no", "/x")):
        with pytest.raises(type(fault)):
            half_written(tmp_path / "out.nc", fault)
    other = PermissionError(13, "Permission denied", "/elsewhere/data.nc")
    with pytest.raises(PermissionError):
        half_written(tmp_path / "out.nc", other)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=r"out.nc: cannot be written \(NetCDF: HDF error\)"):
        half_written(tmp_path / "out.nc", RuntimeError("NetCDF: HDF error"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_where_a_file_stands(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"below: cannot make this folder .*; choose another"):
        make_folder(tmp_path / "file" / "below")
    assert make_folder(tmp_path / "a" / "b").is_dir()


def test_values_that_the_result_cannot_hold(tmp_path):
    ds = example((4, 4), 1, 3)
    ds["tracer"] = ds["tracer"].astype("f8") * 1e300
    for name in ("out.nc", "out.zarr"):
        with pytest.raises(InputError, match="tracer holds values beyond float32"):
            write(ds, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    ds["tracer"] = xr.where(ds["tracer"] > 0, np.inf, 0).astype("f8").assign_attrs(units="1")
    assert write(ds, tmp_path / "out.nc").is_file()  # infinite before is infinite after
