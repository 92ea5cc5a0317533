"""What every dim and variable of a file is taken for: the user's mapping, completed by guesses."""

from collections import Counter
from dataclasses import dataclass, field

import xarray as xr

from mpp.data import advice
from mpp.data.guess import (
    COMPONENTS,
    coordinate_of,
    field_name,
    letter,
    looks_like_sample,
    single_time,
    time_dim,
)
from mpp.data.mapping import Mapping, line
from mpp.errors import InputError
from mpp.fields import ROLES
from mpp.schema import MAX_SPACE_AXES, space_axes


@dataclass(frozen=True)
class Plan:
    """What was understood of a file.

    Args:
        sample: Dim that counts the runs; ``None`` where the file holds one run.
        time: Dim that counts the frames; ``None`` where the file holds one frame.
        space: Dim of the file by axis of the schema, in order.
        coordinates: Variable with the positions by dim of the file; dims without are numbered.
        names: Name in the schema by variable of the file.
        roles: Role by variable of the file.
        left_out: Why a variable is not read, by variable of the file.
    """

    sample: str | None
    time: str | None
    space: dict[str, str]
    coordinates: dict[str, str]
    names: dict[str, str]
    roles: dict[str, str]
    left_out: dict[str, str] = field(default_factory=dict)

    def axis(self, name: str) -> str | None:
        """The axis of the schema (``time`` included) called so in the file or in the schema."""
        known = {**{dim: axis for axis, dim in self.space.items()}, **{a: a for a in self.space}}
        if self.time is not None:
            known[self.time] = "time"
        for dim, variable in self.coordinates.items():
            known.setdefault(variable, known.get(dim, ""))
        return known.get(name) or ("time" if name == "time" else None)


def make_plan(ds: xr.Dataset, mapping: Mapping, source: str = "dataset") -> Plan:
    """Decide what every dim and variable is.

    Args:
        ds: As a file gives it, lazily; no values of fields are read.
        mapping: What the user states. It wins over every guess.
        source: What to call the file in errors.

    Raises:
        InputError: The mapping names what the file lacks, or no time or space axis can be told.
    """
    sample, time = (_stated_dim(ds, mapping, role, source) for role in ("sample", "time"))
    time = time or time_dim(ds)
    if time is None:
        raise InputError(f"{source}: {advice.no_time(ds)}")
    sample = sample or next(
        (str(d) for d in ds.dims if d != time and looks_like_sample(ds, str(d))), None
    )
    scalar = time not in ds.dims
    if not in_schema(ds):
        advice.require_one_time(ds, time, source)
        advice.require_one_grid(ds, mapping, time, sample, source)
    space = _stated_space(ds, mapping, source)
    if space is None:
        wanted = [name for name in advice.kept(ds, mapping) if scalar or time in ds[name].dims]
        main = _main_dims(ds[wanted] if wanted else ds, sample, time, scalar, source)
        if sample is None:
            sample, main = _leading_sample(ds, main, time, source)
        space = _letters(ds, main)
    advice.require_axes(ds, tuple(space.values()), source)
    coordinates = {
        dim: variable
        for dim in (time, sample, *space.values())
        if dim is not None and (variable := coordinate_of(ds, dim)) is not None
    }
    frame = None if scalar else time
    roles, left_out = _roles(ds, mapping, sample, frame, space, set(coordinates.values()))
    names = _names(ds, mapping, roles, source)
    _keep(mapping, names, roles, left_out, source)
    if not {"field", "truth"} & set(roles.values()):
        raise InputError(f"{source}: {advice.no_field(ds, frame, space, left_out)}")
    return Plan(sample, frame, space, coordinates, names, roles, left_out)


def _stated_dim(ds: xr.Dataset, mapping: Mapping, role: str, source: str) -> str | None:
    name = getattr(mapping, role) or (role if in_schema(ds) else None)
    if name is not None and name not in ds.dims and name not in ds.variables:
        raise InputError(
            f"{source}: {role}={name!r} is none of its dims ({_list(ds.dims)}); name one of them"
        )
    return name


def by_coordinates(ds: xr.Dataset, mapping: Mapping) -> xr.Dataset:
    """A dataset whose dims are called by the coordinates that a mapping names in their place."""
    space = mapping.space.values() if isinstance(mapping.space, dict) else mapping.space or ()
    stated = [name for name in (mapping.sample, mapping.time, *space) if name in ds.variables]
    lines = [name for name in stated if name not in ds.dims and ds.variables[name].ndim == 1]
    return ds.swap_dims({dim: name for name in lines for dim in ds.variables[name].dims})


def in_schema(ds: xr.Dataset) -> bool:
    """Whether a dataset is written in the schema, so that none of its names need a guess."""
    axes = space_axes(ds)
    stated = all(axis in ds.coords and "boundary" in ds[axis].attrs for axis in axes)
    return bool(axes) and stated and {"sample", "time"} <= set(ds.dims) and "system" in ds.attrs


def _list(names: object) -> str:
    return ", ".join(str(name) for name in names) or "none"  # type: ignore[union-attr]


def _stated_space(ds: xr.Dataset, mapping: Mapping, source: str) -> dict[str, str] | None:
    if mapping.space is None:
        return {axis: axis for axis in space_axes(ds)} if in_schema(ds) else None
    stated = mapping.space
    dims: tuple[str, ...] = tuple(stated.values()) if isinstance(stated, dict) else stated
    missing = [dim for dim in dims if dim not in ds.dims]
    if missing or not 1 <= len(dims) <= MAX_SPACE_AXES:
        raise InputError(
            f"{source}: space={list(dims)} must name one to three of its dims ({_list(ds.dims)})"
        )
    return dict(stated) if isinstance(stated, dict) else _letters(ds, dims, ordered=True)


