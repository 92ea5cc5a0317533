"""Values that no model may see are refused by name."""

import torch
from torch import Tensor

from mpp.batch import Batch
from mpp.errors import InputError


def require_finite(batch: Batch, source: str) -> None:
    """Refuse values that no model may see.

    Raises:
        InputError: A field inside the mask, or a static map, holds NaN or infinity.
    """
    values = batch.values
    if batch.mask is None and batch.static is None and _finite(values.sum()):
        return  # of values that are not finite the sum is not; that they are takes one pass
    if batch.mask is not None:
        values = torch.where(batch.mask[:, None, None], values, 0)
    bad = [name for channel, name in enumerate(batch.names) if not _finite(values[:, :, channel])]
    if batch.static is not None:
        maps = enumerate(batch.static_fields)
        bad += [item.name for channel, item in maps if not _finite(batch.static[:, channel])]
    if bad:
        raise InputError(
            f"{source}: {', '.join(bad)} holds NaN or infinite values, or some beyond float32 "
            "(3.4e38); fill them or give a mask, as mpp convert does with --set 'missing: nearest' "
            "or --set 'missing: mask', or choose other units"
        )


def _finite(values: Tensor) -> bool:
    return bool(torch.isfinite(values).all())
