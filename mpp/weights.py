"""Checkpoints to share: a folder with ``weights.safetensors`` and ``model.json``, never a pickle.

``model.json`` says which of this package's models it is, with which arguments and field names,
what it was trained on, and the SHA-256 of the weights, which is checked on loading.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from mpp import __version__
from mpp.adapters import add_adapter, serialized
from mpp.checkpoints import DESCRIPTION, WEIGHTS, locate
from mpp.errors import InputError
from mpp.files import make_folder, written_beside
from mpp.model.avit import PublishedAViT
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Surrogate

FORMAT = 2
MODELS: tuple[type[Surrogate], ...] = (AxialTransformer, PublishedAViT)
"""The models that a checkpoint can hold; a name that is not here is refused."""


def save(model: Surrogate, path: str | Path, card: dict[str, Any] | None = None) -> Path:
    """Write a model into the folder ``path``, replacing a checkpoint that is there.

    Args:
        model: One of this package's models.
        path: Folder of the checkpoint; made if it does not exist.
        card: What to record beside the weights: systems trained on, recipe, scores.

    Raises:
        InputError: There is no room for it, or the folder cannot be written.
    """
    known = {**model.card, **(card or {})}
    known.pop("sha256", None)  # of the weights that this model was loaded from
    folder = make_folder(Path(path))
    with (
        written_beside(folder / DESCRIPTION) as text,
        written_beside(folder / WEIGHTS) as fresh,
    ):
        # Not safetensors' own `save_file`, which lets nobody else read the file.
        fresh.write_bytes(serialized(model))
        description = {
            "format": FORMAT,
            "mpp": __version__,
            "model": type(model).__name__,
            "arguments": model.arguments,
            "card": known,
            "sha256": _digest(fresh),
        }
        text.write_text(json.dumps(description, indent=2) + "\n")
    return folder


def describe(checkpoint: str | Path) -> dict[str, Any]:
    """What ``model.json`` of a checkpoint says.

    Args:
        checkpoint: A folder, the name of a shipped checkpoint, or ``hf://owner/name``.

    Raises:
        InputError: There is no such checkpoint, or its description cannot be read.
    """
    return _described(locate(checkpoint) / DESCRIPTION)


def _described(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
        for key, kind in (("arguments", dict), ("card", dict), ("sha256", str)):
            if not isinstance(found[key], kind):
                raise TypeError(f"{key} is {found[key]!r}")
        return {
            key: found[key] for key in ("format", "mpp", "model", "arguments", "card", "sha256")
        }
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file}: not a description of a model ({error}); fetch it again"
        ) from None


def load(checkpoint: str | Path, adapter: str | Path | None = None) -> Surrogate:
    """Read the model of a checkpoint; its card also holds the SHA-256 of the weights.

    Args:
        checkpoint: A folder, the name of a shipped checkpoint such as ``mpp-mini``, or
            ``hf://owner/name`` for one on the Hugging Face Hub (extra ``hub``).
        adapter: What ``mpp finetune --mode lora`` changed of that checkpoint, a file.

    Raises:
        InputError: No checkpoint, an unknown model, weights that are damaged or do not fit, or an
            adapter of another checkpoint.
    """
    path = locate(checkpoint)
    found = _described(path / DESCRIPTION)
    if found["format"] != FORMAT:
        raise InputError(
            f"{path}: format {found['format']!r}, written by mpp {found['mpp']}; this version "
            f"({__version__}) reads format {FORMAT}, install the one that wrote it"
        )
    known = {model.__name__: model for model in MODELS}
    if str(found["model"]) not in known:
        raise InputError(f"{path}: unknown model {found['model']!r}; expected {', '.join(known)}")
    file = path / WEIGHTS
    if not file.is_file() or _digest(file) != found["sha256"]:
        raise InputError(f"{file}: missing or damaged (its SHA-256 differs); fetch it again")
    try:
        model = known[found["model"]](**found["arguments"])
        model.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: the weights do not fit the model: {error}") from None
    model.card = {**found["card"], "sha256": found["sha256"]}
    return model.eval() if adapter is None else add_adapter(model, adapter)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
