"""What an evaluation can hold: every score by name, its formula, its unit and its best value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from mpp.batch import Axis
from mpp.errors import InputError
from mpp.fields import Field
from mpp.metrics import conserved, distribution, divergence, imprint, pdebench, scores, sides, well
from mpp.metrics.conserved import Quantity
from mpp.metrics.moments import Frames, Mask, Weights
from mpp.metrics.scales import Scales
from mpp.metrics.spectrum import BANDS, band_nrmse, band_ratio
from mpp.schema import is_even

Best = Literal["lowest", "highest", "one", "truth"]
Compat = Literal["pdebench", "well"]
FIELD_UNIT = "unit of the field"


@dataclass(frozen=True)
class Setting:
    """What is known before a frame is scored.

    Args:
        fields: The fields that are predicted.
        axes: The space axes.
        scales: Sizes of the fields over all windows, for floors.
        weights: Volume of every cell of an uneven grid.
        climatology: Mean state, (field, *space), in the fields' units.
        quantities: Declared quantities by name.
        patch: Points of a patch of the model along every axis; 0 where it has none.
    """

    fields: tuple[Field, ...]
    axes: tuple[Axis, ...]
    scales: Scales
    weights: Weights | None = None
    climatology: Tensor | None = None
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    patch: int = 0


@dataclass(frozen=True, eq=False)
class Scene:
    """One frame of some windows to score.

    Args:
        prediction: What a model gave.
        target: What the solver gave.
        mask: True where the fields are defined.
        others: Maps and numbers of the equation by name, which quantities may be made of.
        setting: What is the same for all frames.
    """

    prediction: Frames
    target: Frames
    mask: Mask | None
    others: Mapping[str, Tensor]
    setting: Setting

    def by_name(self, values: Frames) -> dict[str, Tensor]:
        """Fields, maps and numbers, each (sample, time, *space)."""
        names = [item.name for item in self.setting.fields]
        return {**self.others, **{name: values[:, :, i] for i, name in enumerate(names)}}


Compute = Callable[[Scene], dict[str, Tensor]]
"""One tensor a variable of the file: (sample, time, field), or (sample, time) over all fields."""


@dataclass(frozen=True)
class Entry:
    """A score, or scores that come together.

    Args:
        compute: Its variables of one frame.
        formula: What it is, means ``<.>`` over the grid, ``e`` the error, ``t`` the truth.
        units: Unit of it.
        best: Which value is best; ``truth`` where the truth's own value stands beside it.
        always: Whether it is computed unasked.
        floor: What its denominator is kept above, for the file.
        missing: Why it cannot be computed here; empty where it can.
    """

    compute: Compute
    formula: str
    units: str = "1"
    best: Best = "lowest"
    always: bool = False
    floor: Callable[[Scales], Tensor] | None = None
    missing: Callable[[Setting], str] = lambda setting: ""


def _plain(name: str, score: scores.Score, floor: str = "") -> Compute:
    """A score of prediction, target, mask, floor and weights."""

    def compute(scene: Scene) -> dict[str, Tensor]:
        setting = scene.setting
        least = setting.scales.floor(floor) if floor else None
        found = score(scene.prediction, scene.target, scene.mask, least, setting.weights)
        return {name: found}

    return compute


def _anomaly(scene: Scene) -> dict[str, Tensor]:
    mean = scene.setting.climatology
    assert mean is not None
    made, true, weights = scene.prediction, scene.target, scene.setting.weights
    found = scores.anomaly_correlation(made, true, mean[None, None], scene.mask, weights)
    return {"anomaly_correlation": found}


def _band_nrmse(scene: Scene) -> dict[str, Tensor]:
    floor = scene.setting.scales.floor("nrmse")
    found = band_nrmse(scene.prediction, scene.target, scene.setting.axes, scene.mask, floor)
    return {f"band_nrmse_{name}": found[..., i] for i, name in enumerate(BANDS)}


def _band_ratio(scene: Scene) -> dict[str, Tensor]:
    found = band_ratio(scene.prediction, scene.target, scene.setting.axes, scene.mask)
    return {f"band_ratio_{name}": found[..., i] for i, name in enumerate(BANDS)}


def _side_rmse(scene: Scene) -> dict[str, Tensor]:
    axes, weights = scene.setting.axes, scene.setting.weights
    found = sides.side_rmse(scene.prediction, scene.target, axes, mask=scene.mask, weights=weights)
    return {f"side_rmse_{name}": found[..., i] for i, name in enumerate(sides.sides(axes))}


def _drift(scene: Scene) -> dict[str, Tensor]:
    setting = scene.setting
    floor = setting.scales.floor("nrmse")
    made, true, mask, weights = scene.prediction, scene.target, scene.mask, setting.weights
    found = {"drift": conserved.drift(made, true, mask, floor, weights)}
    for name, declared in setting.quantities.items():
        one, other = (conserved.quantity(declared, scene.by_name(v), name) for v in (made, true))
        found[f"drift_{name}"] = conserved.drift(one, other, mask, None, weights)[:, :, 0]
    return found


def _divergence(scene: Scene) -> dict[str, Tensor]:
    setting, found = scene.setting, {}
    for name, channels in divergence.vectors(setting.fields, setting.axes).items():
        for before, values in (("", scene.prediction), ("truth_", scene.target)):
            components = values[:, :, list(channels)]
            found[f"{before}divergence_{name}"] = divergence.divergence(
                components, setting.axes, scene.mask, setting.weights
            )
    return found


def _imprint(scene: Scene) -> dict[str, Tensor]:
    setting = scene.setting
    found = imprint.patch_imprint(
        scene.prediction, scene.target, setting.axes, setting.patch, scene.mask
    )
    return {"patch_imprint": found}


def _no_spectrum(setting: Setting) -> str:
    uneven = [axis.name for axis in setting.axes if not is_even(axis.points)]
    if uneven:
        return f"{uneven[0]} has uneven steps"
    units = sorted({axis.units for axis in setting.axes})
    return f"the axes have different units ({', '.join(units)})" if len(units) > 1 else ""


def _no_sides(setting: Setting) -> str:
    return "" if sides.sides(setting.axes) else "every axis is periodic"


def _no_vector(setting: Setting) -> str:
    if divergence.vectors(setting.fields, setting.axes):
        short = [axis.name for axis in setting.axes if len(axis.points) < 3]
        return f"{short[0]} has fewer than 3 points" if short else ""
    return "no vector has a component along each of two or more axes"


def _no_patches(setting: Setting) -> str:
    if not setting.patch:
        return "no model reads patches of more than one point"
    fits = imprint.enough(setting.axes, setting.patch)
    return "" if fits else f"too few patches of {setting.patch} points along every axis"


CATALOGUE: dict[str, Entry] = {
    "nrmse": Entry(
        _plain("nrmse", scores.nrmse, "nrmse"), "sqrt(<e^2> / max(<t^2>, floor^2))",
        always=True, floor=lambda scales: scales.floor("nrmse"),
    ),
    "vrmse": Entry(
        _plain("vrmse", scores.vrmse, "vrmse"), "sqrt(<e^2> / max(var(t), floor^2))",
        always=True, floor=lambda scales: scales.floor("vrmse"),
    ),
    "rmse": Entry(_plain("rmse", scores.rmse), "sqrt(<e^2>)", FIELD_UNIT, always=True),
    "mae": Entry(_plain("mae", scores.mae), "<|e|>", FIELD_UNIT, always=True),
    "max_error": Entry(_plain("max_error", scores.max_error), "max |e|", FIELD_UNIT, always=True),
    "pearson": Entry(
        _plain("pearson", scores.pearson), "<p' t'> / sqrt(<p'^2> <t'^2>), p' = p - <p>",
        best="highest", always=True,
    ),
    "drift": Entry(
        _drift, "|<p> - <t>| / max(<|t|>, floor); of a quantity without a floor",
        always=True, floor=lambda scales: scales.floor("nrmse"),
    ),
    "anomaly_correlation": Entry(
        _anomaly, "<(p - c)(t - c)> / sqrt(<(p - c)^2> <(t - c)^2>), c the climatology",
        best="highest",
    ),
    "band_nrmse": Entry(
        _band_nrmse, "sqrt(E_band(e) / max(<t^2>, floor^2)); the squares sum to nrmse^2",
        floor=lambda scales: scales.floor("nrmse"), missing=_no_spectrum,
    ),
    "band_ratio": Entry(
        _band_ratio, "E_band(p) / E_band(t), without the mean", best="one", missing=_no_spectrum,
    ),
    "side_rmse": Entry(
        _side_rmse, f"sqrt(<e^2>) over a strip of {sides.WIDTH:g} of the axis at the side",
        FIELD_UNIT, missing=_no_sides,
    ),
    "divergence": Entry(
        _divergence, "sqrt(<(sum d_i u_i)^2> / <sum (d_i u_i)^2>)",
        best="truth", missing=_no_vector,
    ),
    "wasserstein": Entry(
        _plain("wasserstein", distribution.wasserstein), "int |F_p(v) - F_t(v)| dv", FIELD_UNIT
    ),
    "patch_imprint": Entry(
        _imprint, "energy of e at harmonics of the patch over that at their neighbours",
        best="one", missing=_no_patches,
    ),
}  # fmt: skip
"""The scores as this project defines them; the modules beside this one derive each."""


OfSamples = Callable[[Tensor, Tensor], dict[str, Tensor]]


def _published(
    of_samples: OfSamples, names: tuple[str, ...], with_units: tuple[str, ...], whose: str
) -> dict[str, Entry]:
    """Entries of definitions that a benchmark computes together, once a frame."""

    @lru_cache(maxsize=1)
    def every(scene: Scene) -> dict[str, Tensor]:
        if scene.mask is not None:
            raise InputError(
                "the published definitions know no mask, and the data has one; leave compat out"
            )
        return of_samples(scene.prediction, scene.target)

    def entry(name: str) -> Entry:
        units = FIELD_UNIT if name in with_units else "1"
        best: Best = "highest" if name == "pearson" else "lowest"
        formula = f"as {whose} computes it"
        return Entry(lambda scene: {name: every(scene)[name]}, formula, units, best, always=True)

    return {name: entry(name) for name in names}


PUBLISHED: dict[Compat, dict[str, Entry]] = {
    "pdebench": _published(
        pdebench.of_samples,
        pdebench.NAMES,
        tuple(name for name in pdebench.NAMES if name != "nrmse"),
        "PDEBench",
    ),
    "well": _published(well.of_samples, well.NAMES, ("mae", "rmse", "max_error"), "The Well"),
}
"""The published definitions, one sample a set."""


def choose(
    wanted: Sequence[str] | Literal["all"] | None,
    settings: tuple[Setting, ...],
    compat: Compat | None = None,
) -> tuple[dict[str, Entry], dict[str, str]]:
    """The scores to compute, and those that cannot be with the reason.

    Args:
        wanted: Names, ``all``, or nothing for those that are always computed.
        settings: Of every dataset and model; a score must be possible in all of them.
        compat: Take the published definitions of a benchmark instead.

    Raises:
        InputError: An unknown name, or one that was asked for and cannot be computed here.
    """
    known = CATALOGUE if compat is None else PUBLISHED[compat]
    if wanted is None:
        return {name: entry for name, entry in known.items() if entry.always}, {}
    names = tuple(known) if wanted == "all" else (wanted,) if isinstance(wanted, str) else wanted
    unknown = [name for name in names if name not in known]
    if unknown:
        whose = "" if compat is None else f" of {compat}"
        raise InputError(
            f"no score{whose} is called {', '.join(unknown)}; there are: {', '.join(known)}"
        )
    why = {name: next(filter(None, map(known[name].missing, settings)), "") for name in names}
    left_out = {name: reason for name, reason in why.items() if reason}
    if left_out and wanted != "all":
        name, reason = next(iter(left_out.items()))
        raise InputError(f"{name} cannot be computed here: {reason}; leave it out")
    always = [name for name, entry in known.items() if entry.always and compat is None]
    taken = [name for name in dict.fromkeys((*always, *names)) if name not in left_out]
    return {name: known[name] for name in taken}, left_out


def compute(entries: Mapping[str, Entry], scene: Scene) -> dict[str, tuple[Entry, Tensor]]:
    """Every variable of one frame, with the entry that it comes from."""
    return {
        name: (entry, torch.as_tensor(values))
        for entry in entries.values()
        for name, values in entry.compute(scene).items()
    }
