"""``mpp import-weights``: the authors' released weights of MPP, as a checkpoint of this package."""

import argparse
from pathlib import Path

from mpp.cli.outputs import add_output, claim, tell
from mpp.cli.parsing import CommandParser

SIZES = ("Ti", "S", "B", "L")
SUMMARY = """\
Turn a checkpoint of Multiple Physics Pretraining, as its authors released it, into a
checkpoint folder that every other command takes. The size is read off the shapes, a
"module." before the names is taken off, and no code in the file is run.

The released weights know the fields of four systems of PDEBench:
  shallow_water        height
  incompressible_flow  velocity_x, velocity_y, tracer (or particles)
  diffusion_reaction   activator, inhibitor
  compressible_flow    velocity_x, velocity_y, density, pressure
Data of another system is taken for the one of these that has all of its fields and the
fewest others. Grids have two axes with multiples of 16 points."""


def parser() -> CommandParser:
    """Options of the command."""
    made = CommandParser("import-weights", SUMMARY, "mpp import-weights MPP_AViT_Ti --out avit_ti")
    made.add_argument("path", type=Path, help="the authors' file, for instance MPP_AViT_Ti")
    made.add_argument("--size", choices=SIZES, help="refuse weights of another size")
    add_output(made, "folder for the checkpoint")
    return made


def run(arguments: argparse.Namespace) -> None:
    """Read, check, write."""
    out = claim(arguments.out, arguments.overwrite)
    from mpp.cli.progress import progress
    from mpp.errors import InputError
    from mpp.model.released import read_released
    from mpp.weights import save

    with progress("read, then write", 2, stays=False) as advance:
        model = read_released(arguments.path)
        if arguments.size not in (None, model.size):
            raise InputError(
                f"{arguments.path}: expected an AViT of size {arguments.size}, got "
                f"{model.size or 'none of the published sizes'} (width {model.width}, "
                f"{model.heads} heads, {model.depth} blocks); leave out --size"
            )
        advance(1)
        save(model, out)
        advance(2)
    tell(out)
