"""What tests of several folders share."""

import gc
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from mpp import schema
from mpp.cli.main import GARBAGE

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
"""Of Chromium; no name leads anywhere, so that a page which needs the network fails."""
SCORES = ("nrmse", "vrmse", "rmse", "mae")


def make_study(
    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    times: float = 4.0,
    power: float = 0.5,
    seeds: int = 3,
    fields: Sequence[str] = ("height", "velocity_x"),
    steps: int = 5,
) -> xr.Dataset:
    """A study's result by power laws: finetuned as good as scratch on ``times`` as many runs.

    From scratch n runs give 0.2 n^-power at the first step, with a factor 1 + 0.1 s for seed s, as
    many times that as the step counts, and twice that for the second field and so on.
    """
    size = np.asarray(sizes, dtype=float)
    seed = 1 + 0.1 * np.arange(seeds)
    lead = np.arange(1, steps + 1)
    head = np.array([times, 1.0]) ** -power
    order = 1.0 + np.arange(len(fields))
    parts = np.ix_(head, 0.2 * size**-power, seed, order, lead, np.array([0.9, 1.1]))
    values = np.prod(np.broadcast_arrays(*parts), axis=0)
    dims = ("arm", "size", "seed", "field", "lead_time", "sample")
    still = 0.3 * np.prod(np.broadcast_arrays(*np.ix_(order, lead, np.ones(2))), axis=0)
    relative = {"units": "1"}
    data = dict.fromkeys(SCORES[:2], (dims, values, relative))
    data |= {name: (dims, 3 * values, {"units": "unit of the field"}) for name in SCORES[2:]}
    data |= {f"persistence_{name}": (dims[3:], still, data[name][2]) for name in SCORES}
    for name, number in (("seconds", 40.0), ("cpu_seconds", 39.0), ("validation", 0.1)):
        data[name] = (dims[:3], np.full(values.shape[:3], number))
    rates = np.broadcast_to(np.array([0.002, 0.005])[:, None, None], values.shape[:3])
    data["learning_rate"] = (dims[:3], rates)
    coords = {
        "arm": ["finetuned", "scratch"],
        "size": list(sizes),
        "seed": list(range(seeds)),
        "field": list(fields),
        "units": ("field", ["m", "m s-1", "1", "Pa"][: len(fields)]),
        "lead_time": ("lead_time", 0.5 * lead, {"units": "s"}),
        "step": ("lead_time", lead),
    }
    attrs = {
        "system": "shallow_water", "max_steps": 300, "batch_size": 2, "test_runs": 2,
        "validation_runs": [3, 7], "rates_finetuned": 0.002, "rates_scratch": [0.005, 0.01],
        "rates_chosen_at": 8,
    }  # fmt: skip
    return xr.Dataset(data, coords, attrs)


LONGEST = (
    "datasets/test_systems", "test_readme", "test_notebooks", "test_docs", "benchmarks/test_peers",
    "faults/test_training", "study/test_transfer", "train/test_processes", "model/test_contract",
    "plan/test_plan", "cli/test_plan", "benchmarks/test_plan_against_run",
    "benchmarks/test_numbers", "benchmarks/test_transfer", "cli/test_killed", "faults/test_fuzz",
    "test_slurm", "explorer/test_browser",
)  # fmt: skip
"""Files that take longest, the longest first."""


