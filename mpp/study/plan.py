"""What a transfer study trains: systems, their runs by purpose, and one cell a training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import xarray as xr

from mpp import schema
from mpp.data.splits import Division, divide_runs
from mpp.errors import InputError
from mpp.files import file_name
from mpp.ranges import RANGES, require
from mpp.train.modes import RATES, SKIP_LIMIT, Mode, OnBadLoss, require_policy

Arm = Literal["finetuned", "head", "lora", "gradual", "scratch"]
FULL, SCRATCH = "finetuned", "scratch"
ARMS: tuple[Arm, Arm] = (FULL, SCRATCH)
"""The arms of a study that names none: full finetuning against training from scratch."""
MODE_OF: dict[Arm, Mode] = {FULL: "full", "head": "head", "lora": "lora", "gradual": "gradual"}
"""What each arm but scratch trains, as `mpp.finetune` calls it; files have always said finetuned
of full finetuning."""


@dataclass(frozen=True)
class Study:
    """How a study is done.

    Args:
        sizes: Numbers of training runs; those beyond what a system has become what it has.
        seeds: Trainings of each arm and size. A seed chooses the training runs, the order of the
            batches, and the first weights from scratch.
        lead_steps: Forecast steps that tables and figures show; all up to the last are scored.
        starts: Windows a test run to forecast from, evenly placed.
        test_runs: Runs of each system to score on, where no test runs are given apart.
        validation_runs: Runs of each system to choose weights and rates by.
        max_steps: Optimizer steps of every training.
        lr: Learning rate of finetuning. Of several, each system takes the one that validates best
            at its middle size with the first seed.
        scratch_lr: The same for training from scratch.
        mode_lr: The same for the arms head, lora and gradual; each has that of its mode when this
            is empty (`mpp.train.modes.RATES`).
        batch_size: Windows in a batch.
        validate_every: Optimizer steps between validations, at most.
        arms: What is compared: scratch and one or more of full (or finetuned), head, lora, gradual.
        on_bad_loss: What a training does before a step whose loss or gradient is NaN, infinite or
            has exploded: ``stop``, or ``skip`` the step.
        skip_limit: Steps that each training may leave out.

    Raises:
        InputError: A number that is too small, or nothing where something is needed.
    """

    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    seeds: int = 3
    lead_steps: tuple[int, ...] = (1, 5, 20)
    starts: int = 1
    test_runs: int = 8
    validation_runs: int = 4
    max_steps: int = 300
    lr: tuple[float, ...] = (RATES["full"],)
    scratch_lr: tuple[float, ...] = (5e-3,)
    batch_size: int = 2
    validate_every: int = 50
    arms: tuple[Arm, ...] = ARMS
    mode_lr: tuple[float, ...] = ()
    on_bad_loss: OnBadLoss = "stop"
    skip_limit: int = SKIP_LIMIT

    def __post_init__(self) -> None:
        object.__setattr__(self, "arms", arms_of(self.arms))
        require(**{f.name: getattr(self, f.name) for f in fields(self) if f.name in RANGES})
        for name in ("sizes", "lead_steps", "lr", "scratch_lr"):
            if not getattr(self, name):
                raise InputError(f"{name} is []; give one or more numbers")
        require_policy(self.on_bad_loss, self.skip_limit)

    def rates(self, arm: Arm) -> tuple[float, ...]:
        """The learning rates of an arm."""
        if arm in ARMS:
            return self.lr if arm == FULL else self.scratch_lr
        return self.mode_lr or (RATES[MODE_OF[arm]],)


def arms_of(names: Sequence[str]) -> tuple[Arm, ...]:
    """Arms by their names in files, finetuned ones first, each once.

    Raises:
        InputError: A name that is no arm, or nothing to compare.
    """
    asked = {FULL if name == "full" else name for name in names}
    known: tuple[Arm, ...] = (*MODE_OF, SCRATCH)
    unknown = asked - set(known)
    if unknown or SCRATCH not in asked or len(asked) < 2:
        raise InputError(
            f"arms are {', '.join(names) or 'none'}; give scratch and one or more of full, head, "
            "lora, gradual"
        )
    return tuple(arm for arm in known if arm in asked)


@dataclass(frozen=True, eq=False)
class Target:
    """One system of the study.

    Args:
        ds: Its runs.
        test: The runs to score on.
        division: What each run of ``ds`` is for.
        sizes: Numbers of training runs, rising.
    """

    ds: xr.Dataset
    test: xr.Dataset
    division: Division
    sizes: tuple[int, ...]

    @property
    def system(self) -> str:
        return schema.system(self.ds)

    @property
    def middle(self) -> int:
        """The size at which rates are chosen."""
        return self.sizes[(len(self.sizes) - 1) // 2]


@dataclass(frozen=True, eq=False)
class Cell:
    """One training and its scores.

    Args:
        target: What is trained on.
        arm: What it starts from.
        lr: Learning rate.
        size: Number of training runs.
        seed: Which of the trainings.
    """

    target: Target
    arm: Arm
    lr: float
    size: int
    seed: int

    def __str__(self) -> str:
        runs = f"{self.size} run{'s' if self.size > 1 else ''}"
        return f"{self.target.system}: {self.arm}, {runs}, seed {self.seed}, rate {self.lr:g}"

    @property
    def runs(self) -> tuple[int, ...]:
        """Places of its training runs in the dataset."""
        return self.target.division.first(self.size, self.seed)

    def file(self, cells: Path) -> Path:
        """Where it is kept."""
        name = f"{self.arm}_{self.size}_{self.seed}_{self.lr:g}.nc"
        return cells / file_name(self.target.system) / name


def make_targets(
    datasets: Sequence[xr.Dataset],
    test: Sequence[xr.Dataset],
    study: Study,
    note: Callable[[str], None],
) -> list[Target]:
    """Divide the runs of every system.

    Args:
        datasets: Runs to train on, one dataset a system.
        test: Test runs of the same systems; none to set some of ``datasets`` aside.
        study: How many runs of what.
        note: Told of sizes that a system does not have the runs for.

    Raises:
        InputError: No dataset, one that breaks the schema, two of one system, test runs of another
            system or with other fields, or too few runs.
    """
    if not datasets:
        raise InputError("there is nothing to train on; give at least one dataset")
    for ds in (*datasets, *test):
        schema.require_valid(ds, ds.attrs.get("system", "dataset"))
    named = _by_system(datasets, "datasets to train on")
    tests = _by_system(test, "test datasets")
    if tests and set(tests) != set(named):
        raise InputError(
            f"the test runs are of {', '.join(tests)}, the others of {', '.join(named)}; give test "
            "runs of each system, or none at all"
        )
    targets = []
    for system, ds in named.items():
        division = divide_runs(ds, 0 if tests else study.test_runs, study.validation_runs)
        apart = tests.get(system, ds.isel(sample=list(division.test)))
        if schema.names(apart) != schema.names(ds):
            raise InputError(
                f"{system}: the test runs hold {', '.join(schema.names(apart))}, the others "
                f"{', '.join(schema.names(ds))}; give both the same fields in the same order"
            )
        there = len(division.training)
        sizes = tuple(sorted({min(size, there) for size in study.sizes}))
        if max(study.sizes) > there:
            beyond = ", ".join(str(size) for size in sorted(study.sizes) if size > there)
            aside = f"{len(division.validation)} choose the weights"
            if division.test:
                aside = f"{len(division.test)} are to test on and {aside}"
            note(
                f"{system}: {beyond} training runs were asked for; of its {ds.sizes['sample']} "
                f"runs {aside}, which leaves {there}, the largest size of this study"
            )
        targets.append(Target(ds, apart, division, sizes))
    return targets


def _by_system(datasets: Sequence[xr.Dataset], what: str) -> dict[str, xr.Dataset]:
    named = {schema.system(ds): ds for ds in datasets}
    if len({file_name(name) for name in named}) < len(datasets):
        systems = ", ".join(schema.system(ds) for ds in datasets)
        raise InputError(
            f"the systems of the {what} are {systems}; give each its own name in the attribute "
            "'system', or join runs of one system into one dataset"
        )
    return named
