"""A folder ``datasets/NAME``: the numbers in ``spec.yaml``, the solver in ``generate.py``."""

import importlib.util
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import version
from math import ceil, exp, log
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
import yaml
from einops import reduce
from jaxtyping import Float

from mpp.errors import InputError
from mpp.fields import Field, known_field
from mpp.safe_yaml import read_yaml
from mpp.schema import coordinate

INSTALL = {
    "exponax": "pip install 'mpp-physics[simulate]'",
    "scipy": "pip install 'mpp-physics[simulate]'",
    "clawpack": "pip install 'mpp-physics[simulate-fv]' (it needs gfortran to build)",
}
"""How to get each solver. PyPI's ``pyclaw`` is an unrelated project."""

Split = Literal["train", "test", "beyond"]
"""Which runs: ``test`` is drawn as ``train`` is, ``beyond`` with parameters outside its ranges."""
SEEDS: dict[Split, int] = {"train": 0, "test": 1_000_000, "beyond": 2_000_000}
"""What a split adds to a seed, so that it starts from nothing that another split starts from."""
SEED_LIMIT = 1_000_000
"""Seeds stay below this, or else one split's would be another's."""


@dataclass(frozen=True)
class Range:
    """What a parameter is drawn from, a uniform distribution of its values or of their logarithms.

    Args:
        low: Smallest value.
        high: Largest value; equal to ``low`` for a parameter that stays as it is.
        scale: ``integer`` draws whole numbers, both ends included.
        units: Unit as text, ``"1"`` when dimensionless.
        beyond: Low and high ends of what the split ``beyond`` is drawn from, each outside the range
            and as likely as the others. Where there is none, it is drawn from the range.

    Raises:
        ValueError: An interval of ``beyond`` that reaches into the range.
    """

    low: float
    high: float
    scale: Literal["linear", "log", "integer"] = "linear"
    units: str = "1"
    beyond: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        apart = 1 if self.scale == "integer" else 0
        for low, high in self.beyond:
            outside = high + apart <= self.low or low >= self.high + apart
            if not outside or low > high or (self.scale == "log" and low <= 0):
                raise ValueError(
                    f"beyond [{low:g}, {high:g}] is no interval outside "
                    f"[{self.low:g}, {self.high:g}]"
                )

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        if self.scale == "integer":
            return float(rng.integers(int(self.low), int(self.high), endpoint=True))
        if self.scale == "log":
            return exp(rng.uniform(log(self.low), log(self.high)))
        return float(rng.uniform(self.low, self.high))

    def draw_beyond(self, rng: np.random.Generator) -> float:
        """One value from ``beyond``, or from the range where there is nothing beyond it."""
        if not self.beyond:
            return self.draw(rng)
        low, high = self.beyond[rng.integers(len(self.beyond))]
        return replace(self, low=low, high=high, beyond=()).draw(rng)


