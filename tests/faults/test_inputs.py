"""The matrix of bad input for the readers: every format times everything that is wrong with it.

A file is read with its numbers as they are, or refused in one line that says what and what to do.
"""

import itertools
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
import xarray as xr
import zarr

from mpp.data.open import open_dataset
from mpp.data.windows import Windows
from mpp.errors import InputError
from mpp.model.axial import AxialTransformer
from mpp.train.datamodule import MixtureData
from mpp.train.fit import fit
from mpp.train.modules import TrainingModule

pytestmark = pytest.mark.faults

FORMATS = ("netcdf", "classic", "zarr", "pdebench", "thewell", "hdf5")
HDF5 = ("netcdf", "pdebench", "thewell", "hdf5")
FRAMES = 4
"""A history of three frames and what follows it."""


def changed(values, place, value):
    made = np.array(values, dtype=np.result_type(values, np.float32))
    made[place] = value
    return made


def spike(value):
    return lambda held: held.but(values=changed(held.values, (1, 2, 3, 4), value))


def scaled(factor):
    return lambda held: held.but(values=(held.values * factor).astype("f4"))


def filled(value):
    return lambda held: held.but(values=np.full_like(held.values, value))


def typed(dtype):
    return lambda held: held.but(values=(100 * held.values).astype(dtype))


def points(axis, place, value):
    return lambda held: held.but(**{axis: changed(getattr(held, axis), place, value)})


def ordered(axis, order):
    return lambda held: held.but(**{axis: getattr(held, axis)[order]})


def cut(**lengths):
    """Fewer frames, or fewer points along an axis."""

    def change(held):
        parts = {axis: slice(lengths.get(axis)) for axis in ("run", "time", "x", "y")}
        axes = {axis: getattr(held, axis)[parts[axis]] for axis in ("time", "x", "y")}
        return held.but(values=held.values[tuple(parts.values())], **axes)

    return change


SOUND = {
    "as it is": lambda held: held,
    "bytes": typed("i1"),
    "short integers": typed("i2"),
    "integers": typed("i4"),
    "booleans": lambda held: held.but(values=held.values > 2),
    "doubles": lambda held: held.but(values=held.values.astype("f8")),
    "huge": scaled(1e30),
    "tiny": scaled(1e-30),
    "constant": filled(3),
    "zero": filled(0),
    "one point along x": cut(x=1),
    "one point along y": cut(y=1),
    "one point in all": cut(x=1, y=1),
    "huge coordinates": lambda held: held.but(x=1e30 * held.x, time=1e30 * held.time),
    "tiny coordinates": lambda held: held.but(x=1e-30 * held.x, time=1e-30 * held.time),
}
REFUSED = {
    "NaN": (spike(np.nan), "(u|height) holds NaN .*missing: mask"),
    "infinity": (spike(np.inf), "(u|height) holds NaN or infinite values, or some beyond float32"),
    "NaN throughout": (filled(np.nan), "(u|height) holds NaN"),
    "beyond float32": (
        lambda held: held.but(values=1e300 * held.values.astype("f8")),
        "(u|height) holds NaN or infinite values, or some beyond float32 .*choose other units",
    ),
    "complex": (
        lambda held: held.but(values=held.values + 1j),
        "(u|0000/data|t0_fields/u).* expected real numbers",
    ),
    "no time": (cut(time=0), "it is empty: .*'time': 0.*; leave out empty files"),
    "no runs": (cut(run=0), "it is empty: .*'sample': 0|it holds no arrays of numbers"),
    "no points": (cut(x=0), "it is empty: .*'x': 0"),
    "fewer frames than a window": (
        cut(time=FRAMES - 1),
        "windows of 4 frames were asked for, but its runs have 3; give longer runs",
    ),
    "one frame": (cut(time=1), "windows of 4 frames .* have 1"),
    "x twice": (points("x", 3, 2.5 / 8), "x: its values do not increase; .*sortby"),
    "x out of order": (ordered("x", [0, 2, 1, 3, 4, 5, 6, 7]), "x: its values do not increase"),
    "x NaN": (points("x", 3, np.nan), "x: it holds NaN or infinity; give every point a finite"),
    "x infinite": (points("x", 7, np.inf), "x: it holds NaN or infinity"),
    "a time twice": (points("time", 3, 0.2), "time: its values do not increase; `join: time`"),
    "times out of order": (ordered("time", [0, 2, 1, 3, 4, 5]), "time: its values do not increase"),
    "times fall": (ordered("time", slice(None, None, -1)), "time: its values fall throughout"),
    "time NaN": (points("time", 3, np.nan), "time: it holds NaN or infinity"),
    "time infinite": (points("time", 5, np.inf), "time: it holds NaN or infinity"),
    "times uneven": (points("time", 5, 0.9), "time: uneven spacing.*`even: .time.`"),
}
UNWRITABLE = {"classic": {"no time", "no points", "complex"}, "netcdf": {"booleans"}}
"""What the format cannot hold: a dim of no length but the first, complex numbers."""