def _main_dims(
    ds: xr.Dataset, sample: str | None, time: str, scalar: bool, source: str
) -> tuple[str, ...]:
    """The dims that most variables with a time axis have besides time and sample."""
    counts: Counter[tuple[str, ...]] = Counter()
    for variable in ds.data_vars.values():
        rest = tuple(str(dim) for dim in variable.dims if dim not in (sample, time))
        if (scalar or time in variable.dims) and rest and variable.dtype.kind in "fiub":
            counts[rest] += 1
    if not counts:
        if other := advice.unreal(ds.variables):
            raise InputError(f"{source}: {other}")
        raise InputError(
            f"{source}: no variable has the time axis {time!r} and a space axis; its dims are "
            f"{_list(ds.dims)}; name them with time='...' and space=[...]"
        )
    main = max(counts, key=lambda dims: (counts[dims], len(dims)))
    parts = [dim for dim in main if dim.lower() in COMPONENTS]
    if parts:
        raise InputError(f"{source}: {advice.channels(ds, parts[0])}")
    return main


def _leading_sample(
    ds: xr.Dataset, main: tuple[str, ...], time: str, source: str
) -> tuple[str | None, tuple[str, ...]]:
    """Take an unknown dim that stands before time for the runs, if the others are axes."""
    for variable in ds.data_vars.values():
        dims = [str(dim) for dim in variable.dims]
        if time in dims and set(main) <= set(dims):
            before = [dim for dim in dims[: dims.index(time)] if not letter(ds, dim)]
            if len(before) == 1 and len(main) > 1:
                return before[0], tuple(dim for dim in main if dim != before[0])
    if len(main) > MAX_SPACE_AXES:
        raise InputError(
            f"{source}: the dims {_list(main)} are left besides time {time!r}, but at most three "
            "can be space; name those of the runs and of space with `sample: ...` and `space: "
            f"[...]`, or read one point of a dim with {line(select={next(iter(main)): 0})}"
        )
    return None, main


def _letters(ds: xr.Dataset, dims: tuple[str, ...], ordered: bool = False) -> dict[str, str]:
    """Names of the axes: x, y, z where they can be told, else the file's own names."""
    seen = [letter(ds, coordinate_of(ds, dim) or dim) or letter(ds, dim) for dim in dims]
    told = [axis for axis in seen if axis]
    if not told and all(dim.startswith(("dim_", "phony_dim_")) for dim in dims):
        return dict(zip("xyz", dims, strict=False))
    if len(set(told)) < len(told):
        return {dim: dim for dim in dims}
    named = {axis or dim: dim for axis, dim in zip(seen, dims, strict=True)}
    whole = len(told) == len(dims) and not ordered
    return dict(sorted(named.items())) if whole else named


def _roles(
    ds: xr.Dataset,
    mapping: Mapping,
    sample: str | None,
    time: str | None,
    space: dict[str, str],
    coordinates: set[str],
) -> tuple[dict[str, str], dict[str, str]]:
    roles, left_out = {}, {}
    axes = set(space.values())
    for key, variable in ds.variables.items():
        name = str(key)
        if name in coordinates or name in ds.dims:
            continue
        stated = mapping.roles.get(name) or variable.attrs.get("role")
        rest = {str(dim) for dim in variable.dims} - {sample}
        wanted = mapping.keep is not None and name in mapping.keep
        if variable.dtype.kind not in "fiub":
            parts = "complex numbers; write their real and imaginary parts as two variables"
            left_out[name] = parts if variable.dtype.kind == "c" else "not numbers"
        elif "grid_mapping_name" in variable.attrs:
            left_out[name] = "describes a map projection"
        elif name in ds.coords and not stated and not wanted:
            left_out[name] = "an auxiliary coordinate"
        elif stated in ROLES:
            roles[name] = str(stated)
        elif rest == axes | ({time} if time else set()):
            roles[name] = "field"
        elif rest == axes:
            roles[name] = "mask" if "mask" in name.lower() else "static"
        elif rest <= {time} and (time is not None or name != single_time(ds)):
            roles[name] = "parameter"
        else:
            left_out[name] = advice.other_dims(ds, name, axes, {time, sample})
    return roles, left_out


def _names(ds: xr.Dataset, mapping: Mapping, roles: dict[str, str], source: str) -> dict[str, str]:
    missing = [name for name in (*mapping.names, *mapping.roles) if name not in ds.variables]
    if missing:
        raise InputError(
            f"{source}: no variable {', '.join(missing)}; it holds {_list(ds.variables)}"
        )
    own = in_schema(ds)
    guessed = {n: n if own else field_name(ds, n) for n in roles if n not in mapping.names}
    for vector, parts in mapping.vectors.items():
        guessed.update({n: f"{vector}_{axis}" for axis, n in parts.items() if n in guessed})
    counts = Counter([*guessed.values(), *mapping.names.values()])
    names = {name: new if counts[new] == 1 else name for name, new in guessed.items()}
    names |= {name: new for name, new in mapping.names.items() if name in roles}
    twice = [new for new, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise InputError(f"{source}: two variables are to be called {twice[0]}; choose other names")
    return {name: names[name] for name in roles}


def _keep(
    mapping: Mapping,
    names: dict[str, str],
    roles: dict[str, str],
    left_out: dict[str, str],
    source: str,
) -> None:
    if mapping.keep is None:
        return
    for word in mapping.keep:
        if word not in names and word not in names.values():
            why = left_out.get(word, f"it holds {_list(names)}")
            raise InputError(f"{source}: keep: {word} cannot be read ({why})")
    for name in list(names):
        if name not in mapping.keep and names[name] not in mapping.keep:
            left_out[name] = "not among those to keep"
            del names[name], roles[name]
