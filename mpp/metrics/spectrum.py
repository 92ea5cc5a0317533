r"""Energy by wavenumber: how much of a field's mean square lies at which scale.

Along a periodic axis of length :math:`L` the field is a sum of waves of wavenumber
:math:`2\pi m/L` (the Fourier transform). Along any other axis it is a sum of cosines of wavenumber
:math:`\pi m/L` that are flat at both sides (the cosine transform DCT-II): the field is continued as
its mirror image, so that unequal values at the two sides make no jump, which a Fourier transform
would answer with spurious energy at every scale. A slope at a side does leave a kink, whose energy
falls as :math:`k^{-4}`.

Both transforms are orthogonal, so by Parseval's law the energies of all modes sum to the mean
square of the field, exactly. The modes are then gathered by the length of their wavenumber vector,
:math:`k = |\mathbf k|` in radians per unit of length. Corners of the cube of modes, beyond the
Nyquist wavenumber of the coarsest axis, are kept: they belong to the sum.

Outside a mask the field is taken as zero, and energies are divided by the share of points inside,
so that they sum to the mean square over the points inside. The edge of the mask puts energy at high
wavenumbers where the field does not vanish there.

Source: Denis, Côté and Laprise, Spectral decomposition of two-dimensional atmospheric fields on
limited-area domains using the discrete cosine transform, Mon. Wea. Rev. 130 (2002).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mpp.batch import Axis
from mpp.errors import InputError
from mpp.metrics import grid
from mpp.metrics.moments import Frames, Mask, inside, space_mean
from mpp.metrics.scores import Floor, difference, quotient, require_alike

BANDS = ("low", "mid", "high")
"""Names of the three bands, from large scales to small ones."""
TIE = 1e-9
"""A wavenumber this part of a bin below an edge counts as on it, against rounding."""


@dataclass(frozen=True)
class Spectrum:
    """Energy of fields by radial wavenumber.

    Args:
        wavenumber: Middle of every bin, in radians per ``units``; the first is 0, the mean alone.
        power: What every bin adds to the mean square; the bins sum to it.
        width: Width of a bin; ``power / width`` is the spectral density.
        nyquist: Largest wavenumber that every axis resolves; bins beyond hold corners only.
        units: Unit of length.
    """

    wavenumber: Float[Tensor, " bin"]
    power: Float[Tensor, "sample time field bin"]
    width: float
    nyquist: float
    units: str


def power_spectrum(values: Frames, axes: Sequence[Axis], mask: Mask | None = None) -> Spectrum:
    """Energy of every field of every frame by radial wavenumber, in the field's unit squared.

    Bins are as wide as the wavenumber ``2 pi / L`` of the longest wave on the longest axis, centred
    on its multiples; bin 0 holds the mean alone. The bins sum to the mean square (Parseval).

    Args:
        values: Fields on an even grid.
        axes: The space axes of ``values``.
        mask: True where the fields are defined.

    Raises:
        InputError: An uneven axis, or axes that do not fit the fields.

    Examples:
        >>> axis = Axis("x", torch.arange(8.0).numpy(), "m", ("periodic", "periodic"))
        >>> wave = torch.cos(2 * torch.pi * torch.arange(8.0) / 8)
        >>> round(power_spectrum(wave[None, None, None], [axis]).power[0, 0, 0, 1].item(), 6)
        0.5
    """
    energy = energies(values, axes, mask).flatten(3)
    width = fundamental(axes)
    index = (wavenumbers(axes).flatten() / width + 0.5 + TIE).floor().long()
    bins = int(index.max()) + 1
    power = torch.zeros(*energy.shape[:3], bins, dtype=energy.dtype, device=energy.device)
    power.index_add_(3, index.to(energy.device), energy)
    middle = width * torch.arange(bins, dtype=torch.float64)
    return Spectrum(middle, power, width, nyquist(axes), axes[0].units)


def energies(
    values: Frames, axes: Sequence[Axis], mask: Mask | None = None
) -> Float[Tensor, "sample time field *mode"]:
    """Energy of every mode; all modes of a field sum to its mean square.

    Raises:
        InputError: As `power_spectrum` does.
    """
    _check(values, axes)
    modes = inside(values, mask)
    # The real cosine transforms come first, so that only the last transform makes complex numbers.
    for dim, axis in enumerate(axes, 3):
        if not axis.periodic:
            modes = cosine_transform(modes, dim)
    periodic = [dim for dim, axis in enumerate(axes, 3) if axis.periodic]
    if periodic:
        modes = torch.fft.fftn(modes, dim=periodic, norm="ortho")
    squares = modes.real**2 + modes.imag**2 if modes.is_complex() else modes**2
    points = values[0, 0, 0].numel()
    if mask is None:
        return squares / points
    count = mask.flatten(1).sum(1).double()
    return squares / count.reshape(-1, *([1] * (values.ndim - 1)))


def cosine_transform(values: Float[Tensor, "..."], dim: int) -> Float[Tensor, "..."]:
    """Orthonormal DCT-II along one dim, through a real FFT of twice the length.

    ``X_m = s_m sum_n x_n cos(pi m (n + 1/2) / N)`` with ``s_0 = sqrt(1/N)``, else ``sqrt(2/N)``.
    """
    values = values.double().movedim(dim, -1)
    points = values.shape[-1]
    order = torch.arange(points, dtype=torch.float64, device=values.device)
    turn = torch.polar(torch.ones_like(order), -math.pi * order / (2 * points))
    modes = (torch.fft.rfft(values, n=2 * points)[..., :points] * turn).real
    scale = torch.full_like(order, math.sqrt(2 / points))
    scale[0] = math.sqrt(1 / points)
    return (modes * scale).movedim(-1, dim)


def wavenumbers(axes: Sequence[Axis]) -> Float[Tensor, "*mode"]:
    """Length of the wavenumber vector of every mode, in radians per unit of length."""
    squares = torch.zeros(())
    for axis in axes:
        points = len(axis.points)
        if axis.periodic:
            order = torch.fft.fftfreq(points, 1 / points, dtype=torch.float64).abs() * 2
        else:
            order = torch.arange(points, dtype=torch.float64)
        squares = squares[..., None] + (math.pi * order / _length(axis)) ** 2
    return squares.sqrt()


def fundamental(axes: Sequence[Axis]) -> float:
    """Wavenumber ``2 pi / L`` of the longest axis."""
    return 2 * math.pi / max(_length(axis) for axis in axes)


def nyquist(axes: Sequence[Axis]) -> float:
    """Wavenumber ``pi / h`` of the coarsest axis: the largest that every direction resolves."""
    return math.pi / max(grid.step(axis) for axis in axes)


def band_edges(axes: Sequence[Axis]) -> tuple[float, float]:
    """Wavenumbers at which the low band ends and the high one starts.

    The range from the `fundamental` to the `nyquist` wavenumber, cut in three equal parts of its
    logarithm: with 128 points along each of equal axes, at 4 and 16 waves along an axis. The low
    band starts at the mean and the high one ends at the corners, so that the three are everything.
    """
    first, last = fundamental(axes), nyquist(axes)
    ratio = max(last / first, 1.0) ** (1 / 3)
    return first * ratio, first * ratio**2


def band_energies(
    values: Frames,
    axes: Sequence[Axis],
    mask: Mask | None = None,
    edges: tuple[float, ...] | None = None,
) -> Float[Tensor, "sample time field band"]:
    """Energy below, between and from the edges on; the bands sum to the mean square.

    Args:
        values: Fields on an even grid.
        axes: The space axes of ``values``.
        mask: True where the fields are defined.
        edges: Rising wavenumbers, each the first of the band above it; by default `band_edges`.
    """
    return _gather(energies(values, axes, mask), axes, edges or band_edges(axes))


def band_nrmse(
    prediction: Frames,
    target: Frames,
    axes: Sequence[Axis],
    mask: Mask | None = None,
    floor: Floor | None = None,
) -> Float[Tensor, "sample time field band"]:
    """The part of the NRMSE in each band: ``sqrt(E_band(e) / max(<target^2>, floor^2))``.

    The squares of the three bands sum to the square of `nrmse` (Parseval): a band tells where the
    error lies, not how well the band itself is captured. The mean's error is in the low band.

    Raises:
        InputError: Shapes that differ, or an uneven axis.
    """
    error = band_energies(difference(prediction, target, mask), axes, mask)
    size = space_mean(inside(target, mask) ** 2, mask)[..., None]
    return quotient(error, size, None if floor is None else floor[:, None]).sqrt()


def band_ratio(
    prediction: Frames, target: Frames, axes: Sequence[Axis], mask: Mask | None = None
) -> Float[Tensor, "sample time field band"]:
    """Energy of the prediction over that of the target in each band, without the mean.

    1 is best; below 1 the prediction is too smooth there, above 1 too rough. Phases do not enter: a
    wave in the wrong place has the ratio 1. Where neither has energy the ratio is 1.

    Raises:
        InputError: Shapes that differ, or an uneven axis.
    """
    require_alike(prediction, target)
    edges = (fundamental(axes) * (0.5 - TIE), *band_edges(axes))
    made, true = (
        _gather(energies(values, axes, mask), axes, edges)[..., 1:]
        for values in (prediction, target)
    )
    return energy_ratio(made, true)


def spectrum_ratio(
    prediction: Frames, target: Frames, axes: Sequence[Axis], mask: Mask | None = None
) -> Float[Tensor, "sample time field bin"]:
    """Energy of the prediction over that of the target in each bin of `power_spectrum`.

    Raises:
        InputError: Shapes that differ, or an uneven axis.
    """
    require_alike(prediction, target)
    made, true = (power_spectrum(values, axes, mask).power for values in (prediction, target))
    return energy_ratio(made, true)


def energy_ratio(made: Tensor, true: Tensor) -> Tensor:
    """A quotient that is 1 where both are equal, also at zero."""
    return torch.where(made == true, 1.0, made / true)


def _gather(energy: Tensor, axes: Sequence[Axis], edges: tuple[float, ...]) -> Tensor:
    """Sum of the energy of the modes between rising edges, one entry more than edges."""
    bounds = torch.tensor(edges, dtype=torch.float64) * (1 - TIE)
    index = torch.bucketize(wavenumbers(axes).flatten(), bounds, right=True)
    flat = energy.flatten(3)
    sums = torch.zeros(*flat.shape[:3], len(edges) + 1, dtype=flat.dtype, device=flat.device)
    return sums.index_add_(3, index.to(flat.device), flat)


def _length(axis: Axis) -> float:
    return grid.step(axis) * len(axis.points)


def _check(values: Frames, axes: Sequence[Axis]) -> None:
    sizes = tuple(len(axis.points) for axis in axes)
    if tuple(values.shape[3:]) != sizes:
        raise InputError(
            f"expected fields over {sizes} points, as the axes "
            f"{', '.join(axis.name for axis in axes)} have, got {tuple(values.shape[3:])}"
        )
    units = {axis.units for axis in axes}
    if len(units) > 1:
        raise InputError(
            f"a radial wavenumber needs axes in one unit, got {', '.join(sorted(units))}; "
            "bring them to one unit first"
        )
