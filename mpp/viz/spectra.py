"""Which scales a rollout gets right: spectra at some lead times, the error by band over time."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mpp import schema
from mpp.batch import Batch
from mpp.errors import InputError
from mpp.fields import Field
from mpp.metrics import named
from mpp.metrics.spectrum import BANDS, band_edges
from mpp.viz import labels
from mpp.viz.curves import label_bottom, panel_grid, quartiles, set_scale
from mpp.viz.members import apart, is_ensemble
from mpp.viz.panels import lead_label, lead_times, spread
from mpp.viz.style import BASELINE_COLOUR, LINE_COLOURS, PREDICTION_LOOK, TRUTH_LOOK, styled

TIMES = 3
RUNS = 16
"""Runs at most that a median is over, evenly placed."""
FRAMES = 60
"""Lead times at most at which an error by band is computed."""
RANGE = 1e-14
"""Part of the largest energy below which nothing is shown: rounding, even of double precision."""
RATIOS = (0.03, 30.0)
"""Ratios that are shown; further ones lie beyond the edge."""


def has_spectrum(ds: xr.Dataset) -> bool:
    """Whether radial wavenumbers have a meaning: even axes of more than a point, in one unit."""
    axes = [ds[axis] for axis in schema.space_axes(ds)]
    even = all(axis.size > 1 and schema.is_even(axis.values) for axis in axes)
    return even and len({str(axis.attrs.get("units", "1")) for axis in axes}) == 1


@styled
def spectra(ds: xr.Dataset, field: str, frames: Sequence[int] | None = None) -> Figure:
    """Draw the energy of a field by radial wavenumber at a few lead times, truth and prediction.

    Lines are medians over the runs, bands reach from the lower to the upper quartile. Of an
    ensemble each member counts as a run. Below, the prediction's energy over the truth's: under 1
    it is too smooth at that scale, above 1 too rough.
    Beyond the Nyquist wavenumber of the coarsest axis, where only corners of the grid of waves
    are left, the ground is grey. The mean, of wavenumber 0, is left out.

    Args:
        ds: A rollout on even axes of one unit.
        field: Name of the field.
        frames: Which predicted frames, counted from 0; by default up to three, evenly placed.

    Raises:
        InputError: No such field, or axes without a common wavenumber.
    """
    over, ds = _over(ds), apart(ds)
    _require(ds, field)
    frames = spread(ds.sizes["time"], TIMES) if frames is None else list(frames)
    ds = ds.isel(sample=spread(ds.sizes["sample"], RUNS))
    known = f"truth_{field}" in ds
    rows = 2 if known else 1
    size = (1.2 + 3.3 * len(frames), 3.4 + 1.7 * (rows - 1))
    figure = Figure(figsize=size, layout="constrained")
    ratios = {"height_ratios": [2.2, 1.0][:rows]}
    grid = figure.subplots(
        rows, len(frames), squeeze=False, sharex=True, sharey="row", gridspec_kw=ratios
    )
    units = str(ds["time"].attrs.get("units", "1"))
    names = ([f"truth_{field}"] if known else []) + [field]
    for column, frame in enumerate(frames):
        part = ds.isel(time=frame)
        found = [energy_spectrum(part, name) for name in names]
        upper: Axes = grid[0, column]
        for energy, look in zip(found, [TRUTH_LOOK, PREDICTION_LOOK][-len(names) :], strict=True):
            _band(upper, energy.wavenumber.values, energy.values, **look)
        lead = labels.quantity(float(lead_times(ds)[frame]), units)
        upper.set_title(f"lead {lead}")
        if known:
            _ratio(grid[1, column], found[1], found[0])
        for axes in grid[:, column]:
            _corners(axes, found[0])
    _finish(grid, found[0], Field.from_attrs(field, ds[field].attrs), ds)
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(), loc="outside lower center", frameon=False, ncols=2
    )
    figure.suptitle(f"{labels.system_name(ds)} · spectrum of {labels.plain(field)} · {over}")
    return figure


@styled
def bands(ds: xr.Dataset) -> Figure:
    """Draw the error by wavenumber band against lead time, one panel a field.

    The squares of the bands sum to the square of the NRMSE, drawn in black (Parseval): the band on
    top is where the error lies.

    Args:
        ds: A rollout with its truth, on even axes of one unit.

    Raises:
        InputError: No truth, or axes without a common wavenumber.
    """
    over, ds = _over(ds), apart(ds)
    names = [name for name in schema.names(ds) if f"truth_{name}" in ds]
    if not names:
        raise InputError("the rollout holds no truth to compare with; give one with truth_FIELD")
    _require(ds, names[0])
    ds = ds.isel(sample=spread(ds.sizes["sample"], RUNS), time=spread(ds.sizes["time"], FRAMES))
    figure, panels = panel_grid(len(names))
    leads = lead_times(ds)
    for axes, name in zip(panels, names, strict=True):
        _bands(axes, ds, name, leads)
        axes.set_title(labels.plain(name))
        axes.set_ylabel("NRMSE")
    label_bottom(panels, lead_label(ds))
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", frameon=False,
        ncols=4 if len(panels) > 1 else 2,
    )  # fmt: skip
    figure.suptitle(
        f"{labels.system_name(ds)} · error by wavenumber band" + _between(panels) + over
    )
    return figure


def _require(ds: xr.Dataset, field: str) -> None:
    if field not in schema.names(ds):
        known = ", ".join(schema.names(ds))
        raise InputError(f"no field {field!r} in this dataset; choose one of: {known}")
    if not has_spectrum(ds):
        axes = ", ".join(f"{a} ({ds[a].attrs.get('units', '1')})" for a in schema.space_axes(ds))
        raise InputError(f"a spectrum needs even axes in one unit, and the rollout has {axes}")


def _mask(ds: xr.Dataset) -> xr.DataArray | None:
    found = None
    for name in schema.names(ds, "mask"):
        mask = ds[name].astype(bool)
        found = mask if found is None else found & mask
    return found


def energy_spectrum(part: xr.Dataset, name: str) -> xr.DataArray:
    """Energy per wavenumber of one frame over (sample, wavenumber), without the mean."""
    values = part[name].astype(np.float64)
    found = named.power_spectrum(values, mask=_mask(part)).transpose("sample", "wavenumber")
    density = (found / found.attrs["width"]).assign_attrs(found.attrs)
    return density.isel(wavenumber=slice(1, None))


def _band(axes: Axes, place: np.ndarray, values: np.ndarray, **look: object) -> None:
    """The median over the first axis as a line, the quartiles as a band around it."""
    low, median, high = (
        np.where(np.isfinite(part) & (part > 0), part, np.nan) for part in quartiles(values.T)
    )
    axes.plot(place, median, **look)  # type: ignore[arg-type]
    if len(values) > 1:
        axes.fill_between(place, low, high, color=str(look["color"]), alpha=0.18, linewidth=0)


def _ratio(axes: Axes, made: xr.DataArray, true: xr.DataArray) -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(made.values == true.values, 1.0, made.values / true.values)
    _band(axes, made.wavenumber.values, ratio, **PREDICTION_LOOK)
    axes.axhline(1.0, color=BASELINE_COLOUR, linewidth=1, linestyle="--", zorder=1)


def _corners(axes: Axes, energy: xr.DataArray) -> None:
    """Grey ground where only the corners of the grid of waves are left, and logarithmic axes."""
    waves, nyquist = energy.wavenumber.values, float(energy.attrs["nyquist"])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(waves[0] / 1.1, waves[-1] * 1.1)
    axes.axvspan(nyquist, waves[-1] * 2, color="0.93", linewidth=0, zorder=0)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.spines[["top", "right"]].set_visible(False)


def _finish(grid: np.ndarray, energy: xr.DataArray, item: Field, ds: xr.Dataset) -> None:
    """Limits and labels."""
    tops = [line.get_ydata() for axes in grid[0] for line in axes.get_lines()]
    finite = np.concatenate([np.asarray(part, dtype=float) for part in tops])
    finite = finite[np.isfinite(finite)]
    if finite.size:
        high = float(finite.max())
        grid[0, 0].set_ylim(max(float(finite.min()), RANGE * high) / 2, 3 * high)
    wave = str(energy.wavenumber.attrs["units"])
    grid[0, 0].set_ylabel(f"energy per wavenumber\n{density_unit(item.units, wave)}".rstrip())
    if len(grid) > 1:
        grid[1, 0].set_ylabel("prediction\n/ truth")
        low, high = grid[1, 0].get_ylim()
        grid[1, 0].set_ylim(max(min(low, 0.5), RATIOS[0]), min(max(high, 2.0), RATIOS[1]))
        grid[1, 0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        grid[1, 0].yaxis.set_minor_formatter(NullFormatter())
    for axes in grid[-1]:
        axes.set_xlabel(labels.with_units("wavenumber", wave))


def density_unit(units: str, wave: str) -> str:
    """The unit of a field squared over that of a wavenumber; nothing where both have none."""
    if units == "1":
        return "" if wave == "rad" else f"1 / ({labels.units_text(wave)})"
    squared = (
        f"{labels.units_text(units)}²" if units.isalpha() else f"({labels.units_text(units)})²"
    )
    return f"{squared} / ({labels.units_text(wave)})"


def _bands(axes: Axes, ds: xr.Dataset, name: str, leads: np.ndarray) -> None:
    """The error of one field in all and in each band."""
    made, true = (ds[key].astype(np.float64) for key in (name, f"truth_{name}"))
    parts = named.band_nrmse(made, true, mask=_mask(ds)).transpose("sample", "time", "band").values
    whole = np.sqrt((parts**2).sum(-1))
    low, high = (float(f"{edge:.3g}") for edge in band_edges(Batch.from_dataset(ds.isel(
        sample=slice(0, 1), time=slice(0, 1))).axes))  # fmt: skip
    unit = labels.units_text(_wave_units(ds))
    ranges = (f"below {low:g} {unit}", f"to {high:g} {unit}", f"above {high:g} {unit}")
    _band(axes, leads, whole, color=TRUTH_LOOK["color"], linestyle="-", label="all scales")
    for number, (band, words) in enumerate(zip(BANDS, ranges, strict=True)):
        _band(
            axes, leads, parts[..., number], color=LINE_COLOURS[number],
            linestyle=("-", "--", (0, (1, 1)))[number], label=f"{band}, {words}",
        )  # fmt: skip
    medians = np.stack([np.median(part, axis=0) for part in (whole, *np.moveaxis(parts, -1, 0))])
    set_scale(axes, medians, medians)
    axes.spines[["top", "right"]].set_visible(False)


def _wave_units(ds: xr.Dataset) -> str:
    units = str(ds[schema.space_axes(ds)[0]].attrs.get("units", "1"))
    return "rad" if units == "1" else f"rad {units}-1"


def _over(ds: xr.Dataset) -> str:
    """What the median is over, of a rollout as it was given."""
    runs, members = ds.sizes["sample"], ds.sizes["member"] if is_ensemble(ds) else 1
    if runs * members == 1:
        return "1 run"
    some = f"{RUNS} of the " if runs * members > RUNS else ""
    what = f"{runs} runs" if runs > 1 else "1 run"
    if members > 1:
        what = f"{members} members of {'each of ' if runs > 1 else ''}{what}"
    return f"median and quartiles of {some}{what}"


def _between(panels: Sequence[Axes]) -> str:
    return "\n" if len(panels) == 1 else " · "
