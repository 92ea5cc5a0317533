"""The demo in miniature, then commands and examples of the README on what it left behind."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import mpp
from mpp.cli.main import main
from mpp.model.avit import PublishedAViT
from mpp.model.released import RELEASED_COUNT, RELEASED_SLOTS, released_name

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = README + (ROOT / "docs/reproducing.md").read_text(encoding="utf-8")
"""The README, and the page whose commands need the same files."""
DEMO = "demo --out demo --runs 4 --test-runs 2 --resolution 64 --steps 3 --lead 6"
SMALLER = {
    "finetune": "--max-steps 3 --donor displacement=tracer",  # as the demo chooses by itself
    "generate": "--resolution 32 --workers 1",
    "pretrain": "--max_steps 3",
    "transfer": "--max-steps 3 --seeds 1 --sizes 3 --lead-steps 1 3",
}
"""What the tests add to a command of the README so that it takes seconds."""

pytestmark = pytest.mark.slow


def run_apart(command: str, folder: Path) -> None:
    """Run ``mpp`` in a process of its own, warnings as errors."""
    words = [sys.executable, "-W", "error", "-m", "mpp", *shlex.split(command)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    for part in ("datasets", "experiments"):
        shutil.copytree(ROOT / part, folder / part)
    run_apart(DEMO, folder)
    released_weights(folder / "MPP_AViT_Ti")
    pdebench_file(folder / "2D_diff-react_NA_NA.h5")
    return folder


def released_weights(path: Path) -> None:
    """A checkpoint as the authors' code saves it, of size Ti."""
    model = PublishedAViT.of_size("Ti", RELEASED_SLOTS, RELEASED_COUNT)
    state = {f"module.{released_name(name)}": value for name, value in model.state_dict().items()}
    torch.save({"model_state": state, "epoch": 500, "optimizer_state_dict": {}}, path)


def pdebench_file(path: Path) -> None:
    """Two runs of waves in the layout of PDEBench's reaction and diffusion."""
    spec = importlib.util.spec_from_file_location("layouts", ROOT / "tests/data/layouts.py")
    layouts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(layouts)
    n, t, x, y, c = np.meshgrid(*map(np.arange, (2, 26, 32, 32, 2)), indexing="ij")
    waves = np.sin(2 * np.pi * ((c + 1) * x + y) / 32 - 0.1 * t + n)
    grid = {"x": np.linspace(-1, 1, 32), "y": np.linspace(-1, 1, 32), "t": 0.05 * np.arange(26)}
    layouts.write_trajectories(path, waves, grid, [layouts.CONFIG.format(points=32, seed=0)] * 2)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES, re.DOTALL)


def commands() -> list[str]:
    lines = "\n".join(blocks("sh")).splitlines()
    return [line.removeprefix("mpp ") for line in lines if line.startswith("mpp ")]


def test_the_demo_leaves_everything_it_promises(workspace):
    demo = workspace / "demo"
    scores = xr.load_dataset(demo / "scores.nc")
    assert list(scores["model"].values) == ["finetuned", "scratch", "persistence"]
    assert scores.sizes["lead_time"] == 6
    page = (demo / "index.html").read_text(encoding="utf-8")
    assert page.count("<img") >= 6
    assert "persistence" in page


def test_the_demo_trains_on_no_test_run(workspace):
    trained = xr.load_dataset(workspace / "demo/data/kuramoto_sivashinsky.nc")["displacement"]
    tested = xr.load_dataset(workspace / "demo/data/test/kuramoto_sivashinsky.nc")["displacement"]
    for run_a in trained.isel(time=0):
        for run_b in tested.isel(time=0):
            assert abs(np.corrcoef(run_a.values.ravel(), run_b.values.ravel())[0, 1]) < 0.5


def test_readme_commands_are_found():
    words = {command.split()[0] for command in commands()}
    assert words >= {"doctor", "finetune", "pretrain", "import-weights"}


def test_every_command_of_the_readme_works(workspace, viewing, monkeypatch):
    monkeypatch.chdir(workspace)
    for command in commands():
        words = shlex.split(f"{command} {SMALLER.get(command.split()[0], '')}")
        if words[0] == "view":  # goes on until it is ended
            with viewing([*words[1:], "--no-open"], workspace) as address:
                assert urllib.request.urlopen(address).status == 200
            continue
        assert main(words) == 0, command


def channel_file(path: Path) -> None:
    """Six runs of a decaying channel flow whose names, dims and order fit nothing of ours."""
    run, t = np.arange(6)[:, None, None, None], 0.1 * np.arange(24)[None, :, None, None]
    y, x = (np.arange(24)[:, None] + 0.5) / 24, 2 * np.pi * np.arange(32)[None, :] / 32
    wave = np.sin(x - t - run) * np.sin(np.pi * y) * np.exp(-0.2 * t)
    dims = ("run", "t", "yc", "xc")
    flow = {
        "u": (dims, 4 * y * (1 - y) + 0.3 * wave, {"units": "m/s"}),
        "v": (dims, 0.3 * wave**2, {"units": "m/s"}),
        "T": (dims, 300 + 5 * wave, {"units": "K"}),
    }
    coords = {
        "t": ("t", t.ravel(), {"units": "s"}),
        "xc": ("xc", x.ravel(), {"units": "m"}),
        "yc": ("yc", y.ravel(), {"units": "m"}),
    }
    xr.Dataset(flow, coords).to_netcdf(path)


@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")
def test_the_example_goes_from_a_foreign_file_to_a_finetuned_rollout(
    workspace, monkeypatch, capsys
):
    monkeypatch.chdir(workspace)
    channel_file(workspace / "channel.nc")
    shutil.rmtree("tuned", ignore_errors=True)
    example = blocks("python")[0].replace("max_steps=200", "max_steps=3")
    assert sum(bool(line.strip()) for line in example.splitlines()) <= 22
    exec(compile(example, "README.md", "exec"), {})
    future = xr.load_dataset("future.nc")
    assert dict(future.sizes) == {"sample": 1, "time": 10, "x": 32, "y": 24}
    assert set(future.data_vars) >= {"velocity_x", "velocity_y", "temperature"}
    assert future["temperature"].attrs["units"] == "K"
    np.testing.assert_allclose(future["time"], 0.1 * np.arange(8, 18))
    assert list(Path("figures").glob("*.png"))
    assert "persistence" in capsys.readouterr().out
    assert mpp.load("tuned").names[-1] == "temperature"
