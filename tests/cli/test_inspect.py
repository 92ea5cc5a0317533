"""Laws of the command: it tells what a checkpoint is, to people and to programs."""

import json

import pytest
import torch

from mpp.cli.main import main
from mpp.model.avit import PublishedAViT
from mpp.model.axial import AxialTransformer
from mpp.weights import save


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    made = AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, fine=2, coarse=2)
    made.card = {
        "systems": ["example"],
        "fields": {
            "tracer": {"units": "kg m-3"},
            "velocity_x": {"units": "m/s", "vector": "velocity", "component": "x"},
        },
        "recipe": {"steps": 600, "batch_size": 2},
    }
    return save(made, tmp_path / "checkpoint")


@pytest.fixture
def published(tmp_path):
    table = {"swirl": {"tracer": 0}, "flow": {"tracer": 1, "pressure": 2}}
    return save(PublishedAViT(table, 4, 16, 2, 1), tmp_path / "published")


def lines(words, capsys) -> dict[str, str]:
    """What is shown, by the first word of a line."""
    assert main(["inspect", *map(str, words)]) == 0
    shown = capsys.readouterr().out
    return {line.split()[0]: " ".join(line.split()[1:]) for line in shown.splitlines() if line}


def test_the_tables_say_model_history_patch_data_recipe_fields_and_hash(checkpoint, capsys):
    found = lines([checkpoint], capsys)
    digest = json.loads((checkpoint / "model.json").read_text())["sha256"]
    assert found["model"] == "AxialTransformer"
    assert found["history"] == "3 frames"
    # Two points to a fine patch, two of these to a token.
    assert found["patch"] == "4 points a token along each axis"
    assert "width 16" in found["shape"]
    assert found["systems"] == "example"
    assert found["recipe"] == "steps 600, batch size 2"
    assert found["sha256"] == digest
    assert found["tracer"] == "kg m-3 field"
    assert found["velocity_x"] == "m/s x of velocity"


def test_the_published_model_tells_the_slots_of_its_fields(published, capsys):
    found = lines([published], capsys)
    assert found["model"] == "PublishedAViT"
    assert found["patch"] == "16 points a token along each axis"
    assert found["tracer"] == "not told field swirl 0, flow 1"
    assert found["pressure"] == "not told field flow 2"


def test_what_finetuning_recorded_is_shown(checkpoint, capsys):
    file = checkpoint / "model.json"
    description = json.loads(file.read_text())
    description["card"] |= {"finetuned_on": ["own"], "donors": {"tracer": "velocity_x"}}
    file.write_text(json.dumps(description))
    assert main(["inspect", str(checkpoint)]) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "finetuned on own" in shown
    assert "donors tracer velocity_x" in shown


@pytest.mark.parametrize(
    ("name", "history", "patch"), [("checkpoint", 3, [4]), ("published", 16, [16])]
)
def test_json_is_the_description_with_the_size(request, name, history, patch, capsys):
    folder = request.getfixturevalue(name)
    assert main(["inspect", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    parameters = found.pop("parameters")
    assert found.pop("number_ranges") == {}
    assert (found.pop("history"), found.pop("patch")) == (history, patch)
    assert found == json.loads((folder / "model.json").read_text())
    made = {"checkpoint": AxialTransformer, "published": PublishedAViT}[name](**found["arguments"])
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
