"""What a rollout's result holds: predicted fields, and what is known of the rest beforehand."""

import numpy as np
import xarray as xr

from mpp import schema
from mpp.rollouts.stepping import Stepping
from mpp.rollouts.stores import Entry, Store, copy


class Layout:
    """The variables of a result.

    Args:
        stepping: What steps, from which history.
        time: Times of all frames that may come.
        after: The true frames at these times, if known.

    Attributes:
        entries: The variables by name.
        known: Those of them that are known beforehand.
        sizes: Length of every dim.
    """

    def __init__(self, stepping: Stepping, time: np.ndarray, after: xr.Dataset | None) -> None:
        history = stepping.history
        self.known: dict[str, xr.Variable] = {
            "time": xr.Variable(("time",), time, history["time"].attrs)
        }
        members = len(stepping.models) * stepping.members
        lead = ("sample", "member", "time") if members > 1 else ("sample", "time")
        if members > 1:
            self.known["member"] = xr.Variable(("member",), np.arange(members))
        space = schema.space_axes(history)
        runs = ["sample"] if "sample" in history.coords else []
        steady = [
            name for role in ("static", "mask", "parameter") for name in schema.names(history, role)
        ]
        for name in (*space, *runs, *steady):
            variable = history[name].variable
            if "time" not in variable.dims and variable.dtype.kind in "fiub":
                self.known[str(name)] = variable
        described = {item.name: item.attrs() for item in schema.fields(history)}
        self.entries = {
            name: Entry((*lead, *space), np.dtype("float32"), attrs)
            for name, attrs in described.items()
        }
        for name in described if after is not None else ():
            assert after is not None
            variable = after[name].variable
            attrs = {**variable.attrs, "role": "truth"}
            self.known[f"truth_{name}"] = variable.copy(deep=False)
            self.known[f"truth_{name}"].attrs = attrs
        for name, variable in self.known.items():
            dims = tuple(str(dim) for dim in variable.dims)
            dtype = variable.dtype.newbyteorder("=")
            self.entries[name] = Entry(dims, dtype, dict(variable.attrs))
        self.sizes = {
            "sample": history.sizes["sample"],
            **({"member": members} if members > 1 else {}),
            "time": len(time),
            **{axis: history.sizes[axis] for axis in space},
        }

    def copy_to(self, store: Store, lengths: dict[str, int]) -> None:
        """Put coordinates, maps, numbers and the truth, as far as the result goes."""
        for name, variable in self.known.items():
            copy(store, name, variable, lengths)