def matrix(cases, but=UNWRITABLE):
    pairs = itertools.product(FORMATS, cases)
    return [(kind, case) for kind, case in pairs if case not in but.get(kind, ())]


def refuse(path, expected, **stated):
    """Read as training does, and see that it ends in one line that names the file."""
    with pytest.raises(InputError, match=expected) as caught:
        Windows(open_dataset(path, **stated), FRAMES, source=str(path))
    line = str(caught.value)
    assert "\n" not in line
    assert ";" in line, "what to do is missing"
    return line


@pytest.mark.parametrize(("kind", "case"), matrix(SOUND, {}))
def test_a_sound_file_is_read_with_its_numbers(kind, case, formats, held, tmp_path):
    form, wanted = formats[kind], SOUND[case](held)
    ds = open_dataset(form(tmp_path, wanted), **form.stated)
    assert ds[form.field].dims == ("sample", "time", "x", "y")
    np.testing.assert_array_equal(ds[form.field].values, wanted.values.astype("f8"))
    for axis in ("time", "x", "y"):
        np.testing.assert_allclose(ds[axis].values, getattr(wanted, axis), rtol=1e-12, atol=0)
    assert len(Windows(ds, FRAMES)) == 2 * (6 - FRAMES + 1)


@pytest.mark.parametrize("case", SOUND)
def test_training_on_it_stays_finite(case, formats, held, tmp_path):
    ds = open_dataset(formats["hdf5"](tmp_path, SOUND[case](held)), **formats["hdf5"].stated)
    torch.manual_seed(0)
    model = AxialTransformer(("u",), FRAMES - 1, 16, 2, 1, 8, fine=2, coarse=2)
    data = MixtureData([ds], [ds], history=FRAMES - 1, batch_size=2)
    model.set_scales(data.field_scales())
    before = [value.clone() for value in model.parameters()]
    fit(TrainingModule(model), data, tmp_path / "run", max_steps=2)
    assert all(torch.isfinite(value).all() for value in model.parameters())
    assert any(not torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    window = data.validation[0][0]
    assert torch.isfinite(model(window.window(0, FRAMES - 1))).all()


@pytest.mark.parametrize("kind", FORMATS)
def test_an_axis_that_runs_downwards_is_turned_round(kind, formats, held, tmp_path):
    form = formats[kind]
    ds = open_dataset(form(tmp_path, ordered("x", slice(None, None, -1))(held)), **form.stated)
    np.testing.assert_array_equal(ds["x"].values, held.x)
    np.testing.assert_array_equal(ds[form.field].values, held.values[:, :, ::-1])


@pytest.mark.parametrize(("kind", "case"), matrix(REFUSED))
def test_numbers_that_nothing_can_be_made_of(kind, case, formats, held, tmp_path):
    change, expected = REFUSED[case]
    form = formats[kind]
    path = form(tmp_path, change(held))
    assert str(path) in refuse(path, expected, **form.stated)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0, 3, 4, 40, 0.3, 0.7, 0.99])
def test_a_file_that_was_cut_off(kind, share, formats, held, tmp_path):
    form = formats[kind]
    path = form(tmp_path, held)
    for file in [path] if path.is_file() else [path / "u/c/1/2/0/0", path / "u/zarr.json"]:
        whole = file.read_bytes()
        file.write_bytes(whole[: int(len(whole) * share) if isinstance(share, float) else share])
        line = refuse(path, "cut off|empty|damaged|got bytes|got text", **form.stated)
        assert str(path) in line
        file.write_bytes(whole)


