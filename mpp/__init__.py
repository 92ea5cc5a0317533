"""Pretrain one model on many kinds of physics, then finetune it on your own simulations."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mpp.errors import InputError

if TYPE_CHECKING:
    from mpp.batch import Batch
    from mpp.data.open import open_dataset
    from mpp.evaluate import evaluate
    from mpp.finetuning import finetune
    from mpp.rollout import rollout
    from mpp.train.pretrain import pretrain
    from mpp.viz.figures import figures
    from mpp.weights import load, save

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "InputError",
    "evaluate",
    "figures",
    "finetune",
    "load",
    "open_dataset",
    "pretrain",
    "rollout",
    "save",
]

_HOMES = {
    "Batch": "mpp.batch",
    "evaluate": "mpp.evaluate",
    "figures": "mpp.viz.figures",
    "finetune": "mpp.finetuning",
    "load": "mpp.weights",
    "open_dataset": "mpp.data.open",
    "pretrain": "mpp.train.pretrain",
    "rollout": "mpp.rollout",
    "save": "mpp.weights",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that reading a file does not import torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mpp' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


class _Package(ModuleType):
    """Keeps ``mpp.rollout`` a function, though importing the module of that name would hide it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
