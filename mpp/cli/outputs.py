"""Where results go: never over existing ones unasked, and never half-written."""

import argparse
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from mpp.errors import InputError

ENDINGS = (".nc", ".zarr")


def add_output(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Add ``--out`` and ``--overwrite`` to a command."""
    parser.add_argument("--out", type=Path, required=True, help=meaning)
    parser.add_argument("--overwrite", action="store_true", help="replace what is at --out")


def claim(out: Path, overwrite: bool, endings: Sequence[str] = ()) -> Path:
    """Check that ``out`` may be written, and make the folder that it goes into.

    Raises:
        InputError: Something is there already and must not be replaced, or the name does not end
            in one of ``endings``.
    """
    if endings and out.suffix not in endings:
        raise InputError(f"{out}: expected a name that ends in {' or '.join(endings)}")
    occupied = any(out.iterdir()) if out.is_dir() else out.exists()
    if occupied and not overwrite:
        raise InputError(f"{out} exists; choose another --out or add --overwrite")
    out.parent.mkdir(parents=True, exist_ok=True)
    return out


def write(ds: xr.Dataset, out: Path) -> Path:
    """Write a dataset as NetCDF or Zarr, by its ending, in one move at the end.

    Raises:
        InputError: The ending is neither ``.nc`` nor ``.zarr``.
    """
    part = out.with_name(f".{out.name}.part")
    if out.suffix == ".nc":
        ds.to_netcdf(part, engine="h5netcdf")
    elif out.suffix == ".zarr":
        shutil.rmtree(part, ignore_errors=True)
        with warnings.catch_warnings():
            # zarr warns of stores with consolidated metadata, xarray of stores without it.
            warnings.filterwarnings("ignore", message="Consolidated metadata is currently not")
            ds.to_zarr(part, mode="w", consolidated=True)
    else:
        raise InputError(f"{out}: expected a name that ends in {' or '.join(ENDINGS)}")
    if out.is_dir():
        shutil.rmtree(out)
    return part.replace(out)
