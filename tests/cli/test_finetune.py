"""Laws of the command: a tuned checkpoint that loads, resumable, and nothing replaced unasked."""

import pytest
import torch

from mpp.cli.main import main
from mpp.model.axial import AxialTransformer
from mpp.schema import example
from mpp.weights import save


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    made = AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, fine=2, coarse=2)
    made.card = {"systems": ["example"], "fields": {"tracer": {"units": "kg m-3"}}}
    return save(made, tmp_path / "checkpoint")


@pytest.fixture
def data(tmp_path):
    ds = example((8, 8), samples=3, frames=8).rename(tracer="height")
    ds.assign_attrs(system="mine").to_netcdf(tmp_path / "runs.nc", engine="h5netcdf")
    return tmp_path / "runs.nc"


def call(checkpoint, data, out, *more: str) -> int:
    words = ["--checkpoint", checkpoint, "--data", data, "--out", out, "--max-steps", "2"]
    return main(["finetune", *map(str, [*words, "--batch-size", "4", *more])])


def test_the_tuned_checkpoint_knows_the_new_field(checkpoint, data, tmp_path):
    from mpp.weights import load

    assert call(checkpoint, data, tmp_path / "tuned") == 0
    tuned = load(tmp_path / "tuned")
    assert tuned.names == ("tracer", "velocity_x", "height")
    assert tuned.card["finetuned_on"] == ["mine"]
    assert tuned.card["finetuning"]["steps"] == 2
    assert tuned.card["started_from"] == load(checkpoint).card["sha256"]
    assert (tmp_path / "tuned" / "metrics.csv").is_file()


def test_an_existing_folder_is_kept_unless_told(checkpoint, data, tmp_path, capsys):
    out = tmp_path / "tuned"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert call(checkpoint, data, out) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert call(checkpoint, data, out, "--overwrite") == 0
    assert call(checkpoint, data, out, "--resume") == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--max-steps", "0"), "max_steps is 0"),
        (("--batch-size", "0"), "batch_size is 0"),
        (("--seed", "-1"), "seed is -1"),
        (("--checkpoint", "nowhere"), "expected a checkpoint folder"),
        (("--data", "nowhere.nc"), "nowhere.nc"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(checkpoint, data, tmp_path, capsys, more, message):
    assert call(checkpoint, data, tmp_path / "tuned", *more) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("more", [("--mode", "none"), ("--lr", "fast"), ("--precision", "8")])
def test_a_wrong_choice_is_one_line_and_status_2(checkpoint, data, tmp_path, capsys, more):
    with pytest.raises(SystemExit) as ended:
        call(checkpoint, data, tmp_path / "tuned", *more)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
