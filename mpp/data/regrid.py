"""Variables on faces of the cells brought to their centres, so that all share one grid."""

import numpy as np
import xarray as xr

from mpp.data.guess import coordinate_of, goes_round, letter
from mpp.data.interpolate import blend, interpolated, weights
from mpp.data.mapping import Mapping, line
from mpp.errors import InputError
from mpp.schema import is_even

SIDES = {"low": -0.5, "high": 0.5, "same": 0.0}
"""Where the face of a number stands, in cells from the centre of the same number."""


def to_centres(ds: xr.Dataset, mapping: Mapping, source: str) -> xr.Dataset:
    """Interpolate what stands on faces, as ``regrid`` says, lazily.

    Args:
        ds: As a file gives it.
        mapping: What the user states; its boundaries tell which axes go round.
        source: What to call the file in errors.

    Raises:
        InputError: Centres that the file lacks, or faces whose places cannot be told.
    """
    for faces, words in mapping.regrid.items():
        centres, _, side = words.partition(" ")
        if faces not in ds.dims and faces not in ds.variables:
            continue  # Another of several files may have it; whoever opens them asks whether.
        if centres not in ds.dims:
            raise InputError(
                f"{source}: regrid: {centres!r} is none of its dims "
                f"({', '.join(map(str, ds.dims))}); name that of the centres"
            )
        if side and side not in SIDES:
            raise InputError(
                f"{source}: regrid: {faces} to {words!r}; after the dim of the centres expected "
                "nothing, low, high or same"
            )
        move = _move if faces in ds.dims else _shift
        ds = move(ds, faces, centres, side, mapping, f"{source}: regrid {faces} to {words}")
    return ds


def _shift(
    ds: xr.Dataset, name: str, dim: str, side: str, mapping: Mapping, where: str
) -> xr.Dataset:
    """One variable moved by half a cell: its faces are counted by the dim of the centres."""
    variable = ds.variables[name]
    if dim not in variable.dims or side not in ("low", "high"):
        raise InputError(
            f"{where}: a variable must have the dim, and be on the low or the high side of its "
            f"cells; {name} has ({', '.join(map(str, variable.dims))}), such as "
            f"{line(regrid={name: f'{dim} high'})}"
        )
    cells = np.arange(float(ds.sizes[dim]))
    period = float(cells.size) if _periodic(ds, dim, mapping) else 0.0
    made = weights(cells + SIDES[side], cells, where, period)
    told = f"interpolated linearly from the {side} sides of the cells along {dim}"
    return ds.assign({name: interpolated(variable, dim, made, dim, told)})


def _move(
    ds: xr.Dataset, faces: str, centres: str, side: str, mapping: Mapping, where: str
) -> xr.Dataset:
    given, wanted = _positions(ds, faces, centres, side, where)
    period = 0.0
    if _periodic(ds, centres, mapping) and ds.sizes[faces] == ds.sizes[centres]:
        period = _period(wanted, where)
    made = weights(given, wanted, where, period)
    told = f"interpolated linearly from {faces} to {centres}"
    out = {}
    for name, variable in ds.variables.items():
        if faces not in variable.dims or centres in variable.dims:
            out[name] = variable
        elif variable.dims != (faces,) and variable.dtype.kind in "fiub":
            mask = variable.dtype.kind == "b" or "mask" in str(name).lower()
            out[name] = interpolated(variable, faces, made, centres, told, mask=mask)
    known = coordinate_of(ds, faces)
    if known and coordinate_of(ds, centres) is None:
        edges = ds.variables[known]
        values = blend(edges.values.astype(np.float64), 0, made)
        out[centres] = xr.Variable((centres,), values, edges.attrs)
    coords = [name for name in out if name in ds.coords or name == centres]
    return xr.Dataset(out, attrs=ds.attrs).set_coords(coords)


def _positions(
    ds: xr.Dataset, faces: str, centres: str, side: str, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of faces and centres: from coordinates, else counted in cells."""
    known = [coordinate_of(ds, dim) for dim in (faces, centres)]
    if not side and all(name and ds[name].dtype.kind in "fiu" for name in known):
        given, wanted = (ds.variables[name].values for name in known)
        return given.astype(np.float64), wanted.astype(np.float64)
    count, cells = ds.sizes[faces], ds.sizes[centres]
    if side and count != cells:
        raise InputError(f"{where}: {side} needs as many faces as centres, got {count} and {cells}")
    starts = {cells + 1: -0.5, cells - 1: 0.5, **({cells: SIDES[side]} if side else {})}
    if count not in starts:
        ways = line(regrid={faces: f"{centres} low"}), line(regrid={faces: f"{centres} high"})
        told = f"; write {ways[0]} or {ways[1]}" if count == cells else ""
        raise InputError(
            f"{where}: no coordinates, and the sizes {count} and {cells} do not tell where the "
            f"faces are{told}"
        )
    return np.arange(count) + starts[count], np.arange(cells, dtype=np.float64)


def _periodic(ds: xr.Dataset, dim: str, mapping: Mapping) -> bool:
    name = coordinate_of(ds, dim)
    if isinstance(mapping.boundary, str):
        return mapping.boundary == "periodic"
    called = (dim, name, letter(ds, name or dim), letter(ds, dim))
    stated = [mapping.boundary[key] for key in called if key in mapping.boundary]
    own = ds[name].attrs.get("boundary") if name else None
    return (stated[0] if stated else own) == "periodic" or (
        not stated and name is not None and goes_round(ds, name)
    )


def _period(centres: np.ndarray, where: str) -> float:
    if not is_even(centres):
        raise InputError(
            f"{where}: a periodic axis of uneven steps, so that the last step is not known; give "
            "its centres even steps, or one more face"
        )
    return float(np.ptp(centres)) * centres.size / (centres.size - 1)
