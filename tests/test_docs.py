"""The pages of docs/: every mapping in them is one, and every command runs, on small files."""

import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import yaml
from torch.distributed.run import get_args_parser

import mpp
from mpp.cli import pretrain
from mpp.cli.main import main
from mpp.data.convert import write
from mpp.data.mapping import Mapping
from mpp.model.axial import AxialTransformer

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
ELSEWHERE = {"reproducing"}
"""Pages whose commands `test_readme` runs."""
FEW = "--max-steps 3 --seeds 1 --sizes 1 --validation-runs 1 --test-runs 1 --lead-steps 1 3"
SMALLER = {"finetune": "--max-steps 3", "plan": "--checkpoint small --grid 32 32", "transfer": FEW}
"""What is added to a command so that it takes seconds."""
TUNE = "finetune --checkpoint mpp-mini --data runs.zarr --out tuned"
"""A command of several pages, which gives on equal data what it has given before."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_mapping_of_a_page_is_one(page):
    for text in blocks(page, "yaml"):
        entries = yaml.safe_load(text)
        assert set(Mapping.from_dict(entries).to_dict()) == set(entries)


def test_lines_in_the_text_are_mappings_too():
    lines = [line for page in PAGES for line in re.findall(r"`(\w+: [^`]+)`", page.read_text())]
    assert len(lines) >= 5
    for line in lines:
        assert Mapping.from_dict(yaml.safe_load(line)).to_dict(), line


def waves(folder: Path, names: str) -> None:
    """Runs of waves on faces and centres, in files of their own, as the pages speak of them."""
    (folder / "runs").mkdir()
    place = (np.arange(32) + 0.5) / 32
    for run in range(3):
        t, x, y = np.meshgrid(0.05 * np.arange(24), place, place, indexing="ij")
        with netCDF4.Dataset(folder / f"runs/{run}.nc", "w") as file:
            for dim, values in {"t": t[:, 0, 0], "xc": place, "yc": place}.items():
                file.createDimension(dim, values.size)
                file.createVariable(dim, "f8", dim)[:] = values
            for phase, name in enumerate(names):
                wave = np.sin(2 * np.pi * (x + y - (run + 1) * t + 0.25 * phase))
                file.createVariable(name, "f4", ("t", "xc", "yc"))[:] = wave


def convert(folder: Path) -> None:
    """What `mpp convert` makes of them, which pages that come later speak of."""
    ds = mpp.open_dataset(str(folder / "runs/*.nc"), boundary="periodic")
    write(ds, folder / "runs.zarr")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """The data of all pages but one, and what finetuning on them leaves."""
    folder = tmp_path_factory.mktemp("tuned")
    waves(folder, "U")
    convert(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(shlex.split(f"{TUNE} {SMALLER['finetune']}")) == 0
    return folder


def copy_tuned(tuned: Path, folder: Path) -> None:
    """What the finetuning of these data left; it was of the same data."""
    here, there = (mpp.open_dataset(path / "runs.zarr") for path in (folder, tuned))
    # What is told of the whole, such as where it comes from, no training looks at.
    assert here.drop_attrs(deep=False).identical(there.drop_attrs(deep=False))
    shutil.copytree(tuned / "tuned", folder / "tuned")


def pretraining(folder: Path) -> None:
    """A small pretraining on them, and a checkpoint of its model to plan with."""
    convert(folder)
    sizes = {"history": 3, "width": 16, "heads": 2, "depth": 1, "hidden": 8}
    model = {"class_path": "mpp.model.axial.AxialTransformer", "init_args": sizes}
    content = {"data": [str(folder / "runs.zarr")], "model": model, "max_steps": 2}
    (folder / "pretrain.yaml").write_text(yaml.safe_dump(content))
    mpp.save(AxialTransformer(["U"], **sizes), folder / "small")


def require_started(program: str, words: list[str]) -> None:
    """What launchers would start is there, and takes the options; `test_slurm` runs the scripts."""
    if program == "torchrun":
        asked = get_args_parser().parse_args(words)
        assert asked.module
        assert asked.training_script == "mpp"
        command, *options = asked.training_script_args
        assert command == "pretrain"
    else:
        assert program == "sbatch"
        assert (DOCS.parent / words[0]).is_file()
        options = words[1:]
    assert pretrain.parser().parse_args(options).accumulate


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if blocks(p, "sh") and p.stem not in ELSEWHERE],
    ids=lambda page: page.stem,
)
def test_every_command_of_a_page_runs(page, tmp_path, tuned, viewing, monkeypatch):
    folder, of_fields = tmp_path, page.stem == "bring-your-own-data"
    waves(folder, "UT" if of_fields else "U")
    monkeypatch.chdir(folder)
    if page.stem in ("finetuning", "scores"):
        convert(folder)
    if page.stem == "cost":
        pretraining(folder)
    if page.stem == "scores":
        copy_tuned(tuned, folder)
    lines = list(filter(None, "\n".join(blocks(page, "sh")).splitlines()))
    for line in lines:
        program, *words = shlex.split(line)
        if program != "mpp":
            require_started(program, words)
            continue
        if "--devices" in words:  # the command gives its process to torchrun
            command = [sys.executable, "-m", "mpp", *words]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert done.stdout.count("wrote ") == 1
            continue
        if words[0] == "view":  # goes on until it is ended
            with viewing([*words[1:], "--no-open"], folder) as address:
                assert urllib.request.urlopen(address).status == 200
            continue
        if shlex.join(words) == TUNE and not of_fields:
            copy_tuned(tuned, folder)
            continue
        more = shlex.split(SMALLER.get(words[0], ""))
        # The doctor finds that nothing says what the sides are, and writes down its guess.
        expected = 2 if words[0] == "doctor" else 0
        assert main([*words, *more]) == expected, line
    if any("finetune" in line for line in lines):
        assert (folder / "tuned" / "weights.safetensors").is_file()
