"""Reads a checkpoint of Multiple Physics Pretraining as its authors released it.

The authors' files hold the weights under ``model_state``, named as in their code. The twelve slots
for fields were filled set by set, in the order of the authors' table of data:

====  ===========================  ==========================================
slot  set (all from PDEBench)      field
====  ===========================  ==========================================
0     shallow water                height
1-3   incompressible flow          velocity_x, velocity_y, tracer (particles)
4-5   diffusion-reaction           activator, inhibitor
6-9   compressible flow            velocity_x, velocity_y, density, pressure
10    (unused)
11    (unused)
====  ===========================  ==========================================

A batch whose ``system`` is none of these names takes the set that has all of its fields and the
fewest others: velocities alone are an incompressible flow, with a pressure a compressible one.
"""

import hashlib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mpp.errors import InputError
from mpp.fields import known_field
from mpp.model.avit import PublishedAViT

RELEASED_SLOTS: dict[str, dict[str, int]] = {
    "shallow_water": {"height": 0},
    "incompressible_flow": {"velocity_x": 1, "velocity_y": 2, "tracer": 3, "particles": 3},
    "diffusion_reaction": {"activator": 4, "inhibitor": 5},
    "compressible_flow": {"velocity_x": 6, "velocity_y": 7, "density": 8, "pressure": 9},
}
RELEASED_COUNT = 12

_RENAMED = {
    "stem.fields.": "space_bag.",
    "stem.steps.": "embed.in_proj.",
    "head.steps.": "debed.out_proj.",
    "head.fields.weight": "debed.out_kernel",
    "head.fields.bias": "debed.out_bias",
    ".mlp.widen.": ".spatial.mlp.fc1.",
    ".mlp.narrow.": ".spatial.mlp.fc2.",
    ".mlp.norm.": ".spatial.mlp_norm.",
    ".mlp.gain": ".spatial.gamma_mlp",
    ".space.attention.gain": ".spatial.gamma_att",
    ".time.attention.gain": ".temporal.gamma",
    ".space.": ".spatial.",
    ".time.": ".temporal.",
    ".attention.": ".",
    ".norm_in.": ".norm1.",
    ".norm_out.": ".norm2.",
    ".project.": ".input_head.",
    ".merge.": ".output_head.",
    ".query_norm.": ".qnorm.",
    ".key_norm.": ".knorm.",
    ".distance_bias.rows": ".rel_pos_bias.relative_attention_bias.weight",
    ".unused_bias": ".bias",
}
"""Parts of this package's names of weights and the authors', applied one after the other."""


def released_name(name: str) -> str:
    """The authors' name of a weight of `PublishedAViT`."""
    for own, theirs in _RENAMED.items():
        name = name.replace(own, theirs)
    return name


def read_released(path: str | Path) -> PublishedAViT:
    """Read a released checkpoint of any size, with or without the ``module.`` of parallel training.

    No code in the file is run. Checkpoints that the authors' code finetuned are read as well; slots
    beyond the twelve are kept, without a field name.

    Args:
        path: The authors' file, for instance ``MPP_AViT_Ti``.

    Returns:
        The model, in evaluation mode; its card names the systems of the slots, and the file.

    Raises:
        InputError: No such file, not a checkpoint of weights, or one of another model.
    """
    file = Path(path)
    model = from_released(_read_weights(file), str(file))
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    model.card = {
        "systems": list(RELEASED_SLOTS),
        "fields": {name: known_field(name).attrs() for name in model.names},
        "recipe": {"imported_from": file.name, "imported_sha256": digest},
    }
    return model


