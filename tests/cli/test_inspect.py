"""Laws of the command: it tells what a checkpoint is, to people and to programs."""

import json

import pytest
import torch

from mpp.cli.main import main
from mpp.model.axial import AxialTransformer
from mpp.weights import save


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    made = AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, coarse=2)
    made.card = {"systems": ["example"], "fields": {"tracer": {"units": "kg m-3"}}}
    return save(made, tmp_path / "checkpoint")


def test_the_table_says_model_fields_data_size_and_hash(checkpoint, capsys):
    assert main(["inspect", str(checkpoint)]) == 0
    shown = capsys.readouterr().out
    digest = json.loads((checkpoint / "model.json").read_text())["sha256"]
    facts = ["AxialTransformer", "parameters", "width 16", "example", "tracer [kg m-3]"]
    assert [word for word in [*facts, digest[:40]] if word not in shown] == []


def test_json_is_the_description_with_the_size(checkpoint, capsys):
    assert main(["inspect", str(checkpoint), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    parameters = found.pop("parameters")
    assert found == json.loads((checkpoint / "model.json").read_text())
    made = AxialTransformer(**found["arguments"])
    assert parameters == sum(value.numel() for value in made.parameters())


def test_what_is_no_checkpoint_is_one_line_and_status_2(tmp_path, capsys):
    assert main(["inspect", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "expected a checkpoint folder" in error
    assert error.count("\n") == 1


def test_a_damaged_checkpoint_is_one_line_and_status_2(checkpoint, capsys):
    (checkpoint / "weights.safetensors").write_bytes(b"")
    assert main(["inspect", str(checkpoint)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
