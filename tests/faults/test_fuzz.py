"""Flipped bytes: a file is read as its own library reads it, or refused in one line, in time.

A damaged file may make a C library crash or turn in circles, so that another process reads it, one
file after the other, and is watched. Where no check sum covers a byte that was flipped, a number is
another one: then it must be the number that h5py, or the file itself, has there.
"""

import json
import select
import subprocess
import sys
import time

import numpy as np
import pytest

pytestmark = pytest.mark.faults

FLIPS = 120
"""Damaged files of each format; each takes a tenth of a second."""
SECONDS = 15
"""A file that takes longer than this turns in circles, however busy the machine is."""
WORKER = """
import json, sys, warnings
import h5py, numpy as np
from mpp.data.open import open_dataset
from mpp.data.windows import Windows
from mpp.errors import InputError

warnings.simplefilter("ignore")

def raw(path, where):
    if where is None:
        return None
    with h5py.File(path) as file:
        return np.stack([np.squeeze(file[name][()]) for name in where])

for line in sys.stdin:
    path, stated, field, where = json.loads(line)
    try:
        ds = open_dataset(path, **stated)
        Windows(ds, 4, source=path)
        values = ds[field].values if field in ds else None
        told = ["read", None if values is None else list(values.shape)]
        if values is not None and where is not None:
            same = np.array_equal(values.ravel(), raw(path, where).astype(values.dtype).ravel())
            told.append(bool(same))
    except InputError as error:
        told = ["refused", str(error)]
    except BaseException as error:
        told = ["failed", f"{type(error).__name__}: {error}"]
    print(json.dumps(told), flush=True)
"""


class Reader:
    """A process that reads files, started again when one was too much for it."""

    def __init__(self):
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.first = True

    def __call__(self, *what):
        """What the process says of a file, ``("crashed", status)`` or ``("hangs", seconds)``."""
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        limit = SECONDS + 120 * self.first  # the first file waits for the imports
        ready, _, _ = select.select([self.process.stdout], [], [], limit)
        self.first = False
        line = self.process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        told = ["crashed", self.process.poll()] if ready else ["hangs", limit]
        self.close()
        self.start()
        return told

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def reader():
    made = Reader()
    yield made
    made.close()


PLAIN = """
import sys
import h5py

def look(name, item):
    dict(item.attrs)
    if isinstance(item, h5py.Dataset):
        item[()]

with h5py.File(sys.argv[1]) as file:
    file.visititems(look)
"""


def too_much_for_h5py(path) -> bool:
    """Whether HDF5 itself crashes or hangs on a file: its own process cannot prevent that."""
    code = [sys.executable, "-c", PLAIN, str(path)]
    try:
        return subprocess.run(code, capture_output=True, timeout=SECONDS).returncode < 0
    except subprocess.TimeoutExpired:
        return True


WHERE = {
    "netcdf": ["u"],
    "hdf5": ["u"],
    "thewell": ["t0_fields/u"],
    "pdebench": ["0000/data", "0001/data"],
    "classic": None,
}


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """One to eight flipped bytes, half of the time in the first part, where the structure is."""
    content = bytearray(whole)
    end = len(content) if rng.random() < 0.5 else min(len(content), 2500)
    for place in rng.integers(0, end, rng.integers(1, 9)):
        content[place] ^= int(rng.integers(1, 256))
    return bytes(content)


@pytest.mark.parametrize("kind", WHERE)
def test_flipped_bytes(kind, formats, held, tmp_path, reader):
    form = formats[kind]
    whole = form(tmp_path, held).read_bytes()
    rng = np.random.default_rng(20)
    counts, slowest, crashes = {"read": 0, "refused": 0}, 0.0, 0
    sound = reader(str(tmp_path / f"runs{form.ending}"), form.stated, form.field, WHERE[kind])
    assert sound[:2] == ["read", list(held.values.shape)]
    for number in range(FLIPS):
        path = tmp_path / f"damaged-{number}{form.ending}"
        path.write_bytes(damaged(whole, rng))
        start = time.perf_counter()
        told = reader(str(path), form.stated, form.field, WHERE[kind])
        if told[0] in ("crashed", "hangs") and kind != "classic" and too_much_for_h5py(path):
            crashes += 1
            continue
        assert told[0] in counts, (told, path)
        slowest = max(slowest, time.perf_counter() - start)
        counts[told[0]] += 1
        if told[0] == "refused":
            assert "\n" not in told[1], path
            assert ";" in told[1], (told, path)
        else:
            assert told[-1] is not False, ("other numbers than in the file", path)
        path.unlink()
    # Both happen, or the test would say nothing.
    assert min(counts.values()) > 5, counts
    assert slowest < SECONDS
    assert crashes <= FLIPS // 30