def from_released(weights: Mapping[str, Tensor], source: str = "the weights") -> PublishedAViT:
    """Build the model that weights under the authors' names belong to.

    Args:
        weights: The authors' state, by name.
        source: What to call the weights in an error.

    Raises:
        InputError: Weights are missing, left over, or of the wrong shape.
    """
    weights = {name.removeprefix("module."): value for name, value in weights.items()}
    with torch.device("meta"):
        model = _model_for(weights, source)
    names = {name: released_name(name) for name in model.state_dict()}
    left_over = weights.keys() - set(names.values())
    if left_over:
        raise InputError(
            f"{source}: unknown weights {_few(left_over)} beside those of an AViT; give a "
            "checkpoint of the authors' AViT with relative position bias"
        )
    missing = set(names.values()) - weights.keys()
    if missing:
        raise InputError(f"{source}: expected an AViT, {_few(missing)} missing; fetch it again")
    for name, own in model.state_dict().items():
        if weights[names[name]].shape != own.shape:
            raise InputError(
                f"{source}: expected {tuple(own.shape)} for {names[name]}, got "
                f"{tuple(weights[names[name]].shape)}; fetch it again"
            )
        if not torch.isfinite(weights[names[name]]).all():
            raise InputError(f"{source}: {names[name]} is not finite; fetch it again")
    state = {name: weights[theirs].to(torch.float32, copy=True) for name, theirs in names.items()}
    model.load_state_dict(state, assign=True)
    return model.eval()


def _read_weights(path: Path) -> dict[str, Tensor]:
    advice = "give the authors' released checkpoint"
    if not path.exists():
        raise InputError(f"{path}: no such file; {advice}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of other formats is said below
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {advice}") from None
    except Exception as error:  # on a file that is not its own, torch fails in many ways
        code = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it holds code, {code[1]}" if code else "torch does not know its format"
        raise InputError(
            f"{path}: not a file of weights that can be read safely ({reason}); {advice}"
        ) from None
    weights = found.get("model_state", found) if isinstance(found, dict) else found
    if not isinstance(weights, Mapping) or not weights or not all(map(_is_weight, weights.items())):
        raise InputError(
            f"{path}: expected weights by name under 'model_state', got {_kind(found)}; {advice}"
        )
    return dict(weights)


def _is_weight(item: tuple[Any, Any]) -> bool:
    name, value = item
    dense = torch.is_tensor(value) and value.layout == torch.strided
    return isinstance(name, str) and dense and value.is_floating_point()


def _kind(found: Any) -> str:
    """What a file holds, in a few words."""
    if not isinstance(found, Mapping):
        return f"a {type(found).__name__}"
    if "model_state" in found:
        return "something else under that name"
    return f"the entries {_few({str(name) for name in found})}" if found else "nothing"


def _model_for(weights: Mapping[str, Tensor], source: str) -> PublishedAViT:
    """The empty model whose size the shapes of the weights tell."""
    found = (re.match(r"blocks\.(\d+)\.", name) for name in weights)
    blocks = {int(number[1]) for number in found if number}
    bias = "blocks.0.temporal.rel_pos_bias.relative_attention_bias.weight"
    for name, dims in (("space_bag.weight", 2), ("blocks.0.temporal.gamma", 1), (bias, 2)):
        if name not in weights:
            raise InputError(f"{source}: expected an AViT, {name} missing; fetch it again")
        if weights[name].ndim != dims or not weights[name].numel():
            shape = tuple(weights[name].shape)
            raise InputError(f"{source}: {name} has the shape {shape}; fetch it again")
    width, heads = weights["blocks.0.temporal.gamma"].shape[0], weights[bias].shape[1]
    if width % heads or width % 4:
        raise InputError(f"{source}: a width of {width} with {heads} heads; fetch it again")
    slots = weights["space_bag.weight"].shape[1]
    if slots < RELEASED_COUNT:
        raise InputError(
            f"{source}: {slots} slots for fields, expected {RELEASED_COUNT} or more; give weights "
            "trained on all systems of the authors' table"
        )
    return PublishedAViT(RELEASED_SLOTS, slots, width, heads, depth=len(blocks))


def _few(names: set[str]) -> str:
    first = ", ".join(sorted(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"
