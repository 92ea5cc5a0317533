"""What the results in a folder depend on, so that no two studies are mixed in one."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from torch import nn

from mpp import schema
from mpp.errors import InputError
from mpp.files import written_beside


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of all weights with their names."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()


def run_digests(ds: xr.Dataset) -> list[str]:
    """A short digest of each run: first and last frame of every field, and its numbers."""
    ends = ds.isel(time=[0, -1])
    names = (*schema.names(ds), *schema.names(ds, "parameter"))
    parts = [ends[name].transpose("sample", ...).values for name in names if _by_run(ds[name])]
    runs = range(ds.sizes["sample"])
    return [
        hashlib.sha256(b"".join(np.ascontiguousarray(part[run]).tobytes() for part in parts))
        .hexdigest()[:16]
        for run in runs
    ]  # fmt: skip


def _by_run(variable: xr.DataArray) -> bool:
    return "sample" in variable.dims


def settle(path: Path, record: Mapping[str, Any], what: str = "study") -> None:
    """Write a record, or check that the one that is there says the same.

    A record that holds further keys at its first level is added to what is there.

    Args:
        path: The file.
        record: What the results depend on.
        what: What it is a record of.

    Raises:
        InputError: Something differs; which, and what it was.
    """
    wanted = json.loads(json.dumps(record))
    kept: dict[str, Any] = {}
    if path.is_file():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path}: not the record of a {what} ({error})") from None
    for key in wanted.keys() & kept.keys():
        if kept[key] != wanted[key]:
            raise InputError(
                f"{path.parent} holds another {what}: {_difference(key, kept[key], wanted[key])}; "
                "choose another folder, or repeat what it was made with"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as unfinished:
        unfinished.write_text(json.dumps({**kept, **wanted}, indent=1) + "\n", encoding="utf-8")


def _difference(key: str, kept: Any, wanted: Any) -> str:
    """The first thing that differs, in words."""
    if isinstance(kept, dict) and isinstance(wanted, dict):
        for inner in (*kept, *wanted):
            if kept.get(inner) != wanted.get(inner):
                return _difference(f"{key}, {inner}", kept.get(inner), wanted.get(inner))
    short = [str(value) if len(str(value)) < 60 else "other" for value in (kept, wanted)]
    return f"{key} is {short[0]} there and {short[1]} here"
