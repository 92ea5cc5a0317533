"""The models that are compared: how each is built for some data, and its choice of recipes.

Each arm has three recipes, of which the validation runs choose one. The U-Net and the FNO get the
loss in units of the change and the schedule of the default model, and AdamW, with which both are
usually trained. What is the default model's own, Muon and rollouts in the last half of a training,
stays its own. The published AViT keeps the loss and the optimizer that it was published with, and
five windows a step. D-Adapt Adan finds its rate by itself, but needs some 140 steps to do so, which
is most of a short training: AdamW at two rates stands beside it, at half and at twice the rate
that D-Adapt ends at, with smaller batches so that there are more steps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
import xarray as xr
from equal_time import Recipe
from finer_avit import FinerAViT
from fno import FNO
from stacked import StackedFrames
from unet import UNet

from mpp import schema
from mpp.errors import InputError
from mpp.model.avit import PublishedAViT
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Surrogate
from mpp.train.datamodule import MixtureData, vocabulary
from mpp.train.loss import nmse_loss
from mpp.train.optimizer import DecayArrays
from mpp.train.schedule import Cosine, Trapezoid

PERSISTENCE = "persistence"
DEFAULT, PUBLISHED, FINER = "default", "avit", "avit8"
Stage = Literal["alone", "suite", "finetuned"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Shape = Mapping[str, Any]
Build = Callable[[Sequence[xr.Dataset], Shape], Surrogate]


@dataclass(frozen=True)
class Arm:
    """A model with its recipes.

    Args:
        label: What tables call it.
        build: Makes it for the fields of some datasets, with these sizes.
        alone: Recipes to train it on one system, by the name of the choice.
        suite: To train it on all systems at once; none for a model of one system.
        finetuned: To go on from there on one system.
    """

    label: str
    build: Build
    alone: Mapping[str, Recipe]
    suite: Mapping[str, Recipe] = field(default_factory=dict)
    finetuned: Mapping[str, Recipe] = field(default_factory=dict)

    def recipes(self, stage: Stage) -> Mapping[str, Recipe]:
        """The choices at one stage of the study."""
        return {"alone": self.alone, "suite": self.suite, "finetuned": self.finetuned}[stage]

    @property
    def works(self) -> dict[str, Recipe]:
        """A recipe for each amount of work that a step can be."""
        return {recipe.work: recipe for stage in STAGES for recipe in self.recipes(stage).values()}


def _default(datasets: Sequence[xr.Dataset], shape: Shape) -> Surrogate:
    return AxialTransformer([item.name for item in vocabulary(datasets)], **shape)


def _published(kind: type[PublishedAViT]) -> Build:
    def build(datasets: Sequence[xr.Dataset], shape: Shape) -> Surrogate:
        """With a slot for every field of every system, as it was published."""
        systems = {schema.system(ds): schema.names(ds) for ds in datasets}
        count = sum(len(names) for names in systems.values())
        flat = [name for names in systems.values() for name in names]
        model = kind(flat, **{"slots": max(12, count), **shape})
        model.separate(systems)
        return model

    return build


def _stacked(kind: Callable[..., StackedFrames]) -> Build:
    def build(datasets: Sequence[xr.Dataset], shape: Shape) -> Surrogate:
        (ds,) = datasets  # these are specialists
        return kind(schema.names(ds), schema.names(ds, "static"), **shape)

    return build


def prepare(model: Surrogate, data: MixtureData) -> None:
    """Tell a model that wants to know what its data is like."""
    if isinstance(model, AxialTransformer | StackedFrames):
        model.set_scales(data.field_scales())
    if isinstance(model, AxialTransformer):
        model.learn_numbers(data.transforms())


ADAMW = DecayArrays(torch.optim.AdamW)


def _rates(*rates: float, **options: Any) -> dict[str, Recipe]:
    return {f"{rate:g}": Recipe(rate, **options) for rate in rates}


def _dadapt(batch_size: int, accumulate: int) -> dict[str, Recipe]:
    """The published recipe, where its package is installed."""
    try:
        from dadaptation import DAdaptAdan
    except ImportError as error:
        raise InputError(
            f"expected the package dadaptation for the published AViT ({error}); install "
            "'mpp-physics[peers]'"
        ) from None
    recipe = Recipe(
        1.0, batch_size, accumulate, DecayArrays(DAdaptAdan, {"growth_rate": 1.05}), 0.001,
        Cosine(runs=5.0, least=-0.01), nmse_loss,
    )  # fmt: skip
    return {"D-Adapt": recipe}


def arms() -> dict[str, Arm]:
    """Every arm by name.

    Raises:
        InputError: The package of the published AViT's optimizer is not installed.
    """
    gentle = Trapezoid(warmup=0.1)
    peer: dict[str, Any] = {"batch_size": 4, "optimizer": ADAMW}
    paper: dict[str, Any] = {"optimizer": ADAMW, "weight_decay": 0.001, "loss": nmse_loss}
    own: dict[str, Any] = {"rollouts": 0.5}
    adamw = _rates(5e-4, 2e-3, **paper)
    # Five windows an optimizer step, as published: of one system they can share a batch.
    alone, suite = {**_dadapt(5, 1), **adamw}, {**_dadapt(1, 5), **adamw}
    finetuned = _rates(1e-4, 3e-4, 1e-3, schedule=gentle, **paper)
    published = {
        name: Arm(label, _published(kind), alone, suite, finetuned)
        for name, label, kind in (
            (PUBLISHED, "published AViT", PublishedAViT),
            (FINER, "published AViT, patch 8", FinerAViT),
        )
    }
    rates = _rates(2.5e-3, 5e-3, 1e-2, **own)
    return {
        DEFAULT: Arm(
            "default", _default, rates, rates, _rates(1e-3, 2e-3, 5e-3, schedule=gentle, **own)
        ),
        "unet": Arm("U-Net", _stacked(UNet), _rates(1e-3, 3e-3, 1e-2, **peer)),
        "fno": Arm("FNO", _stacked(FNO), _rates(3e-3, 1e-2, 3e-2, **peer)),
        **published,
    }
