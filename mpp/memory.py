"""A limit on the numbers in the tensors that are made meanwhile, known before memory is taken."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

MAKERS = frozenset({torch.empty, torch.full, torch.ones, torch.rand, torch.randn, torch.zeros})
"""What makes a tensor of a given shape; parameters of every module start from one of these."""


class AtMost(TorchFunctionMode):
    """Refuses to make tensors of more than so many numbers, all together, inside of a ``with``.

    A description of a model that comes with a file can ask for any size; the file says how many
    numbers there really are.

    Args:
        numbers: How many.

    Raises:
        ValueError: Inside the ``with``, instead of a tensor that goes beyond.

    Examples:
        >>> with AtMost(10), contextlib.suppress(ValueError):
        ...     torch.nn.Linear(10**6, 10**6)
    """

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.numbers = self.left = numbers

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        if func in MAKERS:
            self.left -= prod(_shape(args, options))
            if self.left < 0:
                raise ValueError(f"it asks for more than the {self.numbers:,} numbers in its file")
        return func(*args, **options)


def _shape(args: Sequence[Any], options: Mapping[str, Any]) -> Sequence[int]:
    """The shape in a call such as ``empty(2, 3)``, ``empty((2, 3))`` or ``empty(size=(2, 3))``."""
    if not args:
        return options["size"]
    return args[0] if isinstance(args[0], Sequence) else args
