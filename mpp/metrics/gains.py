r"""What a head start is worth, from two learning curves: error against number of training runs.

With :math:`e_s(n)` the error from scratch and :math:`e_f(n)` that of the finetuned model,

.. math:: \mathrm{AG}(n) = \frac{e_s(n)}{e_f(n)}, \qquad
          \mathrm{EG}(n) = \frac{n}{e_f^{-1}(e_s(n))} .

The accuracy gain is how many times smaller the error is with as many runs, the efficiency gain how
many times fewer runs reach the same error. Between the sizes that were measured a curve is taken
as a straight line in the logarithms. Trainings scatter, so a curve need not fall everywhere: a
size counts as reaching an error only if all larger ones reach it too, so that a single lucky
training is no gain.

Source: Herde et al., Poseidon (NeurIPS 2024); there the baseline is another network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

Sign = Literal["", "≤", "≥", "<", ">"]
INVERSE: dict[Sign, Sign] = {"": "", "≤": "≥", ">": "<"}
"""What is known of one over a number of which this is known."""


@dataclass(frozen=True)
class Bounded:
    """A number, or a bound of it where the measured sizes end before it is reached.

    Args:
        value: The number or its bound.
        sign: How the number stands to ``value``; empty where it is equal to it.
    """

    value: float
    sign: Sign = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.value:.3g}".strip()


def accuracy_gains(
    finetuned: Float[np.ndarray, " size"], scratch: Float[np.ndarray, " size"]
) -> Float[np.ndarray, " size"]:
    """AG at each size: the error from scratch over the finetuned one, with as many runs.

    Infinite where only scratch diverged, 0 where only the finetuned model did, NaN where both did.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return _worst(scratch) / _worst(finetuned)


def efficiency_gains(
    sizes: Sequence[int],
    finetuned: Float[np.ndarray, " size"],
    scratch: Float[np.ndarray, " size"],
) -> list[Bounded]:
    """EG at each size: this size over the finetuned runs that reach its error from scratch.

    Args:
        sizes: Numbers of runs, rising.
        finetuned: Errors of the finetuned model.
        scratch: Errors from scratch.
    """
    needed = [runs_needed(sizes, finetuned, float(error)) for error in scratch]
    return [Bounded(n / k.value, INVERSE[k.sign]) for n, k in zip(sizes, needed, strict=True)]


def runs_needed(sizes: Sequence[int], errors: Float[np.ndarray, " size"], wanted: float) -> Bounded:
    """The number of runs from which on a learning curve is at or below an error.

    At most the smallest size where that reaches it, more than the largest where none does.

    Args:
        sizes: Numbers of runs, rising.
        errors: The error at each; one that is not finite reaches nothing.
        wanted: The error to reach.

    Examples:
        >>> runs_needed([1, 4], np.array([0.4, 0.1]), 0.2)
        Bounded(value=2.0, sign='')
    """
    worst_from = np.maximum.accumulate(_worst(errors)[::-1])[::-1]
    reached = np.isfinite(worst_from) & (worst_from <= _worst(np.array(wanted)))
    if not reached.any():
        return Bounded(float(sizes[-1]), ">")
    place = int(reached.argmax())
    before, after = worst_from[max(place - 1, 0)], worst_from[place]
    if place == 0 or not (np.isfinite(before) and after > 0):
        return Bounded(float(sizes[place]), "" if after == wanted and place else "≤")
    share = np.log(before / wanted) / np.log(before / after)
    return Bounded(float(sizes[place - 1] * (sizes[place] / sizes[place - 1]) ** share))


def _worst(errors: np.ndarray) -> np.ndarray:
    """A forecast that is not finite is as bad as can be."""
    return np.where(np.isfinite(errors), errors, np.inf)
