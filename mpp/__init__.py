"""Pretrain one model on many kinds of physics, then finetune it on your own simulations."""

import importlib
from typing import TYPE_CHECKING, Any

from mpp.errors import InputError

if TYPE_CHECKING:
    from mpp.batch import Batch
    from mpp.data.open import open_dataset
    from mpp.evaluation import evaluate
    from mpp.finetuning import finetune
    from mpp.inference import infer
    from mpp.rollouts import rollout
    from mpp.study.transfer import transfer
    from mpp.train.pretrain import pretrain
    from mpp.viz.figures import figures
    from mpp.viz.report import report
    from mpp.weights import load, save

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "InputError",
    "evaluate",
    "figures",
    "finetune",
    "infer",
    "load",
    "open_dataset",
    "pretrain",
    "report",
    "rollout",
    "save",
    "transfer",
]

_HOMES = {
    "Batch": "mpp.batch",
    "evaluate": "mpp.evaluation",
    "figures": "mpp.viz.figures",
    "finetune": "mpp.finetuning",
    "infer": "mpp.inference",
    "load": "mpp.weights",
    "open_dataset": "mpp.data.open",
    "pretrain": "mpp.train.pretrain",
    "report": "mpp.viz.report",
    "rollout": "mpp.rollouts",
    "save": "mpp.weights",
    "transfer": "mpp.study.transfer",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that reading a file does not import torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mpp' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
