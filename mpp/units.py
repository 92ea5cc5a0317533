"""Units: a number of the equation arrives in the unit that a model learned it in."""

import functools
import re
from collections.abc import Mapping
from typing import Any

import xarray as xr

from mpp import schema
from mpp.errors import InputError

PURE = "1"
"""The unit of a dimensionless number."""


def in_units(ds: xr.Dataset, units: Mapping[str, str]) -> xr.Dataset:
    """The dataset with its parameters in the given units; names that have none there stay.

    Args:
        ds: A dataset in the schema.
        units: Units by name, in the notation of CF (``m2 s-1``).

    Raises:
        InputError: A unit that nothing is known of, or one that cannot become the other.
    """
    for name in schema.names(ds, "parameter"):
        have, want = str(ds[name].attrs.get("units", PURE)), units.get(name)
        if want is not None and have != want:
            change = {**ds[name].attrs, "units": want}
            ds = ds.assign({name: (ds[name] * factor(name, have, want)).assign_attrs(change)})
    return ds


@functools.cache
def _registry() -> Any:
    import pint  # half a second, for the few datasets whose units differ

    return pint.UnitRegistry()


def factor(name: str, have: str, want: str) -> float:
    """What a number in one unit is multiplied by to be in the other."""
    registry = _registry()
    try:
        one, other = (registry.Unit(_notation(unit)) for unit in (have, want))
    except Exception as error:  # pint and its tokenizer raise many kinds, down to SyntaxError
        raise InputError(
            f"{name} is in {have!r} and the model has it in {want!r}, one of which is no unit that "
            f"is known ({error}); set it with the mapping's units"
        ) from error
    if one.dimensionality != other.dimensionality:
        raise InputError(
            f"{name} is in {have!r} and the model has it in {want!r}, which measures another "
            f"thing; correct it with the mapping's units, or leave {name} out"
        )
    return float(registry.Quantity(1.0, one).to(other).magnitude)


def _notation(unit: str) -> str:
    """CF writes powers behind a unit and products with a space or a point: ``m2 s-1``."""
    if unit == PURE:
        return ""
    return re.sub(r"([A-Za-z%°])(-?\d)", r"\1**\2", re.sub(r"\.(?!\d)", " ", unit))
