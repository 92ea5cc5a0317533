"""The learning rate over a run, as a factor of its level, set anew at every optimizer step."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mpp.errors import InputError, require_at_least

Schedule = Callable[..., Any]
"""Takes an optimizer, whose groups' rates are the level, and the run's steps; gives a scheduler.

The steps are a number; where minutes limit the run, a function that tells at a step how many there
will be in all."""
Steps = float | Callable[[int], float]


@dataclass(frozen=True)
class Trapezoid:
    """Linear warm-up, a level part, and a linear decay to zero.

    Args:
        warmup: Share of the steps in which the rate rises.
        decay: Share of the steps in which it falls to zero.

    Raises:
        InputError: A share below zero.
    """

    warmup: float = 0.05
    decay: float = 0.5

    def __post_init__(self) -> None:
        require_at_least(0, warmup=self.warmup, decay=self.decay)

    def __call__(self, optimizer: Optimizer, steps: Steps) -> LambdaLR:
        def factor(step: int) -> float:
            every = steps(step) if callable(steps) else steps
            rising = (step + 1) / max(1.0, self.warmup * every)
            falling = (every - step) / max(1.0, self.decay * every)
            return max(0.0, min(1.0, rising, falling))

        return LambdaLR(optimizer, factor)


@dataclass(frozen=True)
class Cosine:
    """Linear warm-up, then half a period of a cosine, or the first part of one.

    Args:
        warmup: Optimizer steps in which the rate rises from a hundredth of its level.
        least: Factor at the end of the half period.
        runs: Length of the half period, in runs; a run longer than it stays at ``least``.

    Raises:
        InputError: A negative warm-up, or a half period that is not positive.
    """

    warmup: int = 0
    least: float = 0.01
    runs: float = 1.0

    def __post_init__(self) -> None:
        require_at_least(0, warmup=self.warmup)
        if not self.runs > 0:
            raise InputError(f"runs is {self.runs}; give the half period in runs, above 0")

    def __call__(self, optimizer: Optimizer, steps: Steps) -> LambdaLR:
        def factor(step: int) -> float:
            every = steps(step) if callable(steps) else steps
            length = max(1.0, self.runs * every - self.warmup)
            if step < self.warmup:
                return 0.01 + 0.99 * step / self.warmup
            turned = pi * min(1.0, (step - self.warmup) / length)
            return self.least + (1 - self.least) * (1 + cos(turned)) / 2

        return LambdaLR(optimizer, factor)
