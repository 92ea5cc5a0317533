r"""The scores of The Well as its released code computes them, to compare with published numbers.

How they differ from the scores of the same kind here, with :math:`\varepsilon = 10^{-7}`, :math:`N`
the number of points and :math:`s^2` the variance with :math:`N - 1` in the denominator:

- ``nmse`` :math:`\langle e^2\rangle/(\langle t^2\rangle + \varepsilon)`, ``nrmse`` its root: a
  constant is added where we keep the size above a floor in the unit of the field; a change of unit
  changes their value where the field is small;
- ``vmse`` :math:`\langle e^2\rangle/(s_t^2 + \varepsilon)`, ``vrmse`` its root: also smaller by
  :math:`(N-1)/N`;
- ``pearson`` :math:`\langle p't'\rangle/(s_p s_t + \varepsilon)`: that of a field with itself is
  :math:`(N-1)/N` less a bit, 0.94 on 16 points, where ours is 1;
- ``mae``, ``mse``, ``rmse``, ``max_error``: the same as ours;
- ``spectral_mse_low``, ``_mid``, ``_high``: energy of the error in three bands of the radial
  wavenumber in radians per point, cut at equal ratios between :math:`2\pi` over the points of the
  longest axis and :math:`\pi\sqrt d`, the first from 0; they sum to the mean square. Ours are cut
  between the longest wave and the Nyquist wavenumber, in radians per unit of length, so that cells
  which are not cubes are seen as such. Every axis is taken as periodic, also between walls;
- ``spectral_nmse_low``, ...: the same over the energy of the target in the band plus
  :math:`\varepsilon`, while our `band_nrmse` divides by the energy of the whole target.

Masks and cell sizes are not known to these definitions.

Source: Ohana et al., The Well (NeurIPS Datasets and Benchmarks 2024), and its code.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mpp.metrics import scores
from mpp.metrics.moments import Frames, Numbers, deviation, space_mean
from mpp.metrics.spectrum import BANDS

EPSILON = 1e-7
NAMES = (
    "nmse", "nrmse", "vmse", "vrmse", "pearson", "mae", "mse", "rmse", "max_error",
    *(f"spectral_{kind}_{band}" for kind in ("mse", "nmse") for band in BANDS),
)  # fmt: skip


def of_samples(prediction: Frames, target: Frames) -> dict[str, Numbers]:
    """Every score of every sample; the published numbers are means over samples.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    error = scores.difference(prediction, target, None)
    mse, true = space_mean(error**2), target.double()
    nmse, vmse = mse / (space_mean(true**2) + EPSILON), mse / (_variance(target) + EPSILON)
    product = space_mean(deviation(prediction)[0] * deviation(target)[0])
    norm = (_variance(prediction) * _variance(target)).sqrt()
    bands, sizes = _bands(error), _bands(true)
    return {
        "nmse": nmse,
        "nrmse": nmse.sqrt(),
        "vmse": vmse,
        "vrmse": vmse.sqrt(),
        "pearson": product / (norm + EPSILON),
        "mae": scores.mae(prediction, target),
        "mse": mse,
        "rmse": mse.sqrt(),
        "max_error": scores.max_error(prediction, target),
        **{f"spectral_mse_{name}": bands[..., i] for i, name in enumerate(BANDS)},
        **{
            f"spectral_nmse_{name}": bands[..., i] / (sizes[..., i] + EPSILON)
            for i, name in enumerate(BANDS)
        },
    }


def _variance(values: Frames) -> Numbers:
    """With one less than the number of points in the denominator."""
    points = values[0, 0, 0].numel()
    return space_mean(deviation(values)[0] ** 2) * (points / (points - 1))


def _bands(values: Frames) -> Float[Tensor, "sample time field band"]:
    """Energy in the three bands; together the mean square."""
    sizes = values.shape[3:]
    squares = torch.zeros(())
    for size in sizes:
        squares = squares[..., None] + (2 * math.pi * torch.fft.fftfreq(size).double()) ** 2
    last = math.pi * math.sqrt(len(sizes)) + 1e-6
    first = 2 * math.pi / max(sizes)
    edges = torch.logspace(math.log10(first), math.log10(last), 4, dtype=torch.float64)[1:3]
    index = torch.bucketize(squares.sqrt().flatten(), edges, right=True).to(values.device)
    modes = torch.fft.fftn(values, dim=list(range(3, values.ndim)), norm="forward")
    energy = (modes.real**2 + modes.imag**2).flatten(3)
    bands = torch.zeros(*energy.shape[:3], 3, dtype=energy.dtype, device=energy.device)
    return bands.index_add_(3, index, energy)
