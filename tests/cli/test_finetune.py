"""Laws of the command: a tuned checkpoint that loads, resumable, and nothing replaced unasked."""

import pytest
import torch
import xarray as xr

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


def test_scores_words_and_picture_close_the_command(checkpoint, data, tmp_path, capsys):
    out = tmp_path / "tuned"
    assert call(checkpoint, data, out) == 0
    shown = capsys.readouterr().out
    for words in (
        "mine: held out run 3 of 3, whole; the others train",
        "new field height: its rows started from",
        "2 steps in ",
        "VRMSE · mine",
        "linear extrapolation",
        "- height: ",
        "copying the last frame",
        f"wrote {out}",
    ):
        assert words in shown, words
    with xr.open_dataset(out / "scores.nc", decode_times=False) as scores:
        assert scores["model"].values.tolist() == [
            "finetuned", "untuned", "linear extrapolation", "persistence",
        ]  # fmt: skip
        # Of eight frames three are given.
        assert scores["step"].values.tolist() == [1, 2, 3, 4, 5]
        assert scores["vrmse"].notnull().all()
    assert (out / "scores.csv").is_file()
    assert (out / "finetune.png").read_bytes()[:4] == b"\x89PNG"


def test_an_adapter_and_its_base_are_the_checkpoint(checkpoint, data, tmp_path):
    from mpp.adapters import weights_hash
    from mpp.weights import describe, load

    out = tmp_path / "tuned"
    assert (
        call(checkpoint, data, out, "--mode", "lora", "--rank", "2", "--donor", "height=zero") == 0
    )
    again = load(checkpoint, out / "adapter.safetensors")
    assert weights_hash(again) == describe(out)["sha256"]
    assert load(out).card["donors"] == {"height": "zero"}
    assert load(out).card["finetuning"]["mode"] == "lora"


def test_another_command_does_not_go_on_with_what_was_stopped(checkpoint, data, tmp_path, capsys):
    out = tmp_path / "tuned"
    assert call(checkpoint, data, out) == 0
    (out / "finetune.png").unlink()  # as if it was stopped before the end
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    capsys.readouterr()
    for more, message in (
        (("--lr", "0.1"), "settings, lr is None there and 0.1 here"),
        (("--max-steps", "3"), "budget, max_steps is 2 there and 3 here"),
        (("--resume", "--mode", "head"), "settings, mode is full there and head here"),
    ):
        assert call(checkpoint, data, out, *more) == 2
        error = capsys.readouterr().err
        assert f"{out} holds another finetuning: {message}" in error
        assert error.count("\n") == 1
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert call(checkpoint, data, out) == 0
    assert "going on" in capsys.readouterr().out
    assert call(checkpoint, data, out, "--resume", "--max-steps", "3") == 0


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
        (("--donor", "height"), "expected NEW=OLD"),
        (("--donor", "height=tracer", "--donor", "height=zero"), "the donors tracer and zero"),
        (("--donor", "height=depth"), "the model has no field depth; give one of tracer"),
        (("--max-minutes", "0"), "max_minutes is 0.0"),
        (("--patience", "0"), "patience is 0.0"),
        (("--rank", "0"), "rank is 0"),
        (("--head-share", "2"), "head_share is 2.0"),
        (("--unroll", "9"), "unroll is 9, and the shortest runs have 8 frames"),
        (("--unroll-share", "2"), "unroll_share is 2.0"),
        (("--checkpoint", "nowhere"), "expected a checkpoint folder"),
        (("--data", "nowhere.nc"), "nowhere.nc"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(checkpoint, data, tmp_path, capsys, more, message):
    assert call(checkpoint, data, tmp_path / "tuned", *more) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "tuned").exists()


@pytest.mark.parametrize("more", [("--mode", "none"), ("--lr", "fast"), ("--precision", "8")])
def test_a_wrong_choice_is_one_line_and_status_2(checkpoint, data, tmp_path, capsys, more):
    with pytest.raises(SystemExit) as ended:
        call(checkpoint, data, tmp_path / "tuned", *more)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
