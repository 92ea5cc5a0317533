"""Laws of the command: what the authors' code saves becomes a checkpoint that all commands take."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.cli.main import main
from mpp.model.avit import PublishedAViT
from mpp.model.released import RELEASED_COUNT, RELEASED_SLOTS, released_name
from mpp.weights import load

LAYOUTS = Path(__file__).parents[1] / "data" / "layouts.py"
FRAMES, POINTS = 6, (32, 48)
SYSTEMS = {
    "shallow_water": ["height"],
    "incompressible_flow": ["velocity_x", "velocity_y", "tracer"],
    "diffusion_reaction": ["activator", "inhibitor"],
    "compressible_flow": ["velocity_x", "velocity_y", "density", "pressure"],
}


@pytest.fixture(scope="module")
def layouts():
    spec = importlib.util.spec_from_file_location("layouts", LAYOUTS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def waves(channels: int) -> np.ndarray:
    """Travelling waves [n, t, x, y, c], two runs."""
    n, t, x, y, c = np.meshgrid(*map(np.arange, (2, FRAMES, *POINTS, channels)), indexing="ij")
    phase = 2 * np.pi * ((c + 1) * x / POINTS[0] + y / POINTS[1] - 0.05 * t) + n
    return (2 + c + np.sin(phase)).astype("f4")


@pytest.fixture
def pdebench(layouts, tmp_path):
    """Writes a system in PDEBench's layout."""
    x, y = ((np.arange(points) + 0.5) / points for points in POINTS)
    grid, t = {"x": x, "y": y}, 0.05 * np.arange(FRAMES + 1)

    def write(system: str) -> Path:
        values, path = waves(len(SYSTEMS[system])), tmp_path / f"{system}.h5"
        if system == "compressible_flow":
            names = ("Vx", "Vy", "density", "pressure")
            arrays = {name: values[..., number] for number, name in enumerate(names)}
            return layouts.write_arrays(path, arrays, {**grid, "t": t}, {"eta": 0.01, "M": 0.1})
        if system == "incompressible_flow":
            velocity, force = values[..., :2], values[:, 0, ..., :2]
            return layouts.write_incompressible(path, velocity, values[..., 2:], force, t[:-1])
        if system == "shallow_water":
            told = layouts.DAM.format(radius=0.5, seed=0)
        else:
            told = layouts.CONFIG.format(points=32, seed=0)
        return layouts.write_trajectories(path, values, {**grid, "t": t[:-1]}, [told] * 2)

    return write


@pytest.fixture(scope="module")
def released() -> dict[str, torch.Tensor]:
    """Weights under the authors' names, of no published size."""
    torch.manual_seed(0)
    model = PublishedAViT(RELEASED_SLOTS, RELEASED_COUNT, width=32, heads=2, depth=2)
    for name, value in model.named_parameters():
        if "gain" in name:  # of 1e-6 at first, which would hide what the blocks do
            torch.nn.init.uniform_(value, 0.2, 0.8)
    return {released_name(name): value for name, value in model.state_dict().items()}


def saved(path: Path, state: dict, prefix: str = "module.") -> Path:
    """Everything that the authors' training saves, with the state of its optimizer."""
    named = {f"{prefix}{name}": value for name, value in state.items()}
    group = {"lr": 1.0, "betas": (0.98, 0.92, 0.99), "d": 1e-6, "k": 3, "params": [0]}
    optimizer = {"state": {0: {"step": 3, "s": torch.zeros(2)}}, "param_groups": [group]}
    entries = {"iters": 4000, "epoch": 2, "model_state": named, "optimizer_state_dict": optimizer}
    torch.save(entries, path)
    return path


@pytest.fixture
def checkpoint(released, tmp_path):
    path = saved(tmp_path / "MPP_AViT_Ti", released)
    assert main(["import-weights", str(path), "--out", str(tmp_path / "avit")]) == 0
    return tmp_path / "avit"


def test_the_result_holds_every_weight_and_says_where_it_comes_from(checkpoint, released):
    model = load(checkpoint)
    for name, value in model.state_dict().items():
        assert torch.equal(value, released[released_name(name)])
    assert model.card["systems"] == list(SYSTEMS)
    assert model.card["recipe"]["imported_from"] == "MPP_AViT_Ti"
    assert len(model.card["recipe"]["imported_sha256"]) == 64


@pytest.mark.parametrize("system", SYSTEMS)
def test_it_rolls_out_the_four_systems_from_files_of_pdebench(
    checkpoint, pdebench, system, tmp_path
):
    file, out = pdebench(system), tmp_path / "future.nc"
    words = ["--checkpoint", checkpoint, "--data", file, "--history", 4, "--steps", 2, "--out", out]
    assert main(["rollout", *map(str, words)]) == 0
    future = xr.load_dataset(out)
    assert future.attrs["system"] == system
    assert future.attrs["finite_steps"] == 2
    # The same by hand: channels in the order of the slots, periodic for compressible flow alone.
    model = load(checkpoint)
    frames = torch.from_numpy(waves(len(SYSTEMS[system])))[:, :4].permute(1, 0, 4, 2, 3)
    std, mean = torch.std_mean(frames, (0, -2, -1), keepdim=True)
    slots = list(RELEASED_SLOTS[system].values())[: len(SYSTEMS[system])]
    with torch.inference_mode():
        scaled = (frames - mean) / (std + 1e-7)
        tokens = model.stem(scaled.flatten(0, 1), slots).unflatten(0, (4, 2))
        for block in model.blocks:
            tokens = block(tokens, (system == "compressible_flow",) * 2)
        expected = model.head(tokens[-1], slots) * (std[0] + 1e-7) + mean[0]
    found = np.stack([future[name].values[:, 0] for name in SYSTEMS[system]], 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * expected.abs().max())


