"""What a user says about files that are not in the schema: dims, names, boundaries, units."""

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml

from mpp.errors import InputError
from mpp.fields import ROLES, Role
from mpp.schema import parse_boundary

Join = Literal["sample", "time"]
Split = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Mapping:
    """How the names in a file translate to the schema; what is left out is guessed from the file.

    Axes may be called by their name in the file or in the schema, variables likewise.

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
        join: What several files hold, further runs or later times; told from their times when left
            out.
        split: Part of a dataset in The Well's folders.

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

    def __post_init__(self) -> None:
        for key in ("space", "keep"):
            value = getattr(self, key)
            if value is not None and not isinstance(value, dict):
                object.__setattr__(self, key, _words(key, value))
        for key in ("names", "roles", "units", "parameters", "vectors"):
            if not isinstance(getattr(self, key), Dict):
                example = "{nu: 0.01}" if key == "parameters" else "{u: ...}"
                raise InputError(
                    f"mapping: {key} must be pairs such as {example}, got {getattr(self, key)!r}"
                )
        object.__setattr__(self, "vectors", {k: _vector(k, v) for k, v in self.vectors.items()})
        for key in ("names", "units"):
            value = {str(name): str(word) for name, word in getattr(self, key).items()}
            object.__setattr__(self, key, value)
        self._check_choices()

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
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
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
        stated = {key: value for key, value in asdict(self).items() if value not in (None, {})}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in stated.items()}

    def to_yaml(self) -> str:
        """What is stated, as YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def _require_choice(what: str, value: Any, choices: Sequence[Any]) -> None:
    if value not in choices:
        known = ", ".join(str(choice) for choice in choices if choice is not None)
        raise InputError(f"mapping: {what} is {value!r}; expected one of: {known}")


def _words(key: str, value: Any) -> tuple[str, ...]:
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) for word in words):
        raise InputError(f"mapping: {key} must be a list of names, got {value!r}")
    return tuple(words)


def _vector(name: str, parts: Any) -> dict[str, str]:
    if isinstance(parts, Dict):
        return {str(axis): str(part) for axis, part in parts.items()}
    return dict(zip(("x", "y", "z"), _words(f"vector {name}", parts), strict=False))
