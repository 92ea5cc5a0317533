"""Windows a second and memory of this package's reading, against The Well's own and plain readers.

Windows of 8 frames and the one after them, in random order and batches of 8, from one file of The
Well's format, one of PDEBench's and one Zarr store, with 0, 1 and 2 processes that read. The same
windows by `mpp` (from the file, and from memory as it does with data up to 1 GiB), by `WellDataset`
of the_well, by h5py and a few lines of numpy, and by xarray. All in turns; medians over rounds. The
ratio is `mpp` from the file over `WellDataset` without further processes. Memory is what a fresh
process grows by while it opens a file and reads 200 windows.

python benchmarks/loader.py --json loader.json
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import xarray as xr
from reporting import circumstances, write_json
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

import mpp
from mpp.batch import Batch
from mpp.data import windows as reading
from mpp.data.convert import write

GIVEN, BATCH = 8, 8
WELL, PDEBENCH, ZARR = "The Well", "PDEBench", "Zarr"
FILE, MEMORY, ITS_OWN, PLAIN, XARRAY = "mpp", "mpp, in memory", "WellDataset", "h5py", "xarray"
SCALARS, VELOCITY = ["density", "pressure"], ["velocity_x", "velocity_y"]
"""Names of the fields; `mpp` gives those of PDEBench in the order that their authors list them."""
GROWN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import loader
def status(key):
    lines = open("/proc/self/status")
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(key)))
kind, who, folder = sys.argv[2:]
import the_well.data  # its import is no reading, nor is that of the others
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
data = loader.CONTENDERS[kind][who](Path(folder))
for number in loader.order(len(data))[:200]:
    data[number]
print(status("VmHWM") - before)
"""


def make(folder: Path, runs: int, frames: int, points: int) -> None:
    """A file of each format with the same noise in it: density, pressure and a velocity."""
    rng = np.random.default_rng(0)
    shape = (runs, frames, points, points)
    density, pressure = (rng.standard_normal(shape, np.float32) for _ in range(2))
    velocity = rng.standard_normal((*shape, 2), np.float32)
    place, time_ = (np.arange(points) + 0.5) / points, 0.05 * np.arange(frames)
    (folder / "data" / "train").mkdir(parents=True)
    with h5py.File(folder / "data" / "train" / "noise.hdf5", "w") as file:
        file.attrs.update({"dataset_name": "noise", "grid_type": "cartesian"})
        file.attrs.update({"n_spatial_dims": 2, "n_trajectories": runs})
        file.attrs["simulation_parameters"] = []
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = ["x", "y"]
        for name, values in {"time": time_, "x": place, "y": place}.items():
            item = dimensions.create_dataset(name, data=values, dtype="f4")
            item.attrs.update({"sample_varying": False, "time_varying": False})
        groups = {
            "t0_fields": {"density": density, "pressure": pressure},
            "t1_fields": {"velocity": velocity},
            "t2_fields": {},
            "scalars": {},
        }
        for group, members in groups.items():
            file.create_group(group).attrs["field_names"] = list(members)
            for name, values in members.items():
                item = file[group].create_dataset(name, data=values)
                item.attrs.update({"sample_varying": True, "time_varying": True})
                item.attrs["dim_varying"] = [True, True]
        file.create_group("boundary_conditions")
        for axis in "xy":
            item = file["boundary_conditions"].create_group(f"{axis}_periodic")
            item.attrs.update({"associated_dims": [axis], "associated_fields": []})
            item.attrs.update({"bc_type": "PERIODIC", "sample_varying": False})
            item.attrs["time_varying"] = False
            item.create_dataset("mask", data=np.eye(1, points, dtype=bool)[0])
            item.create_dataset("values", data=np.zeros(1, "f4"))
    name = "2D_CFD_Rand_M0.1_Eta0.01_Zeta0.01_periodic_128_Train.hdf5"
    with h5py.File(folder / name, "w") as file:
        file.attrs.update({"eta": 0.01, "zeta": 0.01, "M": 0.1})
        arrays = {"density": density, "pressure": pressure, "Vx": velocity[..., 0]}
        for key, values in {**arrays, "Vy": velocity[..., 1]}.items():
            file.create_dataset(key, data=values)
        for axis in "xy":
            file[f"{axis}-coordinate"] = place.astype("f4")
        file["t-coordinate"] = np.append(time_, time_[-1] + 0.05).astype("f4")
    (folder / name).rename(folder / "pdebench.hdf5")
    write(mpp.open_dataset(folder / "data" / "train" / "noise.hdf5"), folder / "noise.zarr")


