"""The main job, end to end: simulate, finetune, compare with scratch, and show it.

The model that is shipped was pretrained on many systems. It is finetuned on a few runs of one that
it has not seen. A second model of the same shape starts from random weights and trains on the same
runs for as many steps. Both are scored on runs that neither of them trained on or chose its weights
by, with persistence beside them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from mpp.data.generate import default_workers, generate, solver_pool
from mpp.data.open import open_dataset
from mpp.data.suite import Bar
from mpp.data.system import Split
from mpp.devices import placed
from mpp.errors import InputError
from mpp.evaluation import evaluate
from mpp.files import written_beside
from mpp.finetuning import finetune
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Surrogate
from mpp.rollouts import rollout, with_truth
from mpp.study.train import fresh
from mpp.viz.demo import demo_page
from mpp.weights import load, save

CHECKPOINT = "mpp-mini"
TARGET = "kuramoto_sivashinsky"
ARMS = ("finetuned", "scratch")
WRITTEN = (
    "data",
    *ARMS,
    *(f"rollout_{arm}.nc" for arm in ARMS),
    "scores.nc",
    "index.html",
)
"""What a demo leaves in its folder."""


@dataclass(frozen=True)
class Plan:
    """Sizes of the demo; the defaults take about four minutes on two cores.

    Args:
        runs: Runs of the target system that finetuning and scratch get.
        test_runs: Runs of the target system that both are scored on.
        resolution: Points along each axis.
        steps: Optimizer steps of finetuning, and of training from scratch.
        lead: Frames of the scored rollouts.
        seed: Fixes everything that is drawn.
    """

    runs: int = 4
    test_runs: int = 8
    resolution: int = 64
    steps: int = 100
    lead: int = 20
    seed: int = 0


def demo(out: Path, datasets: Path, checkpoint: str, plan: Plan, bar: Bar) -> xr.Dataset:
    """Run everything and write data, checkpoints, scores and rollouts into ``out``.

    Args:
        out: Folder for the results.
        datasets: The repository's folder of systems.
        checkpoint: What to finetune, as `mpp.load` takes it; of the default model.
        plan: How much of everything.
        bar: Shows progress.

    Returns:
        Scores of ``finetuned``, ``scratch`` and ``persistence`` on the test runs.

    Raises:
        InputError: Data or checkpoint cannot be used.
    """
    start = load(checkpoint)
    if not isinstance(start, AxialTransformer):
        raise InputError(
            f"{checkpoint}: the demo finetunes the default model, this is {type(start).__name__}"
        )
    target, test = _simulate(out / "data", datasets, plan, bar)
    models: dict[str, Surrogate] = {}
    for name, model in zip(ARMS, (start, fresh(start, target, plan.seed)), strict=True):
        models[name] = finetune(
            model,
            target,
            out / name,
            max_steps=plan.steps,
            seed=plan.seed,
            patience=1.0,  # both train for as many steps
            task=f"train {name}",
        )
        save(models[name], out / name)
    with bar("score", 100) as advance, placed(*models.values()):
        percent = lambda done, total: advance(100 * done // total)  # noqa: E731
        scores = evaluate(models, test, plan.lead, progress=percent)
    with written_beside(out / "scores.nc") as unfinished:
        scores.to_netcdf(unfinished)
    history = test.isel(time=slice(0, start.history))
    for name, model in models.items():
        with placed(model):
            predicted = with_truth(rollout(model, history, plan.lead), test)
        with written_beside(out / f"rollout_{name}.nc") as unfinished:
            predicted.to_netcdf(unfinished)
    with bar("draw", 4) as advance:
        demo_page(out, story(checkpoint, start.card, plan), advance)
    return scores


def story(checkpoint: str, card: dict[str, Any], plan: Plan) -> str:
    """What the demo does, for its page."""
    return (
        f"The model {checkpoint} was pretrained on {', '.join(card.get('systems', ()))}. It was "
        f"finetuned for {plan.steps} steps on {plan.runs} runs of {TARGET}, which it had not seen. "
        "The same model from random weights trained on the same runs for as many steps, at the "
        "same rate. Both are scored here on "
        f"{plan.test_runs} runs that neither has seen, beside persistence, which copies the last "
        "frame. VRMSE is the error relative to the variation of the truth: 0 is perfect, 1 is no "
        "better than predicting the mean."
    ).replace("_", " ")


def _simulate(out: Path, datasets: Path, plan: Plan, bar: Bar) -> tuple[xr.Dataset, xr.Dataset]:
    """The target's runs to train on, and its runs to test on."""
    if not (datasets / TARGET).is_dir():
        raise InputError(
            f"{datasets}: expected the repository's folder of systems, with {TARGET} in it; give "
            "it with --datasets"
        )
    wanted: list[tuple[Split, int]] = [("train", plan.runs), ("test", plan.test_runs)]
    opened = []
    with solver_pool(default_workers()) as pool:
        for split, count in wanted:
            with bar(f"simulate {TARGET}", count) as advance:
                path = generate(
                    datasets / TARGET,
                    out,
                    trajectories=count,
                    resolution=plan.resolution,
                    seed=plan.seed,
                    split=split,
                    pool=pool,
                    on_trajectory=lambda index, advance=advance: advance(index + 1),
                )
            opened.append(open_dataset(path))
    return opened[0], opened[1]
