"""The default model against its peers, each with the same time to train on the same runs.

Persistence, a U-Net of ConvNeXt blocks, neuraloperator's FNO, the published AViT with its own loss
(with its patches of 16 points, and with 8) and the default model are trained on each system by
itself. Then the default model and the better published one are trained on all systems at once, in
the sum of the times that the specialists had, and finetuned on each. Every model sees 8 frames and
no numbers of the equation; each has its recipe chosen out of three on validation runs.

Time is that of one processor, counted over forward and backward passes and the optimizer; what a
step costs is measured first, all models in turn, and sets the number of steps. Where there is a GPU
it is used, by one training at a time, and what passes until it is done counts. The five systems
that are taken unless others are named differ in kind: reaction and diffusion between walls that
nothing flows through (fitzhugh_nagumo), forced turbulence on a torus (kolmogorov_flow), a gas with
shocks (euler), a front that leaves through open sides (shallow_water), and linear waves in a medium
with edges, between walls and open sides (acoustics).

Runs and finished trainings are kept in a folder, and the same command goes on from there. It then
holds results.json, tables.md and figure.png.

example: python benchmarks/peers.py --out runs/peers --json peers.json
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from peer_arms import arms
from peer_data import Sizes, files
from peer_figure import figure
from peer_report import markdown, summary
from peer_study import Place, Runner, Study, complete, silent
from reporting import circumstances, write_json

from mpp.errors import InputError
from mpp.viz.style import save

SYSTEMS = ("fitzhugh_nagumo", "kolmogorov_flow", "euler", "shallow_water", "acoustics")
QUICK_SYSTEMS = ("burgers", "fitzhugh_nagumo")
QUICK = Study(
    budget=0.2, history=3, lead_times=(1, 2, 4), held_out=0.3, trial=2, rounds=1,
    shapes={
        "default": {"width": 16, "heads": 2, "depth": 1, "hidden": 8},
        "unet": {"width": 8, "levels": 2, "blocks": 1},
        "fno": {"width": 8, "modes": 8, "depth": 2},
        **{name: {"width": 16, "heads": 2, "depth": 1} for name in ("avit", "avit8")},
    },
)  # fmt: skip
QUICK_SIZES = Sizes(runs=5, test_runs=2, resolution=32, frames=9)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--json", metavar="FILE", help="write JSON there, - for standard output")
    add("--out", type=Path, default=Path("runs/peers"), help="folder of all that is kept")
    add("--systems", nargs="+", metavar="NAME", help=f"default {' '.join(SYSTEMS)}")
    add("--arms", nargs="+", metavar="NAME", help="default unet fno avit avit8 default")
    add("--budget", type=float, metavar="SECONDS", help="of a training on one system (default 120)")
    add("--seeds", type=int, default=3, help="trainings of each model (default 3)")
    workers = 1 if torch.cuda.is_available() else 2
    add("--workers", type=int, default=workers, help=f"trainings at once (default {workers})")
    add("--data", type=Path, metavar="DIR", help="training runs made before, a NAME.nc each")
    add("--test", type=Path, metavar="DIR", help="test runs made before, with another seed")
    add("--quick", action="store_true", help="tiny models and data, to see that it runs")
    arguments = parser.parse_args()
    if min(arguments.seeds, arguments.workers) < 1:
        parser.error("expected at least 1 seed and 1 worker")
    try:
        result = run(arguments)
    except InputError as error:
        parser.error(str(error))
    if arguments.json:
        write_json(result, arguments.json)
    else:
        print(markdown(result))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Do what is missing, write tables and figure, and return the result.

    Raises:
        InputError: Something that the user gave cannot be used.
    """
    study, sizes = (QUICK, QUICK_SIZES) if arguments.quick else (Study(), Sizes())
    if arguments.budget is not None:
        if not arguments.budget > 0:
            raise InputError(f"--budget is {arguments.budget}; give seconds above 0")
        study = replace(study, budget=arguments.budget)
    out = arguments.out / "quick" if arguments.quick else arguments.out
    systems = arguments.systems or list(QUICK_SYSTEMS if arguments.quick else SYSTEMS)
    chosen = arguments.arms or list(arms())
    if unknown := sorted(set(chosen) - set(arms())):
        raise InputError(f"--arms: expected some of {', '.join(arms())}, got {', '.join(unknown)}")
    if "fno" in chosen:
        require_neuraloperator()
    training, test = files(systems, out, sizes, arguments.workers, arguments.data, arguments.test)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.workers, spawn, initializer=silent) as pool:
        found = complete(Runner(study, Place(training, test, out), pool), chosen, arguments.seeds)
    result = {
        "what": "the default model and its peers at equal training time",
        **summary(found["trainings"], study.lead_times),
        "systems": systems,
        "arms": chosen,
        "seeds": arguments.seeds,
        "runs": {
            system: {"training": count(training[system]), "test": count(test[system])}
            for system in systems
        },
        "study": study.settings,
        **found,
        **circumstances(),
    }
    result["versions"] |= {name: installed(name) for name in ("neuraloperator", "dadaptation")}
    write_json(result, str(out / "results.json"))
    (out / "tables.md").write_text(markdown(result), encoding="utf-8")
    save(figure(result), out / "figure.png")
    return result


def count(path: Path) -> int:
    """Runs in a file, none of which is read."""
    with xr.open_dataset(path, decode_times=False, engine="h5netcdf") as ds:
        return ds.sizes["sample"]


def require_neuraloperator() -> None:
    """Say what to install before anything is trained, not when the FNO's turn comes."""
    if installed("neuraloperator") is None:
        raise InputError(
            "expected the package neuraloperator for the FNO, and it is not installed; install "
            "'mpp-physics[peers]', or leave the FNO out with --arms unet avit avit8 default"
        )


def installed(name: str) -> str | None:
    """The version of a package, if it is there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
