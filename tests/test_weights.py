"""Laws of checkpoints: what is saved comes back, and what is not a whole checkpoint is refused."""

import hashlib
import json
import pickle
from dataclasses import replace

import pytest
import torch

from mpp.batch import Batch
from mpp.errors import InputError
from mpp.model.axial import AxialTransformer
from mpp.schema import example
from mpp.weights import describe, load, save


def tiny(**options) -> AxialTransformer:
    torch.manual_seed(0)
    chosen = {
        "history": 3, "width": 16, "heads": 2, "depth": 1, "hidden": 8, "fine": 2, "coarse": 2
    }  # fmt: skip
    return AxialTransformer(("tracer", "velocity_x"), **{**chosen, **options}).eval()


@pytest.fixture
def checkpoint(tmp_path):
    model = tiny()
    model.set_scales({"tracer": (2.0, 0.5)})
    model.card = {"systems": ["example"]}
    return save(model, tmp_path / "made" / "checkpoint")


def change(checkpoint, **entries):
    file = checkpoint / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


@pytest.mark.parametrize("shape", [(8,), (8, 8), (4, 4, 4)])
def test_a_model_comes_back_with_equal_outputs(tmp_path, shape):
    batch = Batch.from_dataset(example(shape))
    model = tiny(ranks=(len(shape),))
    again = load(save(model, tmp_path / "checkpoint"))
    assert torch.equal(again(batch), model(batch))
    assert again.arguments == model.arguments
    assert not again.training


def test_whoever_may_read_the_description_may_read_the_weights(checkpoint):
    modes = [(checkpoint / name).stat().st_mode for name in ("model.json", "weights.safetensors")]
    assert modes[0] == modes[1]


def test_a_grown_model_comes_back_as_well(tmp_path):
    model = tiny()
    model.grow(["height"], {"height": "tracer"})
    model.set_scales({"height": (5.0, 0.1)})
    batch = Batch.from_dataset(example((8, 8)).rename(tracer="height"))
    assert torch.equal(load(save(model, tmp_path / "checkpoint"))(batch), model(batch))


def test_the_card_comes_back_with_the_hash_of_the_weights(checkpoint):
    digest = hashlib.sha256((checkpoint / "weights.safetensors").read_bytes()).hexdigest()
    assert load(checkpoint).card == {"systems": ["example"], "sha256": digest}
    assert describe(checkpoint)["sha256"] == digest
    assert describe(checkpoint)["card"] == {"systems": ["example"]}


def test_a_copy_does_not_carry_the_hash_of_what_it_was_loaded_from(checkpoint, tmp_path):
    model = load(checkpoint)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    copy = save(model, tmp_path / "copy", card={"note": "shifted"})
    assert describe(copy)["card"] == {"systems": ["example"], "note": "shifted"}
    assert load(copy).card["sha256"] != load(checkpoint).card["sha256"]


def test_saving_again_replaces_and_leaves_nothing_else(checkpoint):
    save(tiny(width=32), checkpoint)
    assert load(checkpoint).arguments["width"] == 32
    assert {file.name for file in checkpoint.iterdir()} == {"weights.safetensors", "model.json"}


def test_a_card_that_json_cannot_hold_leaves_the_old_checkpoint(checkpoint):
    with pytest.raises(TypeError):
        save(tiny(width=32), checkpoint, card={"no": object()})
    assert load(checkpoint).arguments["width"] == 16


def cut(checkpoint):
    file = checkpoint / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def flip(checkpoint):
    file = checkpoint / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")


def put_pickle(checkpoint):
    content = pickle.dumps({"weights": [1.0]})
    (checkpoint / "weights.safetensors").write_bytes(content)
    change(checkpoint, sha256=hashlib.sha256(content).hexdigest())


DAMAGES = {
    "cut": (cut, "missing or damaged"),
    "one bit": (flip, "missing or damaged"),
    "no weights": (lambda at: (at / "weights.safetensors").unlink(), "missing or damaged"),
    "a pickle": (put_pickle, "do not fit the model"),
    "another hash": (lambda at: change(at, sha256="0" * 64), "missing or damaged"),
    "unknown model": (lambda at: change(at, model="Oracle"), "unknown model 'Oracle'"),
    "later format": (lambda at: change(at, format=3), "format 3"),
    "another shape": (lambda at: change(at, arguments={"names": ["a"]}), "do not fit"),
    "wrong arguments": (lambda at: change(at, arguments={"nonsense": 1}), "do not fit"),
    "no description": (lambda at: (at / "model.json").unlink(), "expected a checkpoint folder"),
    "not JSON": (lambda at: (at / "model.json").write_text("{"), "not a description"),
    "not text": (lambda at: (at / "model.json").write_bytes(b"\xff\xfe"), "not a description"),
    "a list": (lambda at: (at / "model.json").write_text("[]"), "not a description"),
    "empty": (lambda at: (at / "model.json").write_text("{}"), "not a description"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_told_in_one_line(checkpoint, damage, message):
    damage(checkpoint)
    with pytest.raises(InputError, match=message) as caught:
        load(checkpoint)
    assert "\n" not in str(caught.value)
    assert str(checkpoint) in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere", "file.ckpt"])
def test_what_is_no_checkpoint_is_refused(tmp_path, name):
    (tmp_path / "file.ckpt").write_bytes(pickle.dumps({}))
    with pytest.raises(InputError, match="expected a checkpoint folder"):
        load(tmp_path / name)


def test_a_pickle_is_never_opened(checkpoint, monkeypatch):
    def refused(*args, **options):
        raise AssertionError("a pickle was read")

    monkeypatch.setattr(pickle, "load", refused)
    monkeypatch.setattr(pickle, "Unpickler", refused)
    monkeypatch.setattr(torch, "load", refused)
    put_pickle(checkpoint)
    with pytest.raises(InputError):
        load(checkpoint)


def test_a_loaded_model_answers_for_fields_it_does_not_know(checkpoint):
    batch = Batch.from_dataset(example((8, 8)))
    renamed = replace(batch, fields=(replace(batch.fields[0], name="height"), batch.fields[1]))
    with pytest.raises(InputError, match="no field height"):
        load(checkpoint)(renamed)
