r"""How far apart the values of two fields are, wherever they stand.

The Wasserstein distance of order one between the distributions of values over the points,

.. math:: W_1 = \int |F_p(v) - F_t(v)|\,dv = \int_0^1 |Q_p(s) - Q_t(s)|\,ds ,

with the distribution functions :math:`F` and the quantile functions :math:`Q`: the mean distance by
which values must be moved to turn one histogram into the other. Places do not enter, so it judges
forecasts beyond the time up to which the pattern can be predicted. Source: Villani, Topics in
Optimal Transportation (2003), section 2.2.
"""

import torch

from mpp.metrics.moments import Frames, Mask, Numbers, Weights, inside
from mpp.metrics.scores import Floor, require_alike


def wasserstein(
    prediction: Frames,
    target: Frames,
    mask: Mask | None = None,
    floor: Floor | None = None,
    weights: Weights | None = None,
) -> Numbers:
    """Wasserstein distance of the values over the points inside the mask, in the field's unit.

    Best 0, at most the `mae`; an offset of everything by ``d`` gives ``|d|``. ``floor`` has no
    meaning here.

    Raises:
        InputError: Prediction and target differ in shape.
    """
    require_alike(prediction, target)
    made, true = (inside(values, mask).flatten(3) for values in (prediction, target))
    points = made.shape[-1]
    one = torch.ones(points, dtype=torch.float64) if weights is None else weights.double().flatten()
    size = one.to(made.device).expand(made.shape[0], points)
    if mask is not None:
        size = torch.where(mask.flatten(1), size, 0.0)
    signed = torch.cat([size, -size], -1)[:, None, None].expand(*made.shape[:-1], -1)
    values, order = torch.cat([made, true], -1).sort(-1)
    # Whole numbers add up exactly, so without weights equal values cancel to zero.
    apart = signed.gather(-1, order).cumsum(-1)[..., :-1].abs()
    moved = (apart * values.diff(dim=-1)).sum(-1)
    found = moved / size.sum(-1)[:, None, None]
    finite = torch.isfinite(made).all(-1)
    return torch.where(finite, found, torch.nan)
