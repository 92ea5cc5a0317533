"""A result is the old one or the new one, never a part of it."""

import pytest

from mpp.files import written_beside


def contents(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("old")
    with written_beside(path) as unfinished:
        unfinished.write_text("new")
        assert unfinished.suffix == ".csv"  # formats are told by it
        assert path.read_text() == "old"
    assert contents(tmp_path) == {"scores.csv": "new"}


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    path = tmp_path / "runs.zarr"
    path.mkdir()
    (path / "gone").write_text("old")
    with written_beside(path) as unfinished:
        unfinished.mkdir()
        (unfinished / "chunk").write_text("new")
    assert contents(tmp_path) == {"runs.zarr/chunk": "new"}


def interrupted(path, folder):
    with written_beside(path) as unfinished:
        if folder:
            unfinished.mkdir()
            unfinished /= "chunk"
        unfinished.write_text("new")
        raise ZeroDivisionError


@pytest.mark.parametrize("folder", [False, True])
def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path, folder):
    path = tmp_path / "runs.zarr"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        interrupted(path, folder)
    assert contents(tmp_path) == {"runs.zarr": "old"}
