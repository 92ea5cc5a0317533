"""The published PDEBench sets: fields, boundaries and parameters, and how to tell them apart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from mpp.data.hdf5 import text

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


@dataclass(frozen=True)
class PublishedSet:
    """What the files of a set do not say themselves.

    Args:
        system: Name of the physical system.
        names: Fields in the order of the channels.
        boundary: Boundary of every axis, or by axis.
        parameters: Names in the schema by their keys in attributes, configurations or file names.
        words: Parts of file names and of a configuration's ``name`` that tell the set.
    """

    system: str
    names: tuple[str, ...]
    boundary: str | Mapping[str, str]
    parameters: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    def sides(self, axes: tuple[str, ...]) -> dict[str, str]:
        """The boundary of each axis."""
        if isinstance(self.boundary, str):
            return dict.fromkeys(axes, self.boundary)
        return {axis: self.boundary[axis] for axis in axes if axis in self.boundary}


SHALLOW_WATER = PublishedSet(
    "shallow_water",
    ("height",),
    "open",
    {"gravity": "gravity", "dam_radius": "dam_radius"},
    ("rdb", "dam_break", "shallow", "swe"),
)
DIFFUSION_REACTION = PublishedSet(
    "diffusion_reaction",
    ("activator", "inhibitor"),
    "no-flux",
    {"Du": "diffusivity_activator", "Dv": "diffusivity_inhibitor", "k": "k"},
    ("diff-react", "diff_react", "diffreact"),
)
DIFFUSION_SORPTION = PublishedSet(
    "diffusion_sorption",
    ("concentration",),
    "fixed open",
    {
        "D": "diffusivity",
        "por": "porosity",
        "rho_s": "bulk_density",
        "k_f": "freundlich_coefficient",
        "n_f": "freundlich_exponent",
        "sol": "solubility",
    },
    ("diff-sorp", "diff_sorp", "diffsorp"),
)
COMPRESSIBLE_FLOW = PublishedSet(
    "compressible_flow",
    (),
    "periodic",
    {"eta": "eta", "zeta": "zeta", "M": "mach_number"},
)
INCOMPRESSIBLE_FLOW = PublishedSet("incompressible_flow", (), "fixed", {"NU": "viscosity"})
ADVECTION = PublishedSet("advection", ("tracer",), "periodic", {"beta": "beta"}, ("advection",))
BURGERS = PublishedSet("burgers", ("velocity_x",), "periodic", {"Nu": "nu"}, ("burgers",))
REACTION_DIFFUSION = PublishedSet(
    "reaction_diffusion",
    ("concentration",),
    "periodic",
    {"Nu": "nu", "rho": "rho"},
    ("reacdiff", "reac_diff", "reaction_diffusion"),
)
TRAJECTORY_SETS = (SHALLOW_WATER, DIFFUSION_REACTION, DIFFUSION_SORPTION)
TENSOR_SETS = (ADVECTION, BURGERS, REACTION_DIFFUSION)


def by_words(sets: tuple[PublishedSet, ...], told: str) -> PublishedSet | None:
    """The first set one of whose words is in a file name or in the name of a configuration."""
    lower = told.lower()
    return next((item for item in sets if any(word in lower for word in item.words)), None)


def trajectory_set(path: str, config: str, axes: int, channels: int) -> PublishedSet | None:
    """Which of the sets with a group for each trajectory this is.

    The ``name`` in the configuration decides, else the file's name, else the shape: on two axes
    one channel is shallow water and two are diffusion-reaction, on one axis one channel is
    diffusion-sorption.
    """
    name = re.search(r"^name:\s*(.+)$", config, re.MULTILINE)
    shapes = {
        (2, 1): SHALLOW_WATER,
        (2, 2): DIFFUSION_REACTION,
        (1, 1): DIFFUSION_SORPTION,
    }
    return (
        by_words(TRAJECTORY_SETS, name[1] if name else "")
        or by_words(TRAJECTORY_SETS, Path(path).stem)
        or shapes.get((axes, channels))
    )


def tensor_set(path: str, attrs: Mapping[str, Any]) -> PublishedSet | None:
    """Which of the sets with one array ``tensor`` this is: by attributes, else by file name."""
    for item in (REACTION_DIFFUSION, ADVECTION, BURGERS):
        if all(key in attrs for key in item.parameters):
            return item
    return by_words(TENSOR_SETS, Path(path).stem)


def compressible_boundary(path: str) -> str | dict[str, str]:
    """Periodic unless the file's name says otherwise.

    ``trans`` (as in ``1D_CFD_Rand_..._trans_Train``), shock tubes and the blast wave let waves out;
    the Kelvin-Helmholtz files (``KH_...``) are periodic along x and open along the other axes.
    """
    stem = Path(path).stem.lower()
    if stem.startswith("kh_"):
        return {"x": "periodic", "y": "open", "z": "open"}
    if "periodic" in stem:
        return "periodic"
    if re.search(r"(^|_)trans(_|$)|^sod\d*$|shock|blast", stem):
        return "open"
    return "wall" if "reflect" in stem else "periodic"


def incompressible_boundary(config: str) -> str:
    """Fixed, unless the configuration says that the velocity goes on beyond the sides otherwise."""
    found = re.search(r"^\s*velocity_extrapolation:\s*[\"']?(\w+)", config, re.MULTILINE)
    kinds = {"PERIODIC": "periodic", "BOUNDARY": "open"}
    return kinds.get(found[1].upper(), "fixed") if found else "fixed"


def domain_size(config: str, axes: int) -> list[float]:
    """Length of the domain along each axis: the configuration's ``domain_size``, else 1.

    YAML writes the list in one line, ``[1, 1]``, or as lines that start with a dash.
    """
    found = re.search(r"^domain_size:((?:[ \t]*\[[^\]]*\])|(?:\s*-[^\n]*)+)", config, re.MULTILINE)
    lengths = [float(number) for number in re.findall(r"\d[\d.eE+]*", found[1])] if found else []
    return lengths if len(lengths) == axes else [1.0] * axes


def from_config(config: str, known: PublishedSet) -> dict[str, float]:
    """The set's parameters in the text of a configuration, by their names in the schema."""
    found = {}
    for key, name in known.parameters.items():
        line = re.search(rf"^\s*{key}:\s*({NUMBER})\s*$", config, re.MULTILINE)
        if line:
            found[name] = float(line[1])
    return found


def from_attrs_or_name(
    path: str, attrs: Mapping[str, Any], known: PublishedSet
) -> dict[str, float]:
    """The set's parameters from the file's attributes, else from its name.

    In names a number that starts with 0 and has no point stands for a fraction: ``M01`` is 0.1.
    """
    found = {}
    for key, name in known.parameters.items():
        part = re.search(rf"(?:^|_){key}({NUMBER})(?=_|$)", Path(path).stem, re.IGNORECASE)
        if key in attrs:
            found[name] = float(attrs[key])
        elif part:
            fraction = re.fullmatch(r"0\d+", part[1])
            found[name] = float(f"0.{part[1][1:]}" if fraction else part[1])
    return found


def config_of(item: h5py.Group) -> str:
    """The configuration that a file or group carries as text, empty if it has none."""
    return text(item.attrs.get("config", ""))
