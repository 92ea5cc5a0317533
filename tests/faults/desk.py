"""All that the commands need, made once, and a command line that works for each of them."""

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
import yaml

from mpp.cli.main import main
from mpp.model.avit import PublishedAViT
from mpp.model.axial import AxialTransformer
from mpp.model.numbers import Transform
from mpp.model.released import RELEASED_COUNT, RELEASED_SLOTS, released_name
from mpp.schema import example
from mpp.weights import save

TINY = {"history": 3, "width": 16, "heads": 2, "depth": 1, "hidden": 8, "fine": 2, "coarse": 2}


@dataclass(frozen=True)
class Told:
    """How a command ended."""

    status: int
    out: str
    err: str

    def refused(self, expected: str = "") -> str:
        """The one line of a user's mistake."""
        assert self.status == 2, (self.status, self.err)
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("mpp "), self.err
        assert "Traceback" not in self.err + self.out
        assert re.search(expected, self.err), (expected, self.err)
        return self.err


def call(*words: Any) -> Told:
    """Run a command in this process; an error that is no user's mistake comes through."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(word) for word in words])
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Told(status, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Desk:
    """Where everything is."""

    folder: Path

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    @property
    def runs(self) -> Path:
        return self.folder / "runs.nc"

    @property
    def rollout(self) -> Path:
        return self.folder / "rollout.nc"

    @property
    def estimates(self) -> Path:
        return self.folder / "estimates.nc"

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def system(self) -> Path:
        return self.folder / "systems" / "waves"

    @property
    def released(self) -> Path:
        return self.folder / "MPP_AViT"

    def words(self, command: str, out: Path, data: Any = None, checkpoint: Any = None) -> list[Any]:
        """A command line that works where neither data nor checkpoint is another one."""
        data, tuned = data or self.runs, ["--checkpoint", checkpoint or self.checkpoint]
        return {
            "generate": ["generate", data if data != self.runs else self.system, "--workers", 1],
            "convert": ["convert", data],
            "pretrain": ["pretrain", "--config", self.config, "--data", data],
            "finetune": ["finetune", *tuned, "--data", data, "--max-steps", 2],
            "rollout": ["rollout", *tuned, "--data", data, "--steps", 3],
            "evaluate": ["evaluate", *tuned, "--data", data, "--steps", 3],
            "transfer": [
                "transfer", *tuned, "--data", data, "--max-steps", 2, "--sizes", 1, "--seeds", 1,
                "--lead-steps", 1, "--test-runs", 2, "--validation-runs", 1,
            ],
            "infer": ["infer", *tuned, "--data", data],
            "figures": ["figures", self.rollout if data == self.runs else data],
            "report": ["report", self.rollout if data == self.runs else data],
            "import-weights": ["import-weights", data if data != self.runs else self.released],
            "demo": [
                "demo", *tuned, "--datasets", self.folder / "systems", "--runs", 2, "--test-runs",
                1, "--resolution", 8, "--steps", 1, "--lead", 1,
            ],
            "doctor": ["doctor", data],
            "inspect": ["inspect", checkpoint or self.checkpoint],
            "plan": ["plan", *tuned, "--data", data, "--on", "h100"],
            "view": ["view", self.rollout if data == self.runs else data, "--no-open"],
        }[command] + ([] if command in WRITES_NOTHING else ["--out", out])  # fmt: skip


WRITES_NOTHING = ("doctor", "inspect", "plan", "view")
OUT = {
    "generate": "made",
    "convert": "out.nc",
    "pretrain": "run",
    "finetune": "tuned",
    "rollout": "out.nc",
    "evaluate": "out.nc",
    "transfer": "study",
    "infer": "out.nc",
    "figures": "pictures",
    "report": "page.html",
    "import-weights": "avit",
}
"""What each command that writes is told to write."""
READS = ("convert", "pretrain", "finetune", "rollout", "evaluate", "transfer", "infer", "doctor")
"""Commands that take runs in any format."""
SHOWS = ("figures", "report")
LOADS = ("finetune", "rollout", "evaluate", "transfer", "infer", "inspect")
"""Commands that take a checkpoint."""


def make(folder: Path, waves: Any) -> Desk:
    """Make everything; ``waves`` is the system that there is to generate."""
    desk = Desk(folder)
    torch.manual_seed(0)
    model = AxialTransformer(("tracer", "velocity_x"), **TINY)
    model.learn_numbers({"diffusivity": Transform.fit(np.array([0.01, 1.0]))})
    model.card = {"systems": ["example"], "numbers": {"diffusivity": {"units": "m2 s-1"}}}
    save(model, desk.checkpoint)
    runs(5, 8).to_netcdf(desk.runs, engine="h5netcdf")
    named = {"class_path": "mpp.model.axial.AxialTransformer", "init_args": TINY}
    desk.config.write_text(yaml.safe_dump({"max_steps": 2, "batch_size": 2, "model": named}))
    waves.write(desk.system, waves.SPEC.replace("frames: 3", "frames: 8"))
    avit = PublishedAViT(RELEASED_SLOTS, RELEASED_COUNT, width=32, heads=2, depth=1)
    torch.save({released_name(k): v for k, v in avit.state_dict().items()}, desk.released)
    for command, made in (("rollout", desk.rollout), ("infer", desk.estimates)):
        assert call(*desk.words(command, made)).status == 0
    return desk


def runs(samples: int, frames: int) -> xr.Dataset:
    """The example with noise: what a training has something to learn from."""
    ds = example((8, 8), samples, frames)
    noise = np.random.default_rng(0).standard_normal(ds["tracer"].shape)
    return ds.assign(tracer=ds["tracer"] + 0.1 * noise)


def tree(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"a folder"
        for path in sorted(folder.rglob("*"))
    }


@contextlib.contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file may grow beyond that many bytes in this process, as on a disk that is full."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
