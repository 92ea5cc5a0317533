"""The published AViT with tokens of 8 x 8 points instead of 16 x 16.

On a grid of 64 x 64 points the published model has 16 tokens. Without the second of the three steps
between points and tokens it has 64, at four times the cost of a step. All else is as published.
"""

from typing import Any

from torch import nn

from mpp.model.avit import PublishedAViT

SECOND = slice(3, 6)
"""Where the second step's convolution, norm and activation stand, in both ends of the model."""


class FinerAViT(PublishedAViT):
    """`PublishedAViT` with the second step of both ends left out; the same arguments."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for end in (self.stem, self.head):
            steps = list(end.steps)
            del steps[SECOND]
            end.steps = nn.Sequential(*steps)

    @property
    def patch(self) -> tuple[int, ...]:
        """Points of a token along each axis."""
        return (8,)
