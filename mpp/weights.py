"""Checkpoints to share: a folder with ``weights.safetensors`` and ``model.json``, never a pickle.

``model.json`` says which of this package's models it is, with which arguments and field names,
what it was trained on, and the SHA-256 of the weights, which is checked on loading. Nothing in
either file is trusted: a class that is not one of this package's, an argument of another kind and
a model larger than the file of weights are refused before anything is made of them.
"""

import hashlib
import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from mpp import __version__
from mpp.adapters import add_adapter, serialized
from mpp.checkpoints import DESCRIPTION, WEIGHTS, locate
from mpp.errors import InputError
from mpp.files import make_folder, written_beside
from mpp.memory import AtMost
from mpp.model.avit import PublishedAViT
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Surrogate

FORMAT = 2
MODELS: tuple[type[Surrogate], ...] = (AxialTransformer, PublishedAViT)
"""The models that a checkpoint can hold; a name that is not here is refused."""
KINDS = {"format": int, "mpp": str, "model": str, "arguments": dict, "card": dict, "sha256": str}
"""What a description holds, and as what."""
CARD = {"systems": list, "fields": dict, "numbers": dict, "system_numbers": dict}
"""The same of what other parts of this package read in a card, where it is there."""
PARTS = ("depth", "levels", "local_in", "local_out")
"""Arguments that count parts of a model, each of which has weights of its own."""
SPARE = 2**16
"""Numbers that a model may make for a moment beyond those it keeps."""


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
        found = json.loads(file.read_text(encoding="utf-8"))
        described = {key: found[key] for key in KINDS}
        _require(described, KINDS)
        card = described["card"]
        _require(card, CARD)
        for part in ("fields", "numbers"):
            _require(card.get(part, {}), dict.fromkeys(card.get(part, {}), dict))
        _require_names(described["arguments"].get("names", []))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{file}: not a description of a model ({error}); fetch it again"
        ) from None
    return described


def _require(found: dict[str, Any], kinds: Mapping[str, type]) -> None:
    for key, kind in kinds.items():
        if key in found and not isinstance(found[key], kind):
            raise TypeError(f"{key} is a {type(found[key]).__name__}, expected a {kind.__name__}")


def _require_names(names: Any) -> None:
    """Names in a list, or slots by system and name."""
    if isinstance(names, dict):
        _require(names, dict.fromkeys(names, dict))
        for rows in names.values():
            _require(rows, dict.fromkeys(rows, int))
    elif not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("names is no list of names")


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
        with _sized_by(file, found["arguments"]):
            model = known[found["model"]](**found["arguments"])
        model.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: the weights do not fit the model: {error}") from None
    model.card = {**found["card"], "sha256": found["sha256"]}
    return model.eval() if adapter is None else add_adapter(model, adapter)


def _sized_by(file: Path, arguments: dict[str, Any]) -> AtMost:
    """Lets a model be made that has no more parts and numbers than the file has.

    Raises:
        ValueError: The arguments ask for more parts.
    """
    with safe_open(file, framework="pt") as weights:
        sizes = [prod(weights.get_slice(name).get_shape()) for name in weights.keys()]  # noqa: SIM118
    for name in PARTS:
        if isinstance(number := arguments.get(name), int) and number > len(sizes):
            raise ValueError(f"{name} is {number}, and the file holds {len(sizes)} weights")
    return AtMost(2 * sum(sizes) + SPARE)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
