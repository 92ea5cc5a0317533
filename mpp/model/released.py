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

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mpp.errors import InputError
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

    Raises:
        InputError: No such file, not a checkpoint of weights, or one of another model.
    """
    return from_released(_read_weights(Path(path)), str(path))


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
    state = {name: weights[theirs].to(torch.float32, copy=True) for name, theirs in names.items()}
    model.load_state_dict(state, assign=True)
    return model.eval()


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the authors' released checkpoint")
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: not a file of weights that torch can read safely ({reason}); give the "
            "authors' released checkpoint"
        ) from None
    weights = found.get("model_state", found) if isinstance(found, dict) else found
    tensors = isinstance(weights, Mapping) and all(map(torch.is_tensor, weights.values()))
    if not tensors or not weights:
        raise InputError(
            f"{path}: expected weights by name under 'model_state', got "
            f"{type(weights).__name__}; give the authors' released checkpoint"
        )
    return dict(weights)


def _model_for(weights: Mapping[str, Tensor], source: str) -> PublishedAViT:
    """The empty model whose size the shapes of the weights tell."""
    numbers = [int(found[1]) for name in weights if (found := re.match(r"blocks\.(\d+)\.", name))]
    bias = "blocks.0.temporal.rel_pos_bias.relative_attention_bias.weight"
    for name in ("space_bag.weight", "blocks.0.temporal.gamma", bias):
        if name not in weights:
            raise InputError(f"{source}: expected an AViT, {name} missing; fetch it again")
    return PublishedAViT(
        RELEASED_SLOTS,
        slots=weights["space_bag.weight"].shape[-1],
        width=weights["blocks.0.temporal.gamma"].shape[0],
        heads=weights[bias].shape[-1],
        depth=max(numbers) + 1,
    )


def _few(names: set[str]) -> str:
    first = ", ".join(sorted(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"