def path_of(kind: str, folder: Path) -> Path:
    """The file of a format."""
    names = {WELL: "data/train/noise.hdf5", PDEBENCH: "pdebench.hdf5", ZARR: "noise.zarr"}
    return folder / names[kind]


def windows(kind: str, in_memory: bool) -> Callable[[Path], Dataset[Any]]:
    """This package's windows of a file."""

    def open_windows(folder: Path) -> reading.Windows:
        before, reading.IN_MEMORY_BYTES = reading.IN_MEMORY_BYTES, 2**40 if in_memory else 0
        try:
            return reading.Windows(mpp.open_dataset(path_of(kind, folder)), GIVEN + 1)
        finally:
            reading.IN_MEMORY_BYTES = before

    return open_windows


def its_own(folder: Path) -> Dataset[Any]:
    """The Well's own dataset."""
    from the_well.data import WellDataset

    return WellDataset(
        path=str(folder), well_split_name="train", n_steps_input=GIVEN, n_steps_output=1
    )


class Plain(Dataset[torch.Tensor]):
    """What one writes by hand: the datasets of one file, by h5py.

    Args:
        path: The file.
        names: Its datasets; a vector's components lie along the last axis.
    """

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self.path, self.names, self.file = path, names, None
        with h5py.File(path) as file:
            self.runs, self.frames = file[names[0]].shape[:2]

    def __len__(self) -> int:
        return self.runs * (self.frames - GIVEN)

    def __getitem__(self, number: int) -> torch.Tensor:
        if self.file is None:
            self.file = h5py.File(self.path)
        run, start = divmod(number, self.frames - GIVEN)
        parts = [self.file[name][run, start : start + GIVEN + 1] for name in self.names]
        parts = [part if part.ndim == 4 else part[..., None] for part in parts]
        return torch.from_numpy(np.moveaxis(np.concatenate(parts, -1), -1, 1))


class Slices(Dataset[torch.Tensor]):
    """What one writes by hand with xarray.

    Args:
        ds: The fields of one file.
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self.ds, self.length = ds, ds.sizes["time"] - GIVEN

    def __len__(self) -> int:
        return self.ds.sizes["sample"] * self.length

    def __getitem__(self, number: int) -> torch.Tensor:
        run, start = divmod(number, self.length)
        part = self.ds.isel(sample=run, time=slice(start, start + GIVEN + 1))
        return torch.from_numpy(np.stack([part[name].values for name in part.data_vars], 1))


def slices(kind: str, engine: str, names: list[str]) -> Callable[[Path], Dataset[Any]]:
    """A file's fields through xarray."""

    def open_slices(folder: Path) -> Slices:
        options: dict[str, Any] = {"chunks": None} if engine == "zarr" else {}
        return Slices(xr.open_dataset(path_of(kind, folder), engine=engine, **options)[names])

    return open_slices


def plain(kind: str, *names: str) -> Callable[[Path], Dataset[Any]]:
    """A file's fields through h5py."""
    return lambda folder: Plain(path_of(kind, folder), names)


CONTENDERS: dict[str, dict[str, Callable[[Path], Dataset[Any]]]] = {
    WELL: {
        FILE: windows(WELL, False),
        MEMORY: windows(WELL, True),
        ITS_OWN: its_own,
        PLAIN: plain(WELL, "t0_fields/density", "t0_fields/pressure", "t1_fields/velocity"),
        XARRAY: slices(WELL, "thewell", SCALARS + VELOCITY),
    },
    PDEBENCH: {
        FILE: windows(PDEBENCH, False),
        PLAIN: plain(PDEBENCH, "Vx", "Vy", "density", "pressure"),
        XARRAY: slices(PDEBENCH, "pdebench", VELOCITY + SCALARS),
    },
    ZARR: {FILE: windows(ZARR, False), XARRAY: slices(ZARR, "zarr", SCALARS + VELOCITY)},
}


