"""The scores on xarray: the same functions, over named dims, with the grid taken from coordinates.

Each function here turns arrays into tensors, calls the one implementation of its score beside this
module, and gives the remaining dims and coordinates back. By default it reduces over the space
axes, the dims whose coordinate says what its ``boundary`` is; other dims such as ``time`` or
``sample`` can be named as well and then count as so many more points. Cells of an uneven space axis
weigh with their size.

Examples:
    >>> from mpp import schema
    >>> ds = schema.example()
    >>> still = ds["tracer"].isel(time=[0])
    >>> later = ds["tracer"].isel(time=[2]).assign_coords(time=still["time"])
    >>> nrmse(still, later).dims
    ('sample', 'time')
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from mpp import schema
from mpp.batch import Axis
from mpp.errors import InputError
from mpp.metrics import conserved, distribution, grid, imprint, scores, spectrum
from mpp.metrics import divergence as sources
from mpp.metrics import sides as near
from mpp.metrics.conserved import Quantity
from mpp.metrics.expression import Expression
from mpp.metrics.valid import valid_time

Named = Callable[..., xr.DataArray]
__all__ = [
    "anomaly_correlation",
    "band_nrmse",
    "band_ratio",
    "divergence",
    "drift",
    "mae",
    "max_error",
    "nmse",
    "nrmse",
    "patch_imprint",
    "pearson",
    "power_spectrum",
    "quantity",
    "rmse",
    "side_rmse",
    "spectrum_ratio",
    "total",
    "valid_time",
    "vmse",
    "vrmse",
    "wasserstein",
]


@dataclass(frozen=True)
class Layout:
    """What stays and what is reduced of some arrays over the same dims.

    Args:
        kept: The dims that stay, with their sizes.
        reduced: The dims that are reduced over, with their sizes.
        axes: The reduced dims as axes; a dim that is no space axis has points one apart.
        coords: Coordinates along the dims that stay.
    """

    kept: dict[str, int]
    reduced: dict[str, int]
    axes: tuple[Axis, ...]
    coords: dict[Hashable, xr.DataArray]

    @classmethod
    def of(cls, array: xr.DataArray, dims: Sequence[str] | None) -> "Layout":
        """Sort the dims of an array.

        Raises:
            InputError: It has none of the dims, or no space axis where none are named.
        """
        names = [str(dim) for dim in array.dims]
        if dims is None:
            dims = [n for n in names if n in array.coords and "boundary" in array[n].attrs]
            if not dims:
                raise InputError(
                    f"none of the dims {', '.join(names)} says what its boundary is; name those "
                    "to reduce over, dims=..."
                )
        missing = [dim for dim in dims if dim not in names]
        if missing:
            raise InputError(f"no dim {', '.join(missing)} among: {', '.join(names)}")
        kept = {name: array.sizes[name] for name in names if name not in dims}
        coords = {k: c for k, c in array.coords.items() if set(map(str, c.dims)) <= set(kept)}
        reduced = {dim: array.sizes[dim] for dim in dims}
        return cls(kept, reduced, tuple(_axis(array, dim) for dim in dims), coords)

    def tensor(self, array: xr.DataArray) -> Tensor:
        """The array as (everything that stays, 1, 1, everything that is reduced)."""
        missing = {
            dim: size
            for dim, size in {**self.kept, **self.reduced}.items()
            if dim not in array.dims
        }
        full = array.expand_dims(missing).transpose(*self.kept, *self.reduced)
        values = np.array(full.values).reshape(-1, 1, 1, *self.reduced.values())
        return torch.from_numpy(values)

    def inside(self, mask: xr.DataArray | None) -> Tensor | None:
        """A mask as (everything that stays, everything that is reduced)."""
        return None if mask is None else self.tensor(mask.astype(bool))[:, 0, 0]

    def array(self, values: Tensor, **more: xr.Variable) -> xr.DataArray:
        """Numbers (everything that stays, 1, 1, more dims) with their dims and coordinates."""
        sizes = [variable.size for variable in more.values()]
        shaped = values.cpu().numpy().reshape((*self.kept.values(), *sizes))
        return xr.DataArray(shaped, {**self.coords, **more}, (*self.kept, *more))


def _axis(array: xr.DataArray, dim: str) -> Axis:
    if dim in array.coords and "boundary" in array[dim].attrs:
        attrs = array[dim].attrs
        kinds = schema.parse_boundary(attrs["boundary"])
        return Axis(dim, np.asarray(array[dim].values, float), str(attrs.get("units", "1")), kinds)
    return Axis(dim, np.arange(float(array.sizes[dim])), "1", ("open", "open"))


def _pair(
    prediction: xr.DataArray,
    target: xr.DataArray,
    dims: Sequence[str] | None,
    mask: xr.DataArray | None,
) -> tuple[Layout, Tensor, Tensor, Tensor | None]:
    """Both as tensors over all dims that either has; coordinates must agree."""
    try:
        xr.align(prediction, target, join="exact", copy=False)
    except ValueError as error:
        told = str(error).splitlines()[0]
        raise InputError(
            f"prediction and target do not share their coordinates ({told}); select the same "
            "samples, times and points of both"
        ) from error
    prediction, target = xr.broadcast(prediction, target)
    layout = Layout.of(prediction, dims)
    return layout, layout.tensor(prediction), layout.tensor(target), layout.inside(mask)


def _floor(floor: float | None) -> Tensor | None:
    return None if floor is None else torch.tensor([floor], dtype=torch.float64)


def _named(score: scores.Score) -> Named:
    """The score as a function of arrays."""

    def named(
        prediction: xr.DataArray,
        target: xr.DataArray,
        dims: Sequence[str] | None = None,
        mask: xr.DataArray | None = None,
        floor: float | None = None,
    ) -> xr.DataArray:
        layout, made, true, inside = _pair(prediction, target, dims, mask)
        weights = grid.weights(layout.axes)
        found = score(made, true, inside, _floor(floor), weights)
        return layout.array(found).rename(named.__name__)

    named.__name__ = named.__qualname__ = score.__name__
    named.__doc__ = (
        f"`mpp.metrics.scores.{score.__name__}` over named dims.\n\n"
        "Args:\n"
        "    prediction: What a model gave.\n"
        "    target: What the solver gave, on the same coordinates.\n"
        "    dims: Dims to reduce over; by default the space axes.\n"
        "    mask: True where the fields are defined.\n"
        "    floor: What a relative score's denominator is kept above, in the field's unit.\n\n"
        "Raises:\n"
        "    InputError: Coordinates that differ, or dims that are not there.\n"
    )
    return named


mae = _named(scores.mae)
rmse = _named(scores.rmse)
nmse = _named(scores.nmse)
nrmse = _named(scores.nrmse)
vmse = _named(scores.vmse)
vrmse = _named(scores.vrmse)
max_error = _named(scores.max_error)
pearson = _named(scores.pearson)
drift = _named(conserved.drift)
wasserstein = _named(distribution.wasserstein)


def anomaly_correlation(
    prediction: xr.DataArray,
    target: xr.DataArray,
    climatology: xr.DataArray,
    dims: Sequence[str] | None = None,
    mask: xr.DataArray | None = None,
) -> xr.DataArray:
    """`mpp.metrics.scores.anomaly_correlation` over named dims.

    Args:
        prediction: What a model gave.
        target: What the solver gave, on the same coordinates.
        climatology: Mean state, over some of the dims.
        dims: Dims to reduce over; by default the space axes.
        mask: True where the fields are defined.

    Raises:
        InputError: Coordinates that differ, or dims that are not there.
    """
    layout, made, true, inside = _pair(prediction, target, dims, mask)
    mean, weights = layout.tensor(climatology), grid.weights(layout.axes)
    found = scores.anomaly_correlation(made, true, mean, inside, weights)
    return layout.array(found).rename("anomaly_correlation")


def power_spectrum(
    field: xr.DataArray, dims: Sequence[str] | None = None, mask: xr.DataArray | None = None
) -> xr.DataArray:
    """`mpp.metrics.spectrum.power_spectrum` over space axes: energy by ``wavenumber``.

    Args:
        field: A field on an even grid.
        dims: Space axes to transform; by default all.
        mask: True where the field is defined.

    Returns:
        What every bin adds to the mean square, over the other dims and ``wavenumber``; attributes
        ``width`` of a bin and ``nyquist``, beyond which bins hold corners of the grid only.

    Raises:
        InputError: An uneven axis, or dims that are not there.
    """
    layout = Layout.of(field, dims)
    found = spectrum.power_spectrum(layout.tensor(field), layout.axes, layout.inside(mask))
    units = str(field.attrs.get("units", "1"))
    return layout.array(found.power, wavenumber=_wavenumber(found)).assign_attrs(
        units=units if units == "1" else f"({units})^2", width=found.width, nyquist=found.nyquist
    )


def spectrum_ratio(
    prediction: xr.DataArray,
    target: xr.DataArray,
    dims: Sequence[str] | None = None,
    mask: xr.DataArray | None = None,
) -> xr.DataArray:
    """Energy of the prediction over that of the target by ``wavenumber``; 1 is best.

    Raises:
        InputError: Coordinates that differ, an uneven axis, or dims that are not there.
    """
    layout, made, true, inside = _pair(prediction, target, dims, mask)
    first, second = (spectrum.power_spectrum(v, layout.axes, inside) for v in (made, true))
    ratio = spectrum.energy_ratio(first.power, second.power)
    return layout.array(ratio, wavenumber=_wavenumber(first)).assign_attrs(
        units="1", width=first.width, nyquist=first.nyquist
    )


def band_nrmse(
    prediction: xr.DataArray,
    target: xr.DataArray,
    dims: Sequence[str] | None = None,
    mask: xr.DataArray | None = None,
    floor: float | None = None,
) -> xr.DataArray:
    """`mpp.metrics.spectrum.band_nrmse` along a dim ``band``.

    Raises:
        InputError: Coordinates that differ, an uneven axis, or dims that are not there.
    """
    layout, made, true, inside = _pair(prediction, target, dims, mask)
    found = spectrum.band_nrmse(made, true, layout.axes, inside, _floor(floor))
    return layout.array(found, band=_bands())


def band_ratio(
    prediction: xr.DataArray,
    target: xr.DataArray,
    dims: Sequence[str] | None = None,
    mask: xr.DataArray | None = None,
) -> xr.DataArray:
    """`mpp.metrics.spectrum.band_ratio` along a dim ``band``.

    Raises:
        InputError: Coordinates that differ, an uneven axis, or dims that are not there.
    """
    layout, made, true, inside = _pair(prediction, target, dims, mask)
    return layout.array(spectrum.band_ratio(made, true, layout.axes, inside), band=_bands())


def side_rmse(
    prediction: xr.DataArray,
    target: xr.DataArray,
    width: float = near.WIDTH,
    dims: Sequence[str] | None = None,
    mask: xr.DataArray | None = None,
) -> xr.DataArray:
    """`mpp.metrics.sides.side_rmse` along a dim ``side``.

    Raises:
        InputError: Coordinates that differ, no side that is not periodic, or a width that is none.
    """
    layout, made, true, inside = _pair(prediction, target, dims, mask)
    weights = grid.weights(layout.axes)
    found = near.side_rmse(made, true, layout.axes, width, inside, weights)
    return layout.array(found, side=xr.Variable(("side",), list(near.sides(layout.axes))))


def patch_imprint(
    prediction: xr.DataArray,
    target: xr.DataArray,
    patch: int,
    dims: Sequence[str] | None = None,
    mask: xr.DataArray | None = None,
) -> xr.DataArray:
    """`mpp.metrics.imprint.patch_imprint` over space axes.

    Raises:
        InputError: Coordinates that differ, or too few patches along every axis.
    """
    layout, made, true, inside = _pair(prediction, target, dims, mask)
    return layout.array(imprint.patch_imprint(made, true, layout.axes, patch, inside))


def quantity(ds: xr.Dataset, declared: Quantity) -> xr.DataArray:
    """A quantity of every point, such as an energy, from the variables of a dataset.

    Args:
        ds: Fields, and whatever else the quantity is made of, by name.
        declared: An expression over names, or a function from tensors by name, which all have the
            same dims, to a tensor.

    Raises:
        InputError: An expression that is none, or a name that is not there.

    Examples:
        >>> from mpp import schema
        >>> float(quantity(schema.example(), "0 * tracer + 2").mean())
        2.0
    """
    function = Expression.parse(declared) if isinstance(declared, str) else declared
    names = [str(name) for name in ds.data_vars]
    if isinstance(function, Expression):
        names = [name for name in names if name in function.names] or names
    arrays = xr.broadcast(*(ds[name] for name in names))
    values = {str(array.name): torch.from_numpy(np.array(array.values)) for array in arrays}
    found = torch.as_tensor(function(values)).expand(arrays[0].shape)
    return xr.DataArray(found.numpy(), arrays[0].coords, arrays[0].dims, "quantity")


def total(
    field: xr.DataArray, dims: Sequence[str] | None = None, mask: xr.DataArray | None = None
) -> xr.DataArray:
    """`mpp.metrics.conserved.total` over space axes: the integral of a field or quantity.

    Raises:
        InputError: Dims that are not there.
    """
    layout = Layout.of(field, dims)
    weights, volume = grid.weights(layout.axes), grid.volume(layout.axes)
    found = conserved.total(layout.tensor(field), volume, layout.inside(mask), weights)
    return layout.array(found)


def divergence(ds: xr.Dataset, vector: str, mask: xr.DataArray | None = None) -> xr.DataArray:
    """`mpp.metrics.divergence.divergence` of a vector that the variables' attributes declare.

    Raises:
        InputError: No vector of that name with a component along every space axis.
    """
    fields, axes = schema.fields(ds), schema.space_axes(ds)
    components = {field.component: field.name for field in fields if field.vector == vector}
    if len(axes) < 2 or any(axis not in components for axis in axes):
        raise InputError(
            f"no vector {vector!r} with a component along each of {', '.join(axes)}; its variables "
            "have the attributes vector and component"
        )
    layout = Layout.of(ds[components[axes[0]]], axes)
    values = torch.cat([layout.tensor(ds[components[axis]]) for axis in axes], 2)
    weights = grid.weights(layout.axes)
    return layout.array(sources.divergence(values, layout.axes, layout.inside(mask), weights))


def _bands() -> xr.Variable:
    return xr.Variable(("band",), list(spectrum.BANDS))


def _wavenumber(found: spectrum.Spectrum) -> xr.Variable:
    units = "rad" if found.units == "1" else f"rad {found.units}-1"
    return xr.Variable(("wavenumber",), found.wavenumber.numpy(), {"units": units})
