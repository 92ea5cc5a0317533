"""What the rows of a field that is new to a model start from: those of an old one, or zero."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from mpp.batch import Batch
from mpp.devices import placed
from mpp.errors import InputError
from mpp.model.axial import AxialTransformer
from mpp.model.lora import tables
from mpp.train.loss import change_loss

ZERO = "zero"
"""Stands for no donor: rows of zeros, with which a field neither says nor changes anything."""
LIKELY = 3
"""Donors left when a few windows have been looked at. No target chose another for it."""


def require_donors(model: AxialTransformer, names: Sequence[str], given: Mapping[str, str]) -> None:
    """Refuse donors that name something else than new fields and old ones.

    Args:
        model: The model before it grows.
        names: Fields of the data.
        given: A donor, or `ZERO`, by new field.

    Raises:
        InputError: A name that the data or the model does not have, or a field that is not new.
    """
    for new, old in given.items():
        if new not in names:
            raise InputError(
                f"donor {new}={old}: the data has no field {new} (it has {', '.join(names)}); "
                "give NEW=OLD with a field of the data first"
            )
        if new in model.names:
            raise InputError(
                f"donor {new}={old}: the model knows {new} already and keeps its rows; leave this "
                "donor out, or rename the variable"
            )
        if old not in model.names and old != ZERO:
            raise InputError(
                f"donor {new}={old}: the model has no field {old}; give one of "
                f"{', '.join(model.names)}, or {ZERO}"
            )


def grow_from(model: AxialTransformer, names: Sequence[str], donors: Mapping[str, str]) -> None:
    """Add the names that are new, each with the rows of its donor, zeros, or random ones."""
    old = len(model.names)
    model.grow(names, {new: donor for new, donor in donors.items() if donor != ZERO})
    empty = [old + n for n, name in enumerate(model.names[old:]) if donors.get(name) == ZERO]
    with torch.no_grad():
        for name, owner, table in tables(model):
            if not name.startswith("numbers"):
                getattr(owner, table)[empty] = 0


@torch.inference_mode()
def choose_donors(
    model: AxialTransformer,
    trial: Batch,
    scales: dict[str, tuple[float, float]],
    given: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """For each field new to the model, the old field whose rows predict it best without training.

    Every fourth window weeds out all but `LIKELY` of them, which all windows then decide between.
    New fields are tried one after another, on a model that has only the fields settled so far, so
    that the number of trials is the product of new and old names, not a power of it. Static maps
    and the mask, which may be new as well, are not shown to it.

    Args:
        model: The model before it grows; it is left as it is.
        trial: Windows of the new data.
        scales: RMS of value and change of the new data's fields.
        given: Donors that are settled beforehand.

    Returns:
        A donor by new name: those given, then fields that evolve, in the order of the batch.
    """
    donors = dict(given or {})
    old = [
        name
        for name in model.names
        if model.card.get("fields", {}).get(name, {}).get("role") is None
    ]
    new = [name for name in trial.names if name not in model.names and name not in donors]
    with placed(model) as there:
        trial = trial.to(there)
        few = trial.rows(range(0, trial.samples, 4))
        for name in new:
            settled = [n for n in trial.names if n in model.names or n in donors]
            likely = old
            for windows, kept in ((few, LIKELY), (trial, 1)):
                seen = _select(windows, [*settled, name])
                losses = {
                    donor: _trial_loss(model, seen, scales, {**donors, name: donor})
                    for donor in likely
                }
                likely = sorted(losses, key=losses.__getitem__)[:kept]
            (donors[name],) = likely
    return donors


def _select(batch: Batch, names: Sequence[str]) -> Batch:
    channels = [batch.names.index(name) for name in names]
    return replace(
        batch, values=batch.values[:, :, channels], fields=tuple(batch.fields[c] for c in channels)
    )


def _trial_loss(
    model: AxialTransformer,
    trial: Batch,
    scales: dict[str, tuple[float, float]],
    donors: dict[str, str],
) -> float:
    grown = copy.deepcopy(model).eval()
    grow_from(grown, list(donors), donors)
    grown.set_scales({name: pair for name, pair in scales.items() if name in trial.names})
    usual = grown.change_scale[[grown.names.index(name) for name in trial.names]]
    values = trial.values
    if trial.mask is not None:
        values = torch.where(trial.mask[:, None, None], values, 0)
    seen = replace(trial, values=values, static=None, static_fields=(), mask=None)
    predicted = grown(seen.window(0, trial.frames - 1))
    return float(change_loss(predicted, values, usual, trial.mask)[:, :, -1].mean())
