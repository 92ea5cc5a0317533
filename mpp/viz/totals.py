"""Totals over the domain against time: what an equation may conserve, true and predicted."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpp import schema
from mpp.metrics import named
from mpp.metrics.expression import Expression
from mpp.viz import labels
from mpp.viz.curves import label_bottom, panel_grid
from mpp.viz.panels import lead_label, lead_times
from mpp.viz.strips import select
from mpp.viz.style import PREDICTION_LOOK, TRUTH_LOOK, styled

FRAMES = 200
LEAST = 0.02
"""Part of the total of the absolute value that a panel spans at least, so that rounding of what is
conserved does not fill it."""


@styled
def totals(ds: xr.Dataset, sample: int = 0, quantities: Mapping[str, str] | None = None) -> Figure:
    """Draw the integral over the domain of every field, and of declared quantities, of one run.

    Above each panel stands how far the predicted total is off at the end, relative to the integral
    of the absolute value of the truth. Of an ensemble the mean of the members' totals is drawn, and
    a band from the least to the largest.

    Args:
        ds: A rollout, or an ensemble of them.
        sample: Which run.
        quantities: Quantities by name, as arithmetic over fields, maps and numbers of the equation:
            ``{"energy": "0.5*density*(velocity_x**2 + velocity_y**2)"}``.

    Raises:
        InputError: No such run, or a quantity that cannot be read.
    """
    step = -(-ds.sizes["time"] // FRAMES)
    ds = ds.isel(time=slice((ds.sizes["time"] - 1) % step, None, step))
    fields = schema.fields(ds)
    _, _, defined = select(ds.isel(member=0) if "member" in ds.dims else ds, fields[0].name, sample)
    mask = defined.isel(time=0, drop=True) if schema.names(ds, "mask") else None
    run = ds.isel(sample=sample)
    declared = {name: Expression.parse(one) for name, one in (quantities or {}).items()}
    figure, panels = panel_grid(len(fields) + len(declared))
    drawn = [(item.name, item.units, item.name) for item in fields]
    drawn += [(name, "", one) for name, one in declared.items()]
    for axes, (name, unit, what) in zip(panels, drawn, strict=True):
        _panel(axes, _parts(run, what), mask, lead_times(ds))
        axes.set_title(f"{labels.plain(name, 20)}{axes.get_title()}")
        axes.set_ylabel(_label(ds, unit))
    label_bottom(panels, lead_label(ds))
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", frameon=False, ncols=2
    )
    between = "\n" if len(panels) == 1 else " · "
    title = f"{labels.system_name(ds)} · totals over the domain, run {sample}"
    known = bool(schema.names(ds, "truth"))
    figure.suptitle(f"{title}{between}error at the end over ∫|truth|" if known else title)
    return figure


def _parts(run: xr.Dataset, what: str | Expression) -> dict[str, xr.DataArray]:
    """Truth and prediction of a field or a quantity over (time, *space), as far as known."""
    names = schema.names(run)
    known = [name for name in names if f"truth_{name}" in run]
    if isinstance(what, str):
        found = {"truth": run[f"truth_{what}"]} if what in known else {}
        return {**found, "prediction": run[what]}
    true = run.assign({name: run[f"truth_{name}"] for name in known})
    found = {"truth": named.quantity(true, what)} if len(known) == len(names) else {}
    return {**found, "prediction": named.quantity(run, what)}


def _panel(
    axes: Axes, parts: Mapping[str, xr.DataArray], mask: xr.DataArray | None, leads: np.ndarray
) -> None:
    """The totals, and in the title the drift at the end."""
    found = {}
    for name, look in (("truth", TRUTH_LOOK), ("prediction", PREDICTION_LOOK)):
        if name in parts:
            values = parts[name].astype(np.float64)
            of_members = named.total(values, mask=mask).transpose(..., "time").values
            of_members = np.where(np.isfinite(of_members), of_members, np.nan).reshape(
                -1, leads.size
            )
            found[name] = of_members.mean(0)
            axes.plot(leads, found[name], **look)
            if len(of_members) > 1:
                ends = of_members.min(0), of_members.max(0)
                axes.fill_between(leads, *ends, color=look["color"], alpha=0.18, linewidth=0)
    first = parts.get("truth", parts["prediction"]).astype(np.float64)
    size = named.total(abs(first), mask=mask).values
    finite = size[np.isfinite(size)]
    middle, reach = sum(axes.get_ylim()) / 2, LEAST / 2 * float(finite.max(initial=0.0))
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, middle - reach), max(high, middle + reach))
    if "truth" in found and size[-1] > 0:
        off = abs(found["prediction"][-1] - found["truth"][-1]) / size[-1]
        axes.set_title(f" · off by {100 * off:.2g} %" if np.isfinite(off) else " · not finite")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.spines[["top", "right"]].set_visible(False)


def _label(ds: xr.Dataset, unit: str) -> str:
    """``total (kg m⁻³ m²)``: the unit of the field times that of area or volume."""
    if not unit:
        return "total"
    lengths = [str(ds[axis].attrs.get("units", "1")) for axis in schema.space_axes(ds)]
    counts = {length: lengths.count(length) for length in lengths if length != "1"}
    parts = ["" if unit == "1" else unit]
    parts += [f"{length}{count if count > 1 else ''}" for length, count in counts.items()]
    return labels.with_units("total", " · ".join(part for part in parts if part) or "1")
