"""Batches that have a shape and no content, made from a dataset's description or from numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
import xarray as xr

from mpp import schema
from mpp.batch import Axis, Batch, axes_of
from mpp.errors import InputError, require_at_least
from mpp.fields import Field


@dataclass(frozen=True)
class Shape:
    """What windows of one system look like.

    Args:
        system: Name of the physical system.
        fields: The fields that evolve.
        axes: The space axes.
        frames: Frames of a run.
        runs: Runs there are.
        static_fields: Maps that do not change in time.
        parameters: Numbers of the equation.
        masked: Whether some points are outside.
    """

    system: str
    fields: tuple[Field, ...]
    axes: tuple[Axis, ...]
    frames: int
    runs: int
    static_fields: tuple[Field, ...] = ()
    parameters: tuple[Field, ...] = ()
    masked: bool = False

    @classmethod
    def of(cls, ds: xr.Dataset) -> Self:
        """The shape of a dataset in the schema; reads no field."""
        return cls(
            schema.system(ds),
            schema.fields(ds),
            axes_of(ds),
            ds.sizes["time"],
            ds.sizes["sample"],
            schema.fields(ds, "static"),
            schema.fields(ds, "parameter"),
            bool(schema.names(ds, "mask")),
        )

    @classmethod
    def like(cls, grid: Sequence[int], fields: int, frames: int, runs: int = 1) -> Self:
        """Periodic axes of so many points, and so many fields.

        Raises:
            InputError: Not 1 to 3 axes, or a number below one.
        """
        if not 1 <= len(grid) <= 3:
            raise InputError(f"a grid of {len(grid)} axes; give the points along 1, 2 or 3")
        require_at_least(1, fields=fields, frames=frames, runs=runs, points=min(grid))
        axes = tuple(
            Axis(name, np.arange(points) / points, "1", ("periodic", "periodic"))
            for name, points in zip("xyz", grid, strict=False)
        )
        names = tuple(Field(f"field_{number + 1}") for number in range(fields))
        return cls("a grid", names, axes, frames, runs)

    @property
    def grid(self) -> tuple[int, ...]:
        return tuple(len(axis.points) for axis in self.axes)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a model needs a row for."""
        every = [field.name for field in (*self.fields, *self.static_fields)]
        return (*every, *(("mask",) if self.masked else ()))

    def resized(self, factor: float, least: int = 8) -> Self:
        """The same on a grid with so many times the points along each axis."""
        axes = tuple(
            replace(axis, points=np.arange(max(least, round(len(axis.points) * factor))))
            for axis in self.axes
        )
        return replace(self, axes=axes)

    def doubled(self) -> Self:
        """The same with a further field beside each."""
        further = tuple(replace(field, name=f"{field.name}_again") for field in self.fields)
        return replace(self, fields=self.fields + further)

    def batch(self, samples: int, frames: int) -> Batch:
        """Windows of random values, or of none where tensors have none."""
        static, grid = len(self.static_fields), self.grid
        return Batch(
            values=torch.randn(samples, frames, len(self.fields), *grid),
            fields=self.fields,
            axes=self.axes,
            time=torch.arange(frames, dtype=torch.float64).expand(samples, frames),
            system=self.system,
            static=torch.randn(samples, static, *grid) if static else None,
            static_fields=self.static_fields,
            mask=torch.ones(samples, *grid, dtype=torch.bool) if self.masked else None,
            parameters={field.name: torch.ones(samples) for field in self.parameters},
            parameter_fields=self.parameters,
        )