@pytest.mark.parametrize("kind", ["netcdf", "pdebench", "thewell", "hdf5", "classic"])
def test_what_lies_behind_the_end_does_not_matter(kind, formats, held, tmp_path):
    form = formats[kind]
    path = form(tmp_path, held)
    with path.open("ab") as file:
        file.write(b"x" * 1000)
    np.testing.assert_array_equal(open_dataset(path, **form.stated)[form.field], held.values)


OTHERS = {
    "text": (b"hello world\n", "got text that starts with 'hello world'"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), "got a picture"),
    "a pickle": (pickle.dumps({"u": [1, 2]}), "got a pickle, which could run any code"),
    "a NumPy array": (b"\x93NUMPY\x01\0v\0", "got a NumPy array"),
    "a zip archive": (b"PK\x03\x04" + bytes(50), "got a zip archive"),
    "zeros": (bytes(5000), "is the path right, or the file damaged"),
    "nothing": (b"", "the file is empty"),
    "the beginning of HDF5": (b"\x89HDF\r\n\x1a\n", "this HDF5 file is damaged or cut off"),
    "HDF5 and noise": (b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 12, "HDF5 file is damaged"),
    "the beginning of NetCDF": (b"CDF\x01", "damaged or cut off"),
    "NetCDF and ones": (b"CDF\x05" + b"\xff" * 300, "damaged or cut off|cut off or damaged"),
    "NetCDF and large counts": (b"CDF\x02" + b"\x7f" * 300, "damaged or cut off"),
    "NetCDF and noise": (b"CDF\x01" + bytes(range(7, 250)), "damaged or cut off"),
}


@pytest.mark.parametrize("ending", [".nc", ".h5", ".hdf5", ".zarr", ".dat"])
@pytest.mark.parametrize("what", OTHERS)
def test_a_file_of_another_kind(what, ending, tmp_path):
    content, expected = OTHERS[what]
    path = tmp_path / f"other{ending}"
    path.write_bytes(content)
    assert str(path) in refuse(path, expected)


def test_a_path_that_leads_nowhere(tmp_path):
    for path in (tmp_path / "no.nc", tmp_path / "no" / "where.zarr", "no.h5"):
        refuse(path, "no such file or folder; check the path")
    refuse(tmp_path / "*.nc", "no file matches this pattern")
    refuse([], "no path was given; name a file")
    os.mkfifo(tmp_path / "pipe.nc")
    refuse(tmp_path / "pipe.nc", "expected a file or a folder, got a device or a pipe")


@pytest.mark.parametrize("name", ["empty", "empty.zarr", "empty.nc"])
def test_a_folder_without_data(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    refuse(folder, "no NetCDF, Zarr or HDF5 in this folder .it holds nothing at all.; name the")
    (folder / "readme.txt").write_text("nothing here")
    refuse(folder, "no NetCDF, Zarr or HDF5 in this folder .it holds readme.txt.")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["with blanks", "Größe_数据_ñ", "a[1]b", "100%20 #&", "-x"])
def test_any_name_of_a_file_or_folder(kind, name, formats, held, tmp_path):
    form = formats[kind]
    folder = tmp_path / name
    folder.mkdir()
    path = form(folder, held, name)
    for place in (path, folder, [path], str(folder)):
        ds = open_dataset(place, **form.stated)
        np.testing.assert_array_equal(ds[form.field].values, held.values)


@pytest.mark.parametrize("name", ["Größe", "密度", "with blanks", "µ-h/2"])
def test_any_name_of_a_variable(name, held, tmp_path):
    field = {name.replace("/", "_"): (("sample", "time", "x", "y"), held.values)}
    coords = {"time": held.time, "x": held.x, "y": held.y}
    for path in (tmp_path / "a.nc", tmp_path / "a.zarr"):
        made = xr.Dataset(field, coords)
        made.to_netcdf(path) if path.suffix == ".nc" else made.to_zarr(path, consolidated=False)
        ds = open_dataset(path, boundary="periodic")
        assert len(ds.data_vars) == 1
        np.testing.assert_array_equal(next(iter(ds.data_vars.values())), held.values)


