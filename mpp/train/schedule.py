"""The learning rate over a run: up, level, down to zero, set anew at every step."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def trapezoid(
    optimizer: Optimizer, steps: int, warmup: float = 0.05, decay: float = 0.5
) -> LambdaLR:
    """Linear warm-up, a level part, and a linear decay to zero.

    Args:
        optimizer: Its groups' learning rates are the level.
        steps: Optimizer steps of the whole run.
        warmup: Share of the steps in which the rate rises.
        decay: Share of the steps in which it falls to zero.
    """

    def factor(step: int) -> float:
        rising = (step + 1) / max(1.0, warmup * steps)
        falling = (steps - step) / max(1.0, decay * steps)
        return max(0.0, min(1.0, rising, falling))

    return LambdaLR(optimizer, factor)
