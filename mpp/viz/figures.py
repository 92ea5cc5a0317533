"""The pictures that belong to a file: what it holds decides what is drawn."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import h5py
import xarray as xr
from matplotlib.figure import Figure

from mpp import schema
from mpp.data.links import require_own
from mpp.errors import InputError
from mpp.files import file_name, make_folder
from mpp.viz.animate import Film, animate, best_film
from mpp.viz.curves import curves, score_names
from mpp.viz.estimates import estimate_names, estimates
from mpp.viz.members import is_ensemble, joined, reliability
from mpp.viz.panels import panels
from mpp.viz.sheet import sheet
from mpp.viz.spectra import bands, has_spectrum, spectra
from mpp.viz.style import save
from mpp.viz.totals import totals
from mpp.viz.training import training_curve
from mpp.viz.transfer import is_transfer, learning_curves

Kind = Literal["evaluation", "inference", "rollout", "runs", "transfer"]
Format = Literal["png", "pdf"]
Plan = dict[str, Callable[[], Figure]]


def figures(
    source: str | Path | xr.Dataset,
    out: str | Path,
    sample: int = 0,
    suffix: Format = "png",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    film: Film | None = None,
    quantities: Mapping[str, str] | None = None,
) -> list[Path]:
    """Draw what a file holds.

    A rollout gives truth, prediction and error over lead times, a picture a field (the prediction
    alone where no truth is known), the spectra of each field, the error by wavenumber band, and the
    totals of its fields; an ensemble its mean and spread, and whether the spread tells the error;
    an evaluation gives error against lead time, a picture a score;
    other runs in the schema give a contact sheet a field; the ``metrics.csv`` of a training gives
    its losses; an inference gives its estimates; a transfer study gives its learning curves.

    Args:
        source: A file, or a dataset in memory.
        out: Folder for the pictures, made where it does not exist.
        sample: Which run of a rollout to draw.
        suffix: ``png``, or ``pdf`` for print.
        overwrite: Replace pictures that are there.
        progress: Called with the number of pictures done and their total.
        film: Also write each field of a rollout as a film of this kind.
        quantities: Quantities whose totals in a rollout are drawn beside those of its fields, by
            name: arithmetic over fields, maps and numbers of the equation.

    Returns:
        The pictures' paths, then those of the films.

    Raises:
        InputError: The file is none of these, has no such run, a picture exists, or a film was
            asked for of something else than a rollout.

    Examples:
        >>> mpp.figures("rollout.nc", "figures")  # doctest: +SKIP
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder for the pictures")
    with opened(source) as found:
        paths: dict[Path, Callable[[Path], Path]] = {
            folder / f"{name}.{suffix}": partial(_draw, draw)
            for name, draw in plan(found, sample, quantities).items()
        }
        if film is not None:
            paths |= _films(found, folder, paths, sample, film)
        present = [str(path) for path in paths if path.exists()]
        if present and not overwrite:
            raise InputError(f"{', '.join(present)} would be replaced; say --overwrite to allow it")
        for done, (path, draw) in enumerate(paths.items(), 1):
            draw(path)
            if progress is not None:
                progress(done, len(paths))
    return list(paths)


def _draw(draw: Callable[[], Figure], path: Path) -> Path:
    figure = draw()
    make_folder(path.parent)
    return save(figure, path)


def _films(
    ds: xr.Dataset | Path, folder: Path, pictures: Iterable[Path], sample: int, film: Film
) -> dict[Path, Callable[[Path], Path]]:
    """A film beside the panels of each field, which are the first pictures."""
    if isinstance(ds, Path) or kind(ds) != "rollout":
        raise InputError("only a rollout can be animated; give a file that mpp rollout wrote")
    if film == "mp4" and best_film() != "mp4":
        raise InputError("mp4 needs imageio-ffmpeg: pip install 'mpp-physics[viz]', or ask for gif")

    def shoot(name: str, path: Path) -> Path:
        make_folder(path.parent)
        return animate(joined(ds), name, path, sample)

    stems = [path.stem for path in pictures]
    found = zip(stems, schema.names(ds), strict=False)
    return {folder / f"{stem}.{film}": partial(shoot, name) for stem, name in found}


