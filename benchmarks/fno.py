"""The Fourier neural operator of the package neuraloperator, as a peer.

Source: Li et al., Fourier Neural Operator for Parametric Partial Differential Equations (ICLR
2021). A Fourier transform closes every axis to a ring. Along an axis that is none, the grid is
lengthened by copies of its last points at both sides, which a further channel tells from the grid,
and the result is cut back.
"""

from collections.abc import Sequence

import torch
from stacked import Image, StackedFrames, pad_sides

from mpp.batch import Axis
from mpp.errors import InputError

MARGIN = 8
"""Points by which an axis that is no ring is lengthened at each side."""


class FNO(StackedFrames):
    """neuraloperator's FNO between stacked frames and the change that follows.

    Args:
        names: Fields that evolve.
        maps: Static fields.
        history: Frames that are stacked.
        width: Channels.
        modes: Wavenumbers kept along each axis, negative ones included, at most the points of it:
            32 are those from -16 to 15.
        depth: Fourier layers.

    Raises:
        InputError: neuraloperator is not installed.
    """

    def __init__(
        self,
        names: Sequence[str],
        maps: Sequence[str] = (),
        history: int = 8,
        width: int = 32,
        modes: int = 32,
        depth: int = 4,
    ) -> None:
        sizes = {"width": width, "modes": modes, "depth": depth}
        super().__init__(names, maps, history, sizes)
        try:
            from neuralop.models import FNO as Operator
        except ImportError as error:
            raise InputError(
                f"expected the package neuraloperator for the FNO ({error}); install "
                "'mpp-physics[peers]', or leave the FNO out with --arms"
            ) from None
        self.operator = Operator(
            (modes, modes),
            in_channels=self.channels + 1,
            out_channels=len(self.names),
            hidden_channels=width,
            n_layers=depth,
            # Coordinates would tell places on a ring apart that are all alike.
            positional_embedding=None,  # type: ignore[arg-type]  # the package's own hint is short
        )

    def network(self, image: Image, axes: Sequence[Axis]) -> Image:
        """The change of each field."""
        inside = torch.ones_like(image[:, :1])
        margins = [0 if axis.periodic else MARGIN for axis in axes]
        image = pad_sides(image, axes, MARGIN, rings=False)
        rows, columns = margins
        inside = torch.nn.functional.pad(inside, (columns, columns, rows, rows))
        answer = self.operator(torch.cat([image, inside], 1))
        return answer[..., rows : answer.shape[-2] - rows, columns : answer.shape[-1] - columns]
