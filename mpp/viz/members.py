"""Ensembles in pictures: mean and spread as fields, and whether the spread tells the error."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from mpp import schema
from mpp.errors import InputError
from mpp.rollouts.ensembles import ensemble_mean, ensemble_spread
from mpp.viz import labels
from mpp.viz.curves import label_bottom, panel_grid, set_scale
from mpp.viz.panels import lead_label, lead_times
from mpp.viz.style import BASELINE_COLOUR, LINE_COLOURS, styled


def is_ensemble(ds: xr.Dataset) -> bool:
    """Whether a dataset is a rollout of several members."""
    return any("member" in ds[name].dims for name in schema.names(ds))


def joined(ds: xr.Dataset) -> xr.Dataset:
    """An ensemble with the mean of each field in its place, and its ``spread_FIELD`` beside it.

    The mean is named in the system's name, so that each picture tells it. Any other dataset is
    given back as it is.
    """
    if not is_ensemble(ds):
        return ds
    mean, spread = ensemble_mean(ds), ensemble_spread(ds)
    beside = {f"spread_{n}": spread[n].assign_attrs(role="spread") for n in schema.names(mean)}
    system = f"{schema.system(ds)}, mean of {ds.sizes['member']}"
    return mean.assign(beside).assign_attrs(system=system)


def apart(ds: xr.Dataset) -> xr.Dataset:
    """Every member of every run as a run of its own, for what a mean would change: it is smoother
    than any member. Any other dataset is given back as it is."""
    if not is_ensemble(ds):
        return ds
    parts = [ds.isel(member=number, drop=True) for number in range(ds.sizes["member"])]
    return xr.concat(parts, "sample", data_vars="all", coords="minimal", join="override")


@styled
def reliability(ds: xr.Dataset) -> Figure:
    """Draw the error of the ensemble mean and the spread of the members against lead time.

    Both are roots of mean squares over runs and points, the spread times sqrt((members + 1) /
    members), so that the two lines are one where the ensemble is reliable (Fortin et al., Why
    should ensemble spread match the RMSE of the ensemble mean?, J. Hydrometeorology 15, 2014).

    Args:
        ds: An ensemble with its truth.

    Raises:
        InputError: No members, or no truth.
    """
    names = [name for name in schema.names(ds) if f"truth_{name}" in ds]
    if not is_ensemble(ds) or not names:
        raise InputError("expected an ensemble with its truth, as mpp rollout --members writes it")
    mean, spread = ensemble_mean(ds), ensemble_spread(ds)
    inside = xr.ones_like(mean[names[0]], dtype=bool)
    for name in schema.names(ds, "mask"):
        inside = inside & ds[name].astype(bool)
    count = ds.sizes["member"]
    figure, panels = panel_grid(len(names))
    for axes, name in zip(panels, names, strict=True):
        error = (mean[name] - ds[f"truth_{name}"]).astype(np.float64)
        inflated = spread[name].astype(np.float64) * np.sqrt((count + 1) / count)
        lines = [np.sqrt(_square(part.where(inside))) for part in (error, inflated)]
        looks = [(LINE_COLOURS[0], "-", "error of the mean"), (BASELINE_COLOUR, "--", "spread")]
        for line, (colour, dashes, label) in zip(lines, looks, strict=True):
            axes.plot(lead_times(ds), line, color=colour, linestyle=dashes, label=label)
        set_scale(axes, np.stack(lines), np.stack(lines))
        axes.set_title(labels.plain(name))
        axes.set_ylabel(labels.with_units("RMS", str(ds[name].attrs.get("units", "1"))))
        axes.spines[["top", "right"]].set_visible(False)
    label_bottom(panels, lead_label(ds))
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", frameon=False, ncols=2
    )
    between = "\n" if len(panels) == 1 else " · "
    figure.suptitle(f"{labels.system_name(ds)} · ensemble of {count}{between}error and spread")
    return figure


def _square(values: xr.DataArray) -> np.ndarray:
    """Mean square by time over all that is finite in every run; NaN where a run is not finite."""
    dims = [dim for dim in values.dims if dim != "time"]
    return (values**2).mean(dims).transpose("time").values
