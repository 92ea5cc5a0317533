"""The vocabulary: what a field is called, its unit, and how it behaves in a mirror."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Axis = Literal["x", "y", "z"]
Role = Literal["field", "static", "mask", "parameter", "truth"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Field:
    """One scalar component of a physical quantity, on every grid point.

    Args:
        name: Unique lower-case name; the key of the model's embedding (``velocity_x``).
        units: Unit as text, ``"1"`` when dimensionless.
        symbol: Short mathematical symbol for figures.
        vector: Name of the vector that this is a component of, if any.
        component: Axis (or pair of axes, for a tensor) of the component.
        role: ``field`` evolves in time, ``static`` is a map that does not, ``mask`` is one where
            the fields are defined, ``parameter`` is a number without space axes, ``truth`` is what
            a solver gave where a rollout predicts.
    """

    name: str
    units: str = "1"
    symbol: str = ""
    vector: str = ""
    component: str = ""
    role: Role = "field"

    def parity(self, axis: Axis) -> int:
        """Sign the field takes when ``axis`` is mirrored: -1 for each index along it, else +1."""
        return -1 if self.component.count(axis) % 2 else 1

    def attrs(self) -> dict[str, str]:
        """The attributes that carry this field on an xarray variable; empty ones are left out."""
        named = {
            "units": self.units,
            "symbol": self.symbol,
            "vector": self.vector,
            "component": self.component,
        }
        attrs = {key: value for key, value in named.items() if value}
        return attrs if self.role == "field" else {**attrs, "role": self.role}

    @classmethod
    def from_attrs(cls, name: str, attrs: Mapping[Any, Any]) -> "Field":
        """Read a field from an xarray variable's name and attributes.

        What the attributes leave open is filled from the known fields, so that ``velocity_x``
        without attributes is still the x component of the velocity.
        """
        known = known_field(name)
        return cls(
            name=name,
            units=str(attrs.get("units", known.units)),
            symbol=str(attrs.get("symbol", known.symbol)),
            vector=str(attrs.get("vector", known.vector)),
            component=str(attrs.get("component", known.component)),
            role=attrs.get("role", "field"),
        )


def _vector(vector: str, symbol: str, units: str = "1") -> list[Field]:
    return [
        Field(f"{vector}_{axis}", units, f"{symbol}_{axis}", vector, axis)
        for axis in ("x", "y", "z")
    ]


KNOWN: dict[str, Field] = {
    field.name: field
    for field in [
        *_vector("velocity", "u"),
        *_vector("momentum", "m"),
        *_vector("magnetic_field", "B"),
        *_vector("force", "f"),
        Field("vorticity", symbol="\\omega", component="xy"),
        Field("density", symbol="\\rho"),
        Field("pressure", symbol="p"),
        Field("sound_speed", symbol="c", role="static"),
        Field("energy", symbol="E"),
        Field("temperature", symbol="T"),
        Field("buoyancy", symbol="b"),
        Field("tracer", symbol="s"),
        Field("height", symbol="h"),
        Field("elevation", symbol="\\eta"),
        Field("bathymetry", symbol="b", role="static"),
        Field("concentration", symbol="c"),
        Field("activator", symbol="u"),
        Field("inhibitor", symbol="v"),
        Field("order_parameter", symbol="\\phi"),
        Field("displacement", symbol="u"),
        Field("mask", role="mask"),
    ]
}
"""Fields that readers and generators share. Any other name is as good; these come with a symbol."""


def known_field(name: str) -> Field:
    """The shared definition of ``name``, or a plain dimensionless scalar of that name."""
    return KNOWN.get(name, Field(name))