def test_it_is_scored_and_inspected_like_any_checkpoint(checkpoint, pdebench, tmp_path, capsys):
    file, out = pdebench("diffusion_reaction"), tmp_path / "scores.nc"
    words = ["--checkpoint", checkpoint, "--data", file, "--history", 4, "--steps", 2, "--out", out]
    assert main(["evaluate", *map(str, words)]) == 0
    baselines = ["persistence", "linear extrapolation", "climatology"]
    assert list(xr.load_dataset(out)["model"].values) == ["avit", *baselines]
    capsys.readouterr()
    assert main(["inspect", str(checkpoint)]) == 0
    shown = capsys.readouterr().out
    assert [word for word in ("PublishedAViT", *SYSTEMS, "MPP_AViT_Ti") if word not in shown] == []


@pytest.mark.parametrize(("size", "shape"), [("Ti", (192, 3, 12)), ("S", (384, 6, 12))])
def test_the_size_is_read_off_the_shapes(size, shape, tmp_path, capsys):
    model = PublishedAViT(RELEASED_SLOTS, RELEASED_COUNT, *shape)
    state = {released_name(name): value.half() for name, value in model.state_dict().items()}
    path, out = saved(tmp_path / "file", state), str(tmp_path / "avit")
    other = {"Ti": "S", "S": "Ti"}[size]
    assert main(["import-weights", str(path), "--out", out, "--size", other]) == 2
    assert f"expected an AViT of size {other}, got {size} (width" in capsys.readouterr().err
    assert not Path(out).exists()
    assert main(["import-weights", str(path), "--out", out, "--size", size]) == 0
    assert load(out).size == size


def test_an_existing_folder_is_kept_unless_told(checkpoint, released, tmp_path, capsys):
    before = json.loads((checkpoint / "model.json").read_text())
    other = {name: value + 1 for name, value in released.items()}
    words = ["import-weights", str(saved(tmp_path / "other", other)), "--out", str(checkpoint)]
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert json.loads((checkpoint / "model.json").read_text()) == before
    assert main([*words, "--overwrite"]) == 0
    assert capsys.readouterr().out == f"wrote {checkpoint}\n"
    assert json.loads((checkpoint / "model.json").read_text()) != before


BIAS = "blocks.0.temporal.rel_pos_bias.relative_attention_bias.weight"
WRONG = {
    "a folder": (lambda path, state: path.mkdir(), "cannot be read"),
    "text": (lambda path, state: path.write_text("hello"), "torch does not know its format"),
    "empty": (lambda path, state: path.write_bytes(b""), "torch does not know its format"),
    "code": (lambda path, state: torch.save(torch.nn.Linear(2, 2), path), "it holds code"),
    "a list": (lambda path, state: torch.save([1, 2], path), "got a list"),
    "no weights": (lambda path, state: torch.save({"epoch": 3}, path), "got the entries epoch"),
    "empty state": (lambda path, state: torch.save({"model_state": {}}, path), "under that name"),
    "numbers": (lambda path, state: saved(path, {"a": 3}), "something else under that name"),
    "whole numbers": (
        lambda path, state: saved(path, {**state, BIAS: torch.zeros(32, 2, dtype=int)}),
        "something else under that name",
    ),
    "another model": (
        lambda path, state: saved(path, torch.nn.Linear(2, 2).state_dict()),
        "expected an AViT",
    ),
    "one missing": (
        lambda path, state: saved(path, {k: v for k, v in state.items() if "debed.out_b" not in k}),
        "debed.out_bias missing",
    ),
    "one too many": (
        lambda path, state: saved(path, {**state, "blocks.99999999.x": torch.zeros(1)}),
        "unknown weights blocks.99999999.x",
    ),
    "no dims": (lambda path, state: saved(path, {**state, BIAS: torch.ones(())}), "has the shape"),
    "odd heads": (
        lambda path, state: saved(path, {**state, BIAS: torch.ones(32, 5)}),
        "a width of 32 with 5 heads",
    ),
    "other slots": (
        lambda path, state: saved(path, {**state, "space_bag.weight": torch.ones(8, 13)}),
        "expected (8, 13, 4, 4) for debed.out_kernel, got (8, 12, 4, 4)",
    ),
    "few slots": (
        lambda path, state: saved(path, {**state, "space_bag.weight": torch.ones(8, 3)}),
        "3 slots for fields, expected 12 or more",
    ),
    "not finite": (
        lambda path, state: saved(path, {**state, "space_bag.bias": torch.full((8,), torch.nan)}),
        "space_bag.bias is not finite",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_one_line_and_status_2(case, released, tmp_path, capfd):
    write, message = WRONG[case]
    write(tmp_path / "file", released)
    assert main(["import-weights", str(tmp_path / "file"), "--out", str(tmp_path / "avit")]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert "file" in lines[0]
    assert not (tmp_path / "avit").exists()


def test_no_file_is_one_line_and_status_2(tmp_path, capsys):
    assert main(["import-weights", str(tmp_path / "none"), "--out", str(tmp_path / "avit")]) == 2
    assert "none: no such file" in capsys.readouterr().err
