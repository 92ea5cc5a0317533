"""What a user says about files that are not in the schema: dims, names, boundaries, units, grid."""

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml

from mpp.data.entries import even_axes, fillings, places, words
from mpp.errors import InputError
from mpp.fields import ROLES, Role
from mpp.safe_yaml import read_yaml
from mpp.schema import parse_boundary

Join = Literal["sample", "time", "fields"]
Split = Literal["train", "valid", "test"]
EXAMPLES = {
    **dict.fromkeys(("names", "roles", "units", "vectors"), "{u: ...}"),
    "parameters": "{nu: 0.01}",
    "channels": "{c: [density, pressure]}",
    "select": "{level: 0}",
    "regrid": "{xf: xc}",
}


@dataclass(frozen=True)
class Mapping:
    """How the names in a file translate to the schema; what is left out is guessed from the file.

    Axes may be called by their name in the file or in the schema, variables likewise. Grids are
    changed in this order: groups are opened, dims named, channels taken apart, points selected,
    faces brought to the centres; then files are joined, parts selected, missing values filled,
    axes made even, and last a mask is made of what is missing still.

    Args:
        sample: Dim that counts the runs.
        time: Dim that counts the frames.
        space: Space dims in order, or by axis: ``{"x": "lon", "y": "lat"}``.
        names: Names in the schema by the variables' names in the file.
        keep: Variables to read; all that fit when left out.
        roles: Roles of variables that are not what their dims suggest.
        boundary: Boundary of every axis, or by axis: ``"periodic"``, or ``"wall open"`` for the
            low and the high side.
        units: Units by variable, axis or ``time``; they take the place of the file's.
        vectors: Components by vector: ``{"wind": {"x": "u", "y": "v"}}``, or a list in the order
            x, y, z.
        parameters: Numbers of the equation that the file does not hold.
        system: Name of the physical system.
        join: What several files hold: further runs (``sample``), later times (``time``), of which
            the later file wins where they overlap, or other fields (``fields``); told from their
            times and fields when left out.
        split: Part of a dataset in The Well's folders.
        group: Group of the file to read, or several, or a pattern such as ``run_*``: as further
            runs where they hold the same variables, else together.
        dims: Names of the dims of arrays that have none, in order.
        channels: Names by dim whose points are different fields: ``{"c": ["rho", "p"]}``.
        select: What to read of a dim: the number of a point, or ``{"value": 850.0}`` for the one
            that is there, both of which take the dim away; ``{"start": 0, "stop": 64, "every": 2}``
            by number as in Python; ``{"from": -30, "to": 30}`` by position, both included; or a
            list of numbers. Frames and runs are counted after files are joined.
        regrid: Dims of the centres by dims of the faces: ``{"xf": "xc"}``. Where coordinates and
            sizes do not tell where the faces are, ``"xc low"`` or ``"xc high"`` says on which side
            of the centre of the same number, ``"xc same"`` that they are the centres. A variable
            whose faces have the dim of the centres goes by its name: ``{"uo": "x high"}``.
        missing: What stands where values are NaN: a number, ``"nearest"`` for the nearest value of
            the same frame, or ``"mask"`` where they are NaN always; for all, or by variable.
        even: Axes, or time, to interpolate to even steps: ``["x"]`` keeps the number of points,
            ``["time"]`` takes the median step; ``{"x": {"points": 64}}`` and ``{"time": {"step":
            0.5}}`` say it. Uneven periodic axes need their ``period`` as well.

    Raises:
        InputError: A value of the wrong kind, an unknown role, boundary, join or split.
    """

    sample: str | None = None
    time: str | None = None
    space: tuple[str, ...] | dict[str, str] | None = None
    names: dict[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] | None = None
    roles: dict[str, Role] = field(default_factory=dict)
    boundary: str | dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, dict[str, str]] = field(default_factory=dict)
    parameters: dict[str, float] = field(default_factory=dict)
    system: str | None = None
    join: Join | None = None
    split: Split | None = None
    group: tuple[str, ...] | None = None
    dims: tuple[str, ...] | None = None
    channels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    select: dict[str, Any] = field(default_factory=dict)
    regrid: dict[str, str] = field(default_factory=dict)
    missing: float | str | dict[str, float | str] | None = None
    even: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("sample", "time", "system"):
            if not isinstance(getattr(self, key), str | None):
                raise InputError(f"mapping: {key} must be a name, got {getattr(self, key)!r}")
        for key in ("space", "missing"):
            if getattr(self, key) == {}:
                raise InputError(f"mapping: {key} is empty; leave it out, or say what it is")
        if not isinstance(self.boundary, (str, Dict)):
            raise InputError(
                f"mapping: boundary must be one or two kinds, or pairs such as {{x: periodic}}, "
                f"got {self.boundary!r}"
            )
        for key in ("space", "keep", "group", "dims"):
            value = getattr(self, key)
            if value is not None and not (key == "space" and isinstance(value, dict)):
                self._set(key, words(key, value))
        for key, example in EXAMPLES.items():
            if not isinstance(getattr(self, key), Dict):
                raise InputError(
                    f"mapping: {key} must be pairs such as {example}, got {getattr(self, key)!r}"
                )
        self._set("vectors", {k: _vector(k, v) for k, v in self.vectors.items()})
        self._set("channels", {k: words(f"channels {k}", v) for k, v in self.channels.items()})
        for key in ("names", "units", "regrid"):
            self._set(key, {str(name): str(word) for name, word in getattr(self, key).items()})
        self._set("select", {str(dim): places(dim, what) for dim, what in self.select.items()})
        self._set("even", even_axes(self.even))
        self._set("missing", fillings(self.missing))
        self._check_choices()

    def _set(self, key: str, value: Any) -> None:
        object.__setattr__(self, key, value)

    def _check_choices(self) -> None:
        for name, role in self.roles.items():
            _require_choice(f"the role of {name}", role, ROLES)
        _require_choice("join", self.join, (None, *get_args(Join)))
        _require_choice("split", self.split, (None, *get_args(Split)))
        for name, number in self.parameters.items():
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                raise InputError(f"mapping: parameter {name} must be a number, got {number!r}")
        kinds = [self.boundary] if isinstance(self.boundary, str) else self.boundary.values()
        for kind in kinds:
            parse_boundary(kind)

    @classmethod
    def from_dict(cls, values: Dict[str, Any], where: str = "mapping") -> Self:
        """A mapping from keyword arguments or the contents of a YAML file.

        Raises:
            InputError: A key that no mapping has, by name, or a value that cannot be used.
        """
        known = [item.name for item in fields(cls)]
        unknown = [str(key) for key in values if key not in known]
        if unknown:
            raise InputError(
                f"{where}: unknown key {', '.join(unknown)}; a mapping has: {', '.join(known)}"
            )
        return cls(**{key: value for key, value in values.items() if value is not None})

    @classmethod
    def from_yaml(cls, path: Path | str) -> Self:
        """Read a mapping from a YAML file.

        Raises:
            InputError: No such file, no YAML, or keys and values that cannot be used.
        """
        try:
            values = read_yaml(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot read this mapping ({error.strerror})") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not YAML ({error}); see mpp doctor") from error
        if not isinstance(values, dict):
            raise InputError(f"{path}: expected 'key: value' lines as mpp doctor prints them")
        return cls.from_dict(values, str(path))

    def over(self, changes: Dict[str, Any]) -> Self:
        """The same mapping with some entries replaced; pairs are merged, the new ones winning."""
        new = type(self).from_dict(changes)
        merged = {}
        for key in changes:
            old, value = getattr(self, key), getattr(new, key)
            both = isinstance(old, dict) and isinstance(value, dict)
            merged[key] = {**old, **value} if both else value
        return replace(self, **merged)

    def to_dict(self) -> dict[str, Any]:
        """What is stated, as plain lists, pairs and words; the inverse of `from_dict`."""
        return {key: _plain(v) for key, v in asdict(self).items() if v is not None and v != {}}

    def to_yaml(self) -> str:
        """What is stated, as YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def line(**entries: Any) -> str:
    """Entries of a mapping as errors quote them: one line of YAML an entry, in backquotes."""
    options: dict[str, Any] = {"default_flow_style": True, "width": 10**6, "sort_keys": False}
    shown = [yaml.safe_dump({k: _plain(v)}, **options).strip()[1:-1] for k, v in entries.items()]
    return ", ".join(f"`{text}`" for text in shown)


def from_lines(lines: Sequence[str]) -> dict[str, Any]:
    """Entries of a mapping from lines of YAML, as `line` writes them.

    Raises:
        InputError: A line that is no ``key: value``.
    """
    entries = {}
    for text in lines:
        try:
            found = read_yaml(text.strip("`"))
        except yaml.YAMLError:
            found = None
        if not isinstance(found, dict):
            raise InputError(f"{text!r}: expected a line 'key: value', such as 'select: {{z: 0}}'")
        entries.update(found)
    return entries


def _plain(value: Any) -> Any:
    if isinstance(value, Dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _require_choice(what: str, value: Any, choices: Sequence[Any]) -> None:
    if value not in choices:
        known = ", ".join(str(choice) for choice in choices if choice is not None)
        raise InputError(f"mapping: {what} is {value!r}; expected one of: {known}")


def _vector(name: str, parts: Any) -> dict[str, str]:
    if isinstance(parts, Dict):
        return {str(axis): str(part) for axis, part in parts.items()}
    return dict(zip(("x", "y", "z"), words(f"vector {name}", parts), strict=False))