@contextmanager
def opened(source: str | Path | xr.Dataset) -> Iterator[xr.Dataset | Path]:
    """A file as a dataset, read when it is needed; a training log as its path.

    Raises:
        InputError: No such file, or one that cannot be read.
    """
    if isinstance(source, xr.Dataset):
        yield source
    elif Path(source).suffix == ".csv":
        yield Path(source)
    else:
        with _open(Path(source)) as ds:
            yield ds


def kind(ds: xr.Dataset) -> Kind:
    """What a dataset is: scores, a study, estimates, a rollout, or other runs in the schema.

    Raises:
        InputError: None of them; with every departure from the schema.
    """
    if is_transfer(ds):
        return "transfer"
    if score_names(ds):
        return "evaluation"
    if estimate_names(ds):
        return "inference"
    one = ds.isel(member=0) if "sample" in ds.dims and is_ensemble(ds) else ds
    problems = [problem for problem in schema.validate(one) if problem.severity == "error"]
    if problems:
        raise InputError(
            "neither a rollout, an evaluation nor runs in the schema: "
            f"{' | '.join(str(problem) for problem in problems)}"
        )
    return "rollout" if schema.names(ds, "truth") or "history_end" in ds.attrs else "runs"


def plan(
    source: xr.Dataset | Path, sample: int = 0, quantities: Mapping[str, str] | None = None
) -> Plan:
    """Names of the pictures that belong to a dataset or a training log, and how to draw each.

    Raises:
        InputError: The dataset is nothing that can be drawn.
    """
    if isinstance(source, Path):
        return {"training": lambda: training_curve(source)}
    try:
        found = kind(source)
    except InputError as error:
        raise InputError(f"{source.encoding.get('source', 'dataset')}: {error}") from error
    if found == "transfer":
        return {"transfer": lambda: learning_curves(source)}
    if found == "inference":
        return {"estimates": lambda: estimates(source)}
    if found == "evaluation":
        return _each("error_{}", score_names(source), partial(curves, source))
    fields = schema.names(source)
    if found == "runs":
        return _each("sheet_{}", fields, partial(sheet, source))
    shown = joined(source)
    made = _each(f"rollout_{{}}_run{sample}", fields, lambda name: panels(shown, name, sample))
    if is_ensemble(source) and schema.names(source, "truth"):
        made["reliability"] = lambda: reliability(source)
    if has_spectrum(shown):
        made |= _each("spectrum_{}", fields, partial(spectra, source))
        if schema.names(source, "truth"):
            made["bands"] = lambda: bands(source)
    made[f"totals_run{sample}"] = lambda: totals(source, sample, quantities)
    return made


def _each(pattern: str, names: Sequence[str], draw: Callable[[str], Figure]) -> Plan:
    """A picture a name, whose own name goes into the pattern; no two are the same."""
    made: Plan = {}
    for name in names:
        stem = pattern.format(file_name(name, "field"))
        twins = sum(other == stem or other.startswith(f"{stem}-") for other in made)
        made[f"{stem}-{twins + 1}" if twins else stem] = partial(draw, name)
    return made


def _open(path: Path) -> xr.Dataset:
    """Open a file lazily; times stay numbers with units."""
    if not path.exists():
        raise InputError(f"{path}: no such file; give a rollout, an evaluation or runs")
    engine = {".nc": "netcdf4", ".zarr": "zarr"}.get(path.suffix)
    if engine is None:
        from mpp.data.open import open_dataset

        return open_dataset(path)
    try:
        if h5py.is_hdf5(path):
            require_own(path)
        return xr.open_dataset(path, engine=engine, decode_times=False)
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"{path}: it cannot be read as {path.suffix[1:]} ({error})") from error