@pytest.mark.parametrize("kind", FORMATS)
def test_files_on_different_grids(kind, formats, files, tmp_path):
    form = formats[kind]
    for name, points in (("a", (8, 6)), ("b", (10, 6))):
        form(tmp_path, files.runs(points=points), name)
    line = refuse(tmp_path, "mixed grids: x has 8 points in .* but 10 in", **form.stated)
    assert f"a{form.ending}" in line
    assert f"b{form.ending}" in line


@pytest.mark.parametrize("kind", ["pdebench", "thewell", "hdf5"])
def test_a_field_that_is_shorter_than_its_axis(kind, formats, held, tmp_path):
    form = formats[kind]
    path = form(tmp_path, held.but(values=held.values[:, :, :7]))
    refuse(path, r"\(7, 6\) points|\(2, 6, 7, 6\)|x has 8 points, the fields 7", **form.stated)


STATED = {
    "an unknown boundary": ({"boundary": "wrap"}, "boundary 'wrap' is not one or two of: periodic"),
    "half a circle": ({"boundary": "periodic wall"}, "periodic on both sides or on neither"),
    "a boundary elsewhere": ({"boundary": {"q": "wall"}}, "'q', but its axes are x, y; name one"),
    "an unknown field": ({"keep": ["nope"]}, "keep: nope cannot be read .it holds"),
    "a name for nothing": ({"names": {"nope": "u"}}, "no variable nope; it holds"),
    "a role for nothing": ({"roles": {"nope": "mask"}}, "no variable nope"),
    "an unknown role": ({"roles": {"u": "king"}}, "role of u is 'king'; expected one of: field"),
    "an unknown dim": ({"time": "days"}, "time='days' is none of its dims"),
    "units of nothing": ({"units": {"nope": "m"}}, "units are given for 'nope'"),
    "a selection of nothing": ({"select": {"level": 0}}, "select: 'level' is none of its dims"),
    "a point too far": ({"select": {"x": 99}}, "select.* x"),
    "an unknown key": ({"boundry": "wall"}, "unknown key boundry; a mapping has: sample"),
    "a wrong type": ({"names": ["u"]}, "names must be pairs such as"),
    "a wrong number": ({"parameters": {"nu": "thick"}}, "parameter nu must be a number"),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("case", STATED)
def test_a_mapping_that_does_not_fit(kind, case, formats, held, tmp_path):
    form = formats[kind]
    said, expected = STATED[case]
    said = {**form.stated, **said}
    with pytest.raises(InputError, match=expected) as caught:
        open_dataset(form(tmp_path, held), **said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_one_must_not_read(kind, formats, files, held):
    # Root may read everything, so that it steps back to nobody here.
    form = formats[kind]
    with files.nobody() as folder:
        path = form(folder, held)
        inside = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        for file in inside:
            file.chmod(0)
        refuse(path, "ermission denied", **form.stated)
        for file in inside:
            file.chmod(0o644)
        assert open_dataset(path, **form.stated).sizes["time"] == 6
        if path.is_dir():
            (path / "u").chmod(0)
            refuse(path, "u.*ermission denied", **form.stated)
            (path / "u").chmod(0o755)
        folder.chmod(0)
        refuse(path, "ermission denied.*check the path and its permissions", **form.stated)
        refuse(folder, "ermission denied.*check the path and its permissions", **form.stated)


LOST = {
    "u/c/1/2/0/0": "u holds NaN",
    "u/c/1": "u holds NaN",
    "x/c": "x: it holds NaN",
    "u/zarr.json": "u: part of a Zarr store without its zarr.json",
    "time/zarr.json": "time: part of a Zarr store without its zarr.json",
    "zarr.json": "this Zarr store lacks its own zarr.json",
}


@pytest.mark.parametrize("what", LOST)
def test_a_zarr_store_that_lacks_a_part(what, formats, held, tmp_path):
    form = formats["zarr"]
    path = form(tmp_path, held)
    lost = path / what
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    assert str(path) in refuse(path, LOST[what], **form.stated)


@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_store_that_says_what_it_lacks(version, held, tmp_path):
    field = {"u": (("sample", "time", "x", "y"), held.values)}
    made = xr.Dataset(field, {"time": held.time, "x": held.x, "y": held.y})
    with pytest.warns() if version == 3 else pytest.MonkeyPatch.context():
        made.to_zarr(tmp_path / "a.zarr", zarr_format=version, consolidated=True)
    assert open_dataset(tmp_path / "a.zarr", boundary="wall").sizes["x"] == 8
    shutil.rmtree(tmp_path / "a.zarr" / "x")
    refuse(tmp_path / "a.zarr", "this Zarr store lists x but lacks it; copy it again")


def store(path, values, held, version, **options):
    group = zarr.create_group(path, zarr_format=version)
    for name, array in {"u": values, "t": held.time, "x": held.x, "y": held.y}.items():
        more = {"chunks": (1, 2, 4, 6), **options} if name == "u" else {}
        group.create_array(name, data=array, **more)
    return path


@pytest.mark.parametrize(("version", "options"), [
    (2, {}), (3, {}), (3, {"shards": (1, 2, 8, 6)}), (3, {"fill_value": -1.0})
])  # fmt: skip
def test_a_lost_chunk_is_not_taken_for_its_fill_value(version, options, held, tmp_path):
    path = store(tmp_path / "a.zarr", held.values, held, version, **options)
    said = {"boundary": "wall", "dims": ("sample", "time", "x", "y")}
    np.testing.assert_array_equal(open_dataset(path, **said)["u"].values, held.values)
    chunk = sorted(p for p in (path / "u").rglob("*") if p.is_file() and "zar" not in p.name)[-1]
    chunk.unlink()
    name = str(chunk.relative_to(path))
    line = refuse(path, "lacks chunks such as", **said)
    assert name in line
    fill = options.get("fill_value", 0.0)
    assert f"`missing: {fill}`" in line
    # What does not touch the chunk can be read; what touches it is the number that one states.
    early = open_dataset(path, **said)["u"].isel(time=slice(2))
    np.testing.assert_array_equal(early, held.values[:, :2])
    stated = open_dataset(path, **said, missing=7.0)["u"].values
    assert set(stated[stated != held.values]) == {7}
    gap = stated[1, 4:, 4 * ("shards" not in options) :]
    assert (gap == 7).all()
    assert (stated == 7).sum() == gap.size
    masked = open_dataset(path, **said, missing="nearest")["u"].isel(sample=0).values
    np.testing.assert_array_equal(masked, held.values[0])


def test_nothing_but_zeros_is_a_field_of_zeros(held, tmp_path):
    # Zarr writes no chunk of nothing but its fill value: none is there at all.
    path = store(tmp_path / "a.zarr", np.zeros_like(held.values), held, 3)
    assert not (path / "u" / "c").exists()
    said = {"boundary": "wall", "dims": ("sample", "time", "x", "y")}
    assert (open_dataset(path, **said)["u"].values == 0).all()


def test_what_this_package_writes_has_all_chunks(held, formats, tmp_path):
    from mpp.data.convert import write

    values = held.values.copy()
    values[0] = 0  # a whole chunk of what would be left out
    ds = open_dataset(formats["hdf5"](tmp_path, held.but(values=values)), **formats["hdf5"].stated)
    path = write(ds, tmp_path / "out.zarr")
    np.testing.assert_array_equal(open_dataset(path)["u"].values, values)
    lost = next(p for p in sorted((path / "u" / "c").rglob("*")) if p.is_file())
    lost.unlink()
    refuse(path, "u lacks chunks such as u/c/0")


@pytest.mark.parametrize("where", ["zarr.json", "u/zarr.json"])
@pytest.mark.parametrize("content", ["", "{", "[1, 2, 3]", "null", '{"zarr_format": 9}', "\x00"])
def test_a_zarr_store_with_a_damaged_description(where, content, formats, held, tmp_path):
    form = formats["zarr"]
    path = form(tmp_path, held)
    (path / where).write_text(content)
    assert str(path) in refuse(path, "cannot be read as Zarr|damaged|lacks", **form.stated)


@pytest.mark.parametrize("kind", ["netcdf", "zarr", "hdf5"])
def test_complex_numbers_are_told_apart_from_words(kind, formats, held, tmp_path):
    form = formats[kind]
    path = form(tmp_path, held.but(values=held.values + 1j))
    refuse(path, "u holds complex64.*its real and its imaginary part", **form.stated)
