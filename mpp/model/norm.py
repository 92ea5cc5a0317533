r"""The norm of the default model: loud channels become order one, quiet ones stay quiet.

.. math:: y = \frac{x - \bar x}{\sqrt{\mathrm{var}(x) + 1}}\, g + b

over the channels of one token or fine patch. With next to nothing added to the variance, as is
usual, a place where little happens would look to the layers behind it as busy as any other.
"""

from torch import nn

QUIET = 1.0
"""Added to the variance; fields enter at order one, so that this is what counts as loud."""


def quiet_norm(channels: int) -> nn.LayerNorm:
    """The norm of so many channels."""
    return nn.LayerNorm(channels, eps=QUIET)
