"""Words on pictures: names and units from data as text that matplotlib can always set."""

import re

import xarray as xr
from matplotlib.mathtext import MathTextParser

from mpp.fields import Field

LONGEST = 28
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def plain(text: object, longest: int = LONGEST) -> str:
    """A name as literal text on one line, its middle left out where it is too long."""
    words = " ".join(str(text).split())
    if len(words) > longest:
        keep = longest - 1
        words = f"{words[: keep - keep // 2]}…{words[len(words) - keep // 2 :]}"
    return words.replace("$", r"\$")


def units_text(units: str) -> str:
    """``m s-1`` as m s⁻¹; nothing for a dimensionless unit."""
    if units in ("1", ""):
        return ""
    raised = re.sub(r"(?<=[A-Za-zµΩ°])\^?(-?\d+)\b", lambda m: m[1].translate(SUPERSCRIPT), units)
    return plain(raised)


def with_units(text: str, units: str) -> str:
    """``text (units)``, or ``text`` alone when dimensionless."""
    shown = units_text(units)
    return f"{text} ({shown})" if shown else text


def quantity(value: float, units: str) -> str:
    """A number of four digits with its unit."""
    shown = units_text(units)
    return f"{value:.4g} {shown}" if shown else f"{value:.4g}"


def symbol_text(symbol: str) -> str:
    """A symbol in mathematical type, or nothing where matplotlib cannot set it."""
    text = f"${symbol}$"
    if not symbol or "$" in symbol:
        return ""
    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return ""
    return text


def field_label(field: Field) -> str:
    """Name and symbol of a field, without its unit."""
    return f"{plain(field.name)} {symbol_text(field.symbol)}".strip()


def score_label(score: str) -> str:
    """``vrmse`` as VRMSE, ``band_nrmse_low`` as band NRMSE low, ``drift`` as it is."""
    words = str(score).split("_")
    shown = [word.upper() if re.fullmatch(r"\w?\w?mse|mae", word) else word for word in words]
    return plain(" ".join(shown).replace("pearson", "Pearson correlation"), 60)


def axis_label(ds: xr.Dataset, axis: str) -> str:
    """Name and unit of a coordinate."""
    return with_units(plain(axis), str(ds[axis].attrs.get("units", "1")))


def system_name(ds: xr.Dataset) -> str:
    """Name of the physical system, as a title shows it."""
    return plain(ds.attrs.get("system", "unknown system"))
