"""How tests call the scripts of benchmarks/."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@dataclass(frozen=True)
class Told:
    """How a script ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def scripts(monkeypatch) -> Callable:
    """Imports a module of the folder as its neighbours do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    # The folder has a file `numbers.py`, as Python has a module.
    sys.modules.setdefault("numbers", importlib.import_module("numbers"))
    return importlib.import_module


@pytest.fixture
def command(scripts, monkeypatch, capsys) -> Callable[..., Told]:
    """Runs a script as its command does, in this process, which has read the package already.

    Processes that it starts read only what they need, as this one is no script to be read again.
    """

    def run(name: str, *words: object) -> Told:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
        status, threads = 0, torch.get_num_threads()
        capsys.readouterr()
        try:
            if name == "numbers":  # taken by Python's; all that the script does is to call this
                scripts("number_study").main("numbers")
            else:
                scripts(name).main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        finally:
            torch.set_num_threads(threads)
        return Told(status, *capsys.readouterr())

    return run