def pytest_configure(config):
    """Let workers take files in the order below; by itself xdist starts with the most tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False
    gc.set_threshold(*GARBAGE)


def pytest_collection_modifyitems(items):
    """Begin with what takes longest, so that no core waits for another at the end."""
    folder = Path(__file__).parent
    place = {folder / f"{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """Processes that solve keep what JAX compiled, for those after them that solve the same."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # whose folders lie in one of the run
        base = base.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(base / "compiled"))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
        # With a limit, processes lock the folder, and none reads what another is writing.
        patch.setenv("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**30))
        yield


@pytest.fixture(scope="session")
def waves():
    """A small system: its ``SPEC``, its ``SOLVER``, and what writes its folder."""
    path = Path(__file__).with_name("waves.py")
    spec = importlib.util.spec_from_file_location("waves", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def study_result():
    return make_study


def make_rollout(shape=(8, 6), frames=6, **options) -> xr.Dataset:
    """A rollout that is one tenth too large everywhere, beside its truth; one frame of history."""
    ds = schema.example(shape, frames=frames, **options)
    truth = {f"truth_{n}": ds[n].assign_attrs(role="truth") for n in schema.names(ds)}
    predicted = {n: (1.1 * ds[n]).assign_attrs(ds[n].attrs) for n in schema.names(ds)}
    both = ds.assign({**predicted, **truth}).isel(time=slice(1, None))
    return both.assign_attrs(history_end=float(ds["time"][0]))


def make_scores(models=("tuned", "persistence"), fields=("height", "velocity_x"), samples=5):
    """Errors that grow with lead time; the later a model in the list, the larger."""
    lead = np.arange(1, 9)
    size = np.arange(1, len(models) + 1)[:, None, None, None]
    spread = np.linspace(0.8, 1.2, samples)
    values = 0.01 * size * np.ones((1, len(fields), 1, 1)) * lead[:, None] * spread
    dims = ("model", "field", "lead_time", "sample")
    coords = {
        "model": list(models),
        "field": list(fields),
        "units": ("field", ["m", "m s-1", "1", "Pa"][: len(fields)]),
        "lead_time": ("lead_time", 0.5 * lead, {"units": "s"}),
        "step": ("lead_time", lead),
    }
    data = {
        "vrmse": (dims, values, {"units": "1"}),
        "rmse": (dims, 3 * values, {"units": "unit of the field"}),
    }
    return xr.Dataset(data, coords, {"system": "shallow_water"})


@pytest.fixture(scope="session")
def rollout():
    return make_rollout


@pytest.fixture(scope="session")
def scores():
    return make_scores


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium with its driver, as Debian packs them."""
    selenium = pytest.importorskip("selenium", reason="selenium is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    assert selenium.__version__
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, "--window-size=1350,1400"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(driver))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def browser(chromium):
    """The browser, with nothing in its console."""
    chromium.get("about:blank")
    chromium.get_log("browser")
    return chromium


@contextmanager
def make_view(words: Sequence[object], folder: Path, end: int = signal.SIGTERM, told: str = ""):
    """Run ``mpp view``, warnings as errors, give its address, end it, and see that all was well.

    Args:
        words: What follows ``mpp view``.
        folder: Where to run.
        end: The signal that ends it.
        told: What stands on stderr in the end; by default nothing.
    """
    command = [sys.executable, "-W", "error", "-m", "mpp", "view", *map(str, words)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, **pipes) as process:
        line = process.stdout.readline()
        if not line:
            pytest.fail(process.stderr.read())
        try:
            yield line.split()[0]
            process.send_signal(end)
            out, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, "")
    assert told in error if told else error == ""


@pytest.fixture(scope="session")
def viewing():
    return make_view


@pytest.fixture(scope="session")
def struck(tmp_path_factory):
    """Runs commands, each a process of its own, that get a signal the n-th time they come there.

    They are forked from one process that has read the package once, which takes seconds.
    """
    said = tmp_path_factory.mktemp("said") / "stderr"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    program = [sys.executable, str(Path(__file__).with_name("striking.py"))]
    with subprocess.Popen(program, **pipes) as parent:

        def run(what: str, where: str, count: int, words: list[str]) -> tuple[int, str]:
            said.unlink(missing_ok=True)
            parent.stdin.write(json.dumps([[what, where, count], words, str(said)]) + "\n")
            parent.stdin.flush()
            return int(parent.stdout.readline()), said.read_text()

        yield run
        parent.stdin.close()