@dataclass(frozen=True, eq=False)
class System:
    """A physical system on a line, a square or a cube, as its ``spec.yaml`` describes it.

    Two systems are equal only if they are the same object, so that compiled solvers can be kept
    by system.

    Args:
        name: Name of the folder; the attribute ``system`` of what it generates.
        title: The system's name as people say it.
        purpose: Systems to ``pretrain`` on, or to ``transfer`` to.
        solver: Distribution that solves it: exponax, scipy or clawpack; numpy for its own solver.
        licence: Licence of the solver.
        fields: Names of the fields, in the order in which they are written.
        domain: Low and high end of every space axis.
        boundary: Kinds at the low and high side of every axis, as in `mpp.schema`, or of x and y.
        frames: Number of stored frames.
        interval: Time between frames.
        burn_in: Time from the initial condition to the first frame.
        step: The solver's time step or, where it is adaptive, its relative tolerance or CFL number.
        trajectories: How many to generate unless told otherwise.
        resolution: Points along each axis unless told otherwise.
        refinement: The solver's points for each stored point along an axis.
        least_resolution: Fewest points along each axis that resolve the smallest structures.
        parameters: What varies from one trajectory to the next.
        constants: What does not, by name; the folder's ``generate.py`` knows them.
        split: Which runs it draws; a file of its own for each, so no key of ``spec.yaml``.
    """

    name: str
    title: str
    purpose: Literal["pretrain", "transfer"]
    solver: str
    licence: str
    fields: tuple[str, ...]
    domain: tuple[float, float]
    boundary: str | tuple[str, str]
    frames: int
    interval: float
    burn_in: float
    step: float
    trajectories: int = 32
    resolution: int = 64
    refinement: int = 1
    least_resolution: int = 32
    parameters: Mapping[str, Range] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    split: Split = "train"

    @property
    def extent(self) -> float:
        """Length of the domain's sides."""
        return self.domain[1] - self.domain[0]

    @property
    def boundaries(self) -> tuple[str, str]:
        """Kinds at the low and high side of x and of y."""
        kinds = self.boundary
        return (kinds, kinds) if isinstance(kinds, str) else kinds

    @property
    def times(self) -> Float[np.ndarray, " frame"]:
        """Time of every frame since the initial condition."""
        return self.burn_in + self.interval * np.arange(self.frames, dtype=np.float64)

    def is_periodic(self, axis: int) -> bool:
        """Whether an axis closes on itself."""
        kinds = self.boundary
        return (kinds if isinstance(kinds, str) else kinds[axis]) == "periodic"

    def points(self, resolution: int, axis: int = 0) -> Float[np.ndarray, " point"]:
        """Grid points along an axis: from the low end on if periodic, else the cells' centres."""
        offset = 0.0 if self.is_periodic(axis) else 0.5
        return self.domain[0] + self.extent / resolution * (np.arange(resolution) + offset)

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """A value for every parameter; in the split ``beyond`` outside each range that has one."""
        if self.split == "beyond":
            return {name: span.draw_beyond(rng) for name, span in self.parameters.items()}
        return {name: span.draw(rng) for name, span in self.parameters.items()}

    def courant_step(self, points: int) -> float:
        """The step for waves that are carried along: shorter on a grid finer than the default's."""
        return self.step / ceil(points / (self.resolution * self.refinement))

    def rng(self, seed: int, index: int) -> np.random.Generator:
        """The generator of one trajectory, whatever else is generated beside it."""
        start = seed + SEEDS[self.split]
        return np.random.default_rng([start, zlib.crc32(self.name.encode()), index])

    def sample(
        self,
        values: Float[Any, "frame field *space"],
        parameters: Mapping[str, float],
        static: Mapping[str, Float[np.ndarray, "*space"]] | None = None,
    ) -> xr.Dataset:
        """One trajectory in the canonical schema, in float32.

        Args:
            values: The solver's frames, on a grid ``refinement`` times finer than what is stored,
                over one to three space axes of as many points each.
            parameters: What `draw` gave.
            static: Maps that do not change in time, by name, on the same grid.
        """
        values = np.asarray(self._coarsen(np.asarray(values)), dtype=np.float32)
        axes = ("x", "y", "z")[: values.ndim - 2]
        each = (self.boundary,) * len(axes) if isinstance(self.boundary, str) else self.boundary
        coords = {
            axis: coordinate(self.points(values.shape[-1], number), axis, "1", kinds)
            for number, (axis, kinds) in enumerate(zip(axes, each, strict=True))
        }
        data = {
            name: xr.Variable(
                ("sample", "time", *axes), values[None, :, channel], known_field(name).attrs()
            )
            for channel, name in enumerate(self.fields)
        }
        for name, values in (static or {}).items():
            stored = np.asarray(self._coarsen(values[None, None]), dtype=np.float32)[0]
            attrs = replace(known_field(name), role="static").attrs()
            data[name] = xr.Variable(("sample", *axes), stored, attrs)
        for name, value in parameters.items():
            units = self.parameters[name].units
            attrs = Field(name, units, role="parameter").attrs()
            data[name] = xr.Variable(("sample",), np.array([value]), attrs)
        coords["time"] = coordinate(self.times, "time", "1")
        return xr.Dataset(data, coords, {"system": self.name})

    def _coarsen(self, values: Float[np.ndarray, "frame field *space"]) -> np.ndarray:
        """Every so many points of a periodic axis, averages over so many cells of another."""
        axes = ("x", "y", "z")[: values.ndim - 2]
        periodic = [self.is_periodic(number) for number in range(len(axes))]
        values = values[(..., *[slice(None, None, self.refinement if p else 1) for p in periodic])]
        if all(periodic):
            return values
        fine = {
            f"{axis}_fine": 1 if p else self.refinement
            for axis, p in zip(axes, periodic, strict=True)
        }
        blocks = " ".join(f"({axis} {axis}_fine)" for axis in axes)
        return reduce(
            values, f"frame field {blocks} -> frame field {' '.join(axes)}", "mean", **fine
        )

    def provenance(self) -> dict[str, str]:
        """What the files say about where they come from."""
        return {
            "system": self.name,
            "title": self.title,
            "purpose": self.purpose,
            "solver": f"{self.solver} {version(self.solver)} ({self.licence})",
            "solver_step": f"{self.step:g}",
        }


