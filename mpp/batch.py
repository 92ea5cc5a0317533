"""The one pair of functions between an ``xarray.Dataset`` in the schema and tensors.

A `Batch` holds windows of one system only, so that the fields, axes and boundaries are the same for
all of its samples. Its values are in physical units, always; models scale them inside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float
from torch import Tensor

from mpp import schema
from mpp.errors import InputError
from mpp.fields import Field
from mpp.units import factor


@dataclass(frozen=True)
class Axis:
    """A space axis: where its points are and what happens at its two sides."""

    name: str
    points: np.ndarray
    units: str
    boundary: schema.Boundary

    @property
    def periodic(self) -> bool:
        return self.boundary[0] == "periodic"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Axis):
            return NotImplemented
        mine, theirs = (
            (axis.name, axis.units, axis.boundary, *axis.points) for axis in (self, other)
        )
        return mine == theirs


def axes_of(ds: xr.Dataset) -> tuple[Axis, ...]:
    """The space axes of a dataset that follows the schema."""
    sides = zip(schema.space_axes(ds), schema.boundaries(ds), strict=True)
    return tuple(
        Axis(name, np.asarray(ds[name].values), str(ds[name].attrs["units"]), kinds)
        for name, kinds in sides
    )


@dataclass(frozen=True)
class Batch:
    """Windows of runs of one system as tensors, in physical units.

    Args:
        values: The fields that evolve, channel after channel as ``fields`` names them.
        fields: What each channel of ``values`` is.
        axes: The space axes, in the order of the last dims of ``values``.
        time: Time of every frame, in ``time_units``.
        time_units: Unit of ``time``.
        system: Name of the physical system.
        static: Maps that do not change in time, as ``static_fields`` names them.
        static_fields: What each channel of ``static`` is.
        mask: True where the fields are defined; ``None`` when they are everywhere.
        parameters: Numbers of the equation by name, one a sample or one a sample and frame.
        parameter_fields: What each of ``parameters`` is.
        timed: False where a single frame was extended, so that the time between frames is made up.
    """

    values: Float[Tensor, "sample time field *space"]
    fields: tuple[Field, ...]
    axes: tuple[Axis, ...]
    time: Float[Tensor, "sample time"]
    time_units: str = "1"
    system: str = "unknown"
    static: Float[Tensor, "sample static *space"] | None = None
    static_fields: tuple[Field, ...] = ()
    mask: Bool[Tensor, "sample *space"] | None = None
    parameters: dict[str, Tensor] = field(default_factory=dict)
    parameter_fields: tuple[Field, ...] = ()
    timed: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields, in the order of the channels."""
        return tuple(item.name for item in self.fields)

    @property
    def samples(self) -> int:
        return self.values.shape[0]

    @property
    def frames(self) -> int:
        return self.values.shape[1]

    @property
    def step(self) -> Float[Tensor, " sample"] | None:
        """Mean time between frames, in ``time_units``; ``None`` where it is not known."""
        if self.frames < 2 or not self.timed:
            return None
        return (self.time[:, -1] - self.time[:, 0]) / (self.frames - 1)

    def window(self, start: int, stop: int) -> Self:
        """The frames from ``start`` up to but not including ``stop``, as views."""
        frames = slice(start, stop)
        parameters = {
            name: value[:, frames] if value.ndim == 2 else value
            for name, value in self.parameters.items()
        }
        return replace(
            self, values=self.values[:, frames], time=self.time[:, frames], parameters=parameters
        )

    def sample(self, number: int) -> Self:
        """One sample, as a batch of views."""
        return self._map(lambda tensor: tensor[number : number + 1])

    def rows(self, numbers: Sequence[int]) -> Self:
        """The samples of these numbers, in this order; one may come several times."""
        return self._map(lambda tensor: tensor[list(numbers)])

    def extend(self, frames: Float[Tensor, "sample time field *space"]) -> Self:
        """The batch with further frames behind, at the step of the last two times.

        After a single frame, whose step is not known, they are 1 apart and the batch is not timed.
        A parameter that varies in time keeps its last value: the future is not known.
        """
        new = frames.shape[1]
        step = (
            self.time[:, -1] - self.time[:, -2]
            if self.frames > 1
            else torch.ones_like(self.time[:, -1])
        )
        later = self.time[:, -1:] + step[:, None] * torch.arange(1, new + 1, device=step.device)
        parameters = {
            name: torch.cat([value, value[:, -1:].expand(-1, new)], 1) if value.ndim == 2 else value
            for name, value in self.parameters.items()
        }
        values = torch.cat([self.values, frames], 1)
        return replace(
            self,
            values=values,
            time=torch.cat([self.time, later], 1),
            parameters=parameters,
            timed=self.timed and self.frames > 1,
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same batch with every tensor on ``device``."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def in_units(self, units: Mapping[str, str]) -> Self:
        """The same batch with its parameters in the given units, by name; the others stay.

        Raises:
            InputError: A unit that nothing is known of, or one that cannot become the other.
        """
        parameters, fields = dict(self.parameters), []
        for item in self.parameter_fields:
            want = units.get(item.name, item.units)
            if want != item.units:
                parameters[item.name] = parameters[item.name] * factor(item.name, item.units, want)
            fields.append(replace(item, units=want))
        return replace(self, parameters=parameters, parameter_fields=tuple(fields))

    @property
    def _kind(self) -> tuple[object, ...]:
        """What windows must share to stand in one batch."""
        described = (self.fields, self.static_fields, self.parameter_fields, self.axes)
        return (*described, self.system, self.time_units, self.mask is None)

    def _map(self, change) -> Self:  # noqa: ANN001  # a function of one tensor
        return replace(
            self,
            values=change(self.values),
            time=change(self.time),
            static=None if self.static is None else change(self.static),
            mask=None if self.mask is None else change(self.mask),
            parameters={name: change(value) for name, value in self.parameters.items()},
        )

    @classmethod
    def collate(cls, batches: Sequence[Self]) -> Self:
        """Join batches of one system, with the same fields, axes and frames, along the samples."""
        first = batches[0]
        for other in batches[1:]:
            if other._kind != first._kind:
                raise InputError(
                    f"windows of {first.system} and {other.system} differ in fields, axes, maps or "
                    "parameters and cannot share a batch; draw each batch from one dataset"
                )
        optional = {}
        for name in ("static", "mask"):
            parts = [getattr(batch, name) for batch in batches]
            optional[name] = None if parts[0] is None else torch.cat(parts)
        parameters = {
            name: torch.cat([batch.parameters[name] for batch in batches])
            for name in first.parameters
        }
        values = torch.cat([batch.values for batch in batches])
        time = torch.cat([batch.time for batch in batches])
        return replace(first, values=values, time=time, parameters=parameters, **optional)

    @classmethod
    def from_dataset(cls, ds: xr.Dataset, dtype: torch.dtype = torch.float32) -> Self:
        """Read a dataset that follows the schema into memory.

        Args:
            ds: As `mpp.schema.validate` wants it; slice it first to read only a part.
            dtype: Precision of the tensors; the time stays in float64.

        Raises:
            InputError: The dataset does not follow the schema.
        """
        schema.require_valid(ds)
        names = schema.names(ds)
        samples = ds.sizes["sample"]

        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.require(values, requirements=["C", "W"])).to(dtype)

        def by_sample(variable: xr.DataArray) -> np.ndarray:
            values = np.asarray(variable.values)
            if "sample" in variable.dims:
                return values
            return np.broadcast_to(values, (samples, *values.shape))

        statics, masks = schema.names(ds, "static"), schema.names(ds, "mask")
        inside = [by_sample(ds[name]).astype(bool) for name in masks]
        time = np.asarray(ds["time"].values, dtype=np.float64)
        return cls(
            values=torch.stack([tensor(ds[name].values) for name in names], 2),
            fields=schema.fields(ds),
            axes=axes_of(ds),
            time=torch.from_numpy(np.array(np.broadcast_to(time, (samples, time.size)))),
            time_units=str(ds["time"].attrs["units"]),
            system=schema.system(ds),
            static=torch.stack([tensor(by_sample(ds[n])) for n in statics], 1) if statics else None,
            static_fields=schema.fields(ds, "static"),
            mask=torch.from_numpy(np.logical_and.reduce(inside)) if inside else None,
            parameters={n: tensor(by_sample(ds[n])) for n in schema.names(ds, "parameter")},
            parameter_fields=schema.fields(ds, "parameter"),
        )

    def to_dataset(self) -> xr.Dataset:
        """Write the batch as a dataset that follows the schema; the inverse of `from_dataset`.

        Static maps, masks and parameters come back with a sample dim even where they had none, and
        several masks come back as one.

        Raises:
            InputError: The samples do not share their times.
        """
        if not torch.equal(self.time, self.time[:1].expand_as(self.time)):
            raise InputError(
                "the samples of this batch start at different times and share no time coordinate; "
                "write them one at a time, or set the same times first"
            )
        space = tuple(axis.name for axis in self.axes)
        coords = {"time": schema.coordinate(self.time[0].cpu().numpy(), "time", self.time_units)}
        for axis in self.axes:
            kinds = schema.format_boundary(axis.boundary)
            coords[axis.name] = schema.coordinate(axis.points, axis.name, axis.units, kinds)

        data: dict[str, xr.Variable] = {}
        for channel, item in enumerate(self.fields):
            values = self.values[:, :, channel].cpu().numpy()
            data[item.name] = xr.Variable(("sample", "time", *space), values, item.attrs())
        for channel, item in enumerate(self.static_fields):
            assert self.static is not None
            values = self.static[:, channel].cpu().numpy()
            data[item.name] = xr.Variable(("sample", *space), values, item.attrs())
        if self.mask is not None:
            data["mask"] = xr.Variable(
                ("sample", *space), self.mask.cpu().numpy(), {"role": "mask"}
            )
        for item in self.parameter_fields:
            values = self.parameters[item.name].cpu().numpy()
            data[item.name] = xr.Variable(("sample", "time")[: values.ndim], values, item.attrs())
        return xr.Dataset(data, coords, {"system": self.system})


@dataclass(frozen=True)
class FieldScales:
    """What the training data says of each field, one entry a channel.

    Args:
        value: RMS of the field over the training data.
        change: RMS of its change from one frame to the next.
    """

    value: Float[Tensor, " field"]
    change: Float[Tensor, " field"]


def mean_square(
    values: Float[Tensor, "sample time field *space"],
    mask: Bool[Tensor, "sample *space"] | None = None,
) -> Float[Tensor, "sample time field"]:
    """Mean square of each field of each frame over the points inside the mask."""
    if mask is None:
        return values.square().flatten(3).mean(-1)
    inside = mask[:, None, None]
    squares = torch.where(inside, values, 0).square().flatten(3).sum(-1)
    return squares / inside.flatten(3).sum(-1).clamp(min=1)
