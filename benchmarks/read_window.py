"""Peak memory of a process that reads one window of a large PDEBench file, against the file's size.

python benchmarks/read_window.py --gib 4 --json -
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import xarray as xr
from reporting import commit, write_json

FRAMES, POINTS = 32, 128
WINDOW = 17
READ = f"""
import sys, time
import xarray as xr
start = time.perf_counter()
ds = xr.open_dataset(sys.argv[1], engine="pdebench")
last = ds.sizes["sample"] - 1
ds.isel(sample=[last], time=slice(0, {WINDOW})).load()
print(time.perf_counter() - start)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) / 1024)
"""
NAMES = ("Vx", "Vy", "density", "pressure")


def write(path: Path, gib: float) -> None:
    """A compressible-flow file of about ``gib`` GiB, all of it written."""
    runs = max(1, round(gib * 2**30 / (len(NAMES) * FRAMES * POINTS**2 * 4)))
    noise = np.random.default_rng(0).standard_normal((FRAMES, POINTS, POINTS)).astype("f4")
    with h5py.File(path, "w") as file:
        file.attrs.update({"eta": 0.01, "zeta": 0.01, "M": 0.1})
        for axis in "xy":
            file[f"{axis}-coordinate"] = (np.arange(POINTS) + 0.5) / POINTS
        file["t-coordinate"] = 0.05 * np.arange(FRAMES + 1)
        for name in NAMES:
            data = file.create_dataset(name, (runs, FRAMES, POINTS, POINTS), "f4")
            for run in range(runs):
                data[run] = noise + run


def measure(gib: float) -> dict[str, object]:
    """Write a file, read a window of it in a fresh process, and report."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "2D_CFD_Rand_M0.1_Eta0.01_Zeta0.01_periodic_128_Train.hdf5"
        write(path, gib)
        size = path.stat().st_size / 2**20
        words = [sys.executable, "-c", READ, str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    seconds, peak = (float(line) for line in done.stdout.split())
    return {
        "ratio": peak / size,
        "peak_mib": peak,
        "file_mib": size,
        "window_mib": WINDOW * len(NAMES) * POINTS**2 * 4 / 2**20,
        "open_and_read_seconds": seconds,
        "commit": commit(),
        "machine": f"{platform.machine()} {platform.system()}",
        "versions": {"python": platform.python_version(), "xarray": xr.__version__},
        "time": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    """Measure as the arguments say, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=4.0, help="size of the file (default 4)")
    parser.add_argument("--json", default="-", help="file for the result, - for standard output")
    arguments = parser.parse_args()
    write_json(measure(arguments.gib), arguments.json)


if __name__ == "__main__":
    main()
