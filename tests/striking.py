"""Reads the package once; each line then asks for a command in a fork, struck by a signal there.

A line holds the signal, the place, at which of its calls, the command's words and a file for what
it says. The answer is its exit status, negative for a signal.
"""

import gc
import importlib
import json
import os
import signal
import sys
import traceback

import xarray as xr

from mpp.cli.main import main
from mpp.study import closing
from mpp.train import states
from mpp.train.finetune import FinetuningModule
from mpp.train.modules import TrainingModule

PLACES = {
    "batch": (TrainingModule, "training_step"),
    "step": (FinetuningModule, "on_train_batch_start"),
    "validation": (TrainingModule, "validation_step"),
    "checkpoint": (states, "_write"),
    "writing": (states.os, "fsync"),
    "renaming": (states.Path, "replace"),
    "scoring": (closing, "score"),
}


def strike_at(what, where, count):
    owner, name = PLACES[where]
    usual, calls = getattr(owner, name), [0]

    def struck(*args, **options):
        calls[0] += 1
        if calls[0] == count:
            os.kill(os.getpid(), getattr(signal, what))
        return usual(*args, **options)

    setattr(owner, name, struck)


if __name__ == "__main__":
    for command in ("finetune", "pretrain", "transfer"):
        importlib.import_module(f"mpp.cli.{command}")
    for module in ("mpp.train.pretrain", "mpp.finetuning", "mpp.data.open", "mpp.study.record"):
        importlib.import_module(module)
    xr.backends.list_engines()  # reads their packages
    gc.freeze()
    for line in sys.stdin:
        strike, words, said = json.loads(line)
        sys.stdout.flush()
        child = os.fork()
        if not child:
            for stream in (1, 2):
                os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
            strike_at(*strike)
            try:
                os._exit(main(words))
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(99)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201