Simulate = Callable[[System, int, np.random.Generator], xr.Dataset]
"""What ``generate.py`` defines as ``simulate``: (system, its grid's points, rng) to one sample."""


def load_system(folder: Path) -> System:
    """Read ``folder/spec.yaml``.

    Raises:
        InputError: There is no such folder, or its specification cannot be used.
    """
    path = folder / "spec.yaml"
    if not path.is_file():
        raise InputError(
            f"{folder}: no spec.yaml there; expected a folder such as datasets/burgers"
        )
    try:
        spec = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML ({error})") from error
    if not isinstance(spec, dict):
        raise InputError(f"{path}: expected keys and values, got {type(spec).__name__}")
    known = {item.name for item in fields(System)} - {"name", "split"}
    if unknown := sorted(set(spec) - known):
        raise InputError(f"{path}: unknown keys {unknown}; expected some of {sorted(known)}")
    try:
        ranges = {name: _range(**span) for name, span in spec.pop("parameters", {}).items()}
        spec |= {"fields": tuple(spec["fields"]), "domain": tuple(map(float, spec["domain"]))}
        if not isinstance(spec["boundary"], str):
            spec["boundary"] = _by_axis(spec["boundary"])
        _require_numbers(spec)
        return System(name=folder.resolve().name, parameters=ranges, **spec)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: incomplete or of a wrong type: {error}") from error


def _require_numbers(spec: Mapping[str, Any]) -> None:
    """Refuse words where a system has numbers, and fractions where it has counts."""
    kinds = {"int": int, "float": (int, float), "str": str}
    for item in fields(System):
        kind = str(getattr(item.type, "__name__", item.type))
        wanted = kinds.get(kind)
        if item.name in spec and wanted and not isinstance(spec[item.name], wanted):
            raise TypeError(f"{item.name} is {spec[item.name]!r}, not of type {kind}")


def _range(beyond: Sequence[tuple[float, float]] = (), **span: Any) -> Range:
    span |= {end: float(span[end]) for end in ("low", "high")}
    return Range(**span, beyond=tuple((float(low), float(high)) for low, high in beyond))


def _by_axis(kinds: list[str]) -> tuple[str, str]:
    along_x, along_y = kinds
    return along_x, along_y


def load_simulate(folder: Path, system: System) -> Simulate:
    """Import ``folder/generate.py`` by its path and return its ``simulate``.

    Raises:
        InputError: The file is missing, defines no ``simulate``, or its solver is not installed.
    """
    require_solver(system)
    path = folder / "generate.py"
    if not path.is_file():
        raise InputError(f"{folder}: no generate.py there; see datasets/burgers for an example")
    spec = importlib.util.spec_from_file_location(f"mpp_dataset_{system.name}", path)
    assert spec is not None  # a path that ends in .py has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "simulate"):
        raise InputError(f"{path}: it defines no function simulate(system, resolution, rng)")
    return module.simulate


def require_solver(system: System) -> None:
    """Check that the solver is there, without importing it.

    Raises:
        InputError: It is not; the message says how to install it.
    """
    if importlib.util.find_spec(system.solver) is None:
        install = INSTALL.get(system.solver, f"pip install {system.solver}")
        raise InputError(f"{system.name}: its solver {system.solver} is not installed; {install}")
