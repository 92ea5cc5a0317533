"""Adapter files: what low-rank finetuning changed, for those who have the checkpoint.

One safetensors file holds the factors, the rows of new fields and numbers, and in its metadata what
the model's card says, the SHA-256 of all that, which is checked on loading, and the SHA-256 of the
base's weights, without which it means nothing.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn

from mpp.errors import InputError
from mpp.files import written_beside
from mpp.memory import AtMost
from mpp.model.axial import AxialTransformer
from mpp.model.lora import adapt, adapters, attach, merge
from mpp.model.surrogate import Surrogate

FORMAT = "mpp adapter 1"
SCALES = ("value_scale", "change_scale")
NUMBERS = ("kind", "size", "mean", "spread", "low", "high")


def serialized(model: nn.Module) -> bytes:
    """A model's weights as safetensors, which is what `mpp.save` writes of them."""
    return serialize({name: value.contiguous() for name, value in model.state_dict().items()})


def weights_hash(model: nn.Module) -> str:
    """SHA-256 of a model's weights, which is that of their file."""
    return hashlib.sha256(serialized(model)).hexdigest()


def save_adapter(
    adapted: AxialTransformer, base: AxialTransformer, rank: int, card: dict[str, Any], path: Path
) -> None:
    """Write what was trained of an adapted model that is not merged yet.

    Args:
        adapted: The model with its adapters.
        base: The model that it started from.
        rank: Rank of the adapters.
        card: The card of the tuned model.
        path: The file.
    """
    tensors = dict(adapters(adapted))
    tensors |= {name: getattr(adapted, name) for name in SCALES}
    tensors |= {f"numbers.{name}": getattr(adapted.numbers, name) for name in NUMBERS}
    told = {
        "format": FORMAT,
        "base_sha256": weights_hash(base),
        "rank": str(rank),
        "names": json.dumps(adapted.names),
        "numbers": json.dumps(adapted.numbers.names),
        "card": json.dumps(card),
    }
    whole = {name: value.contiguous() for name, value in tensors.items()}
    told["sha256"] = _digest(told, whole)
    with written_beside(path) as unfinished:
        unfinished.write_bytes(serialize(whole, told))


def add_adapter(base: Surrogate, path: str | Path) -> AxialTransformer:
    """The tuned model that an adapter file makes of its base, which stays as it is.

    Args:
        base: The model that was finetuned, as `mpp.load` returns it.
        path: ``adapter.safetensors``, as ``mpp finetune --mode lora`` wrote it.

    Raises:
        InputError: No adapter file, a damaged one, or one of another base.
    """
    told, tensors = _read(Path(path))
    wanted = told.get("base_sha256", "not told")
    if not isinstance(base, AxialTransformer) or wanted != weights_hash(base):
        name = base.card.get("sha256", "unsaved weights")[:12]
        raise InputError(
            f"{path}: an adapter of the weights {wanted[:12]}, and the model given has {name}; "
            "load the checkpoint that it was finetuned from"
        )
    model = copy.deepcopy(base)
    held = sum(tensor.numel() for tensor in (*tensors.values(), *model.parameters()))
    try:
        with AtMost(2 * held):
            _put_in(model, told, tensors)
    except (KeyError, RuntimeError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: does not fit its own description: {error}") from None
    return model.requires_grad_(True).eval()


def _put_in(model: AxialTransformer, told: dict[str, str], tensors: dict[str, Tensor]) -> None:
    """Change a base as the file says."""
    names, others, card = (json.loads(told[key]) for key in ("names", "numbers", "card"))
    if not isinstance(card, dict) or not all(isinstance(name, str) for name in (*names, *others)):
        raise TypeError("its names or its card are of another kind")
    fields, numbers = len(model.names), len(model.numbers.names)
    model.grow(names)
    model.numbers.grow(others)
    adapt(model, int(told["rank"]), fields, numbers)
    attach(model, tensors)
    merge(model)
    for owner, kept, prefix in ((model, SCALES, ""), (model.numbers, NUMBERS, "numbers.")):
        for name in kept:
            getattr(owner, name).copy_(tensors[f"{prefix}{name}"])
    model.card = card


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected an adapter of mpp finetune --mode lora")
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{path}: cannot be read ({error}); fetch it again") from None
    if told.get("format") != FORMAT:
        raise InputError(
            f"{path}: not an adapter (format {told.get('format', 'not told')!r}, expected "
            f"{FORMAT!r}); give the adapter.safetensors of mpp finetune --mode lora"
        )
    if "sha256" in told and told["sha256"] != _digest(told, tensors):  # earlier ones have none
        raise InputError(f"{path}: damaged (its SHA-256 differs); fetch it again")
    return told, tensors


def _digest(told: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of an adapter but for the hash that it carries."""
    digest = hashlib.sha256()
    for name, words in sorted(told.items()):
        if name != "sha256":
            digest.update(f"{name}={words}\0".encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\0".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
