"""Laws of outputs: nothing is replaced unasked, files and folders are told apart."""

import pytest

from mpp.cli.outputs import ENDINGS, claim, tell
from mpp.errors import InputError


def test_a_free_name_gets_the_folder_it_goes_into(tmp_path):
    out = tmp_path / "new" / "scores.nc"
    assert claim(out, False, ENDINGS) == out
    assert out.parent.is_dir()
    assert not out.exists()


def test_an_empty_folder_is_free_and_a_full_one_is_not(tmp_path):
    assert claim(tmp_path, False) == tmp_path
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="add --overwrite"):
        claim(tmp_path, False)
    assert claim(tmp_path, True) == tmp_path


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_and_folders_are_not_mixed_up(tmp_path, overwrite):
    file, folder = tmp_path / "file", tmp_path / "folder.nc"
    file.write_text("mine")
    folder.mkdir()
    with pytest.raises(InputError, match="is a file; name a folder"):
        claim(file, overwrite)
    with pytest.raises(InputError, match="is a folder; name a file"):
        claim(folder, overwrite, ENDINGS)
    with pytest.raises(InputError, match="cannot make this folder"):
        claim(file / "below" / "out", overwrite)
    with pytest.raises(InputError, match=r"ends in \.nc or \.zarr"):
        claim(tmp_path / "out.txt", overwrite, ENDINGS)


def test_the_result_is_told_whatever_its_name(tmp_path, capsys):
    out = tmp_path / "[red]odd" / ("long" * 40 + ".nc")
    tell(out)
    assert capsys.readouterr().out == f"wrote {out}\n"