def order(length: int) -> list[int]:
    """Numbers of windows at random, the same every time."""
    return np.random.default_rng(0).permutation(length).tolist()


def rate(data: Dataset[Any], workers: int, seconds: float) -> float:
    """Windows a second over at least so many seconds; processes are started before."""
    first = data[0]
    collate = Batch.collate if isinstance(first, Batch) else None
    numbers = order(len(data)) * 1000  # type: ignore[arg-type]
    loader = DataLoader(
        data, BATCH, sampler=numbers, num_workers=workers, collate_fn=collate
    )  # fmt: skip
    batches = iter(loader)
    for _ in range(1 + 2 * workers):
        next(batches)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        next(batches)
        done += BATCH
    return done / (time.perf_counter() - start)


def memory(kind: str, who: str, folder: Path) -> int:
    """Bytes by which a fresh process grows while it reads."""
    here = str(Path(__file__).parent)
    words = [sys.executable, "-c", GROWN, here, kind, who, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=folder)
    return int(done.stdout.split()[-1])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--json", metavar="FILE", help="write JSON there, - for standard output")
    add("--rounds", type=int, default=5, help="timed rounds (default 5)")
    add("--seconds", type=float, default=1.0, help="of each in a round (default 1)")
    add("--workers", type=int, nargs="+", default=[0, 1, 2], help="default 0 1 2")
    add(
        "--quick",
        action="store_true",
        help="little of everything, to see that it runs",
    )
    arguments = parser.parse_args()
    quick = arguments.quick
    rounds, seconds = (1, 0.05) if quick else (arguments.rounds, arguments.seconds)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, *((2, 12, 16) if quick else (16, 60, 64)))
        size = path_of(WELL, folder).stat().st_size
        opened = {
            (kind, who): opening(folder)
            for kind, every in CONTENDERS.items()
            for who, opening in every.items()
        }
        rates: dict[tuple[str, str, int], list[float]] = {}
        plan = [(*key, workers) for workers in arguments.workers for key in opened]
        console = Console(stderr=True)
        for number in track(range(rounds * len(plan)), "windows", console=console, transient=True):
            key = plan[number % len(plan)]
            rates.setdefault(key, []).append(rate(opened[key[:2]], key[2], seconds))
        # Each is a fresh process, which takes seconds to start.
        grown = {key: memory(*key, folder) for key in opened if not quick or key[1] == FILE}
    found = {key: statistics.median(values) for key, values in rates.items()}
    least = min(arguments.workers)
    pairs = zip(rates[WELL, FILE, least], rates[WELL, ITS_OWN, least], strict=True)
    result = {
        "what": "windows a second from a Well file, over those of WellDataset",
        "ratio": statistics.median(mine / theirs for mine, theirs in pairs),
        "window": {"frames": GIVEN + 1, "fields": 4, "file_bytes": size},
        "rates": [
            {"format": kind, "reader": who, "workers": workers, "windows_a_second": number}
            for (kind, who, workers), number in found.items()
        ],
        "memory": [
            {"format": kind, "reader": who, "bytes": number}
            for (kind, who), number in grown.items()
        ],
        "cores": os.cpu_count(),
        **circumstances(),
    }
    if arguments.json:
        write_json(result, arguments.json)
    if arguments.json != "-":
        show(found, grown, result["ratio"])


def show(
    rates: dict[tuple[str, str, int], float], grown: dict[tuple[str, str], int], ratio: float
) -> None:
    """Print the medians."""
    workers = sorted({key[2] for key in rates})
    table = Table(box=None, pad_edge=False, header_style="bold cyan", padding=(0, 2, 0, 0))
    table.add_column("file")
    table.add_column("reader")
    for number in workers:
        table.add_column(f"{number} workers", justify="right")
    table.add_column("memory, MiB", justify="right")
    for kind, who in dict.fromkeys(key[:2] for key in rates):
        each = [f"{rates[kind, who, number]:,.0f}" for number in workers]
        nbytes = grown.get((kind, who))
        table.add_row(kind, who, *each, "" if nbytes is None else f"{nbytes / 2**20:.1f}")
    console = Console()
    console.print(table)
    console.print(f"{ratio:.1f} times the windows a second of WellDataset")


if __name__ == "__main__":
    main()
