"""Laws of adapter files: base and adapter give the merged checkpoint, bit for bit, or a refusal."""

import json

import pytest
import torch

from mpp.adapters import add_adapter, weights_hash
from mpp.errors import InputError
from mpp.finetuning import finetune
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Persistence
from mpp.schema import example
from mpp.weights import describe, load, save


def made(seed: int = 0) -> AxialTransformer:
    torch.manual_seed(seed)
    model = AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, fine=2, coarse=2)
    model.card = {"fields": {"tracer": {"units": "kg m-3"}}, "systems": ["example"]}
    return model.eval()


@pytest.fixture
def base(tmp_path):
    return load(save(made(), tmp_path / "base"))


@pytest.fixture
def tuned(base, tmp_path):
    ds = example((8, 8), 3, 8).rename(tracer="height", diffusivity="viscosity")
    options = {"max_steps": 3, "batch_size": 4, "validate_every": 1, "mode": "lora", "rank": 2}
    return finetune(base, ds.assign_attrs(system="mine"), tmp_path / "tuned", **options)


def test_base_and_adapter_are_the_merged_model(base, tuned, tmp_path):
    save(tuned, tmp_path / "merged")
    names, before = base.names, weights_hash(base)
    file = tmp_path / "tuned" / "adapter.safetensors"
    for again in (add_adapter(base, file), load(tmp_path / "base", adapter=file)):
        assert weights_hash(again) == describe(tmp_path / "merged")["sha256"]
        assert again.arguments == tuned.arguments
        assert json.dumps(again.card) == json.dumps(tuned.card)
        assert all(value.requires_grad for value in again.parameters())
    assert (base.names, weights_hash(base)) == (names, before)


def test_an_adapter_is_smaller_than_its_base_and_knows_it(base, tuned, tmp_path):
    file = tmp_path / "tuned" / "adapter.safetensors"
    assert file.stat().st_size < 0.7 * (tmp_path / "base" / "weights.safetensors").stat().st_size
    assert base.card["sha256"].encode() in file.read_bytes()
    assert weights_hash(base) == base.card["sha256"]


def test_the_wrong_base_is_refused(tuned, tmp_path):
    file = tmp_path / "tuned" / "adapter.safetensors"
    for wrong in (made(1), Persistence()):
        with pytest.raises(InputError, match="load the checkpoint that it was finetuned from"):
            add_adapter(wrong, file)


def test_what_is_no_adapter_is_refused(base, tmp_path):
    (tmp_path / "broken").write_bytes(b"no safetensors")
    for name, message in (
        ("nowhere", "no such file"),
        ("broken", "cannot be read"),
        ("base/weights.safetensors", "not an adapter .format 'not told'"),
    ):
        with pytest.raises(InputError, match=message):
            add_adapter(base, tmp_path / name)


@pytest.mark.parametrize("mode", ["full", "head", "gradual"])
def test_other_modes_leave_no_adapter(base, mode, tmp_path):
    ds = example((8, 8), 3, 8).assign_attrs(system="mine")
    finetune(base, ds, tmp_path / mode, max_steps=1, mode=mode)
    assert not (tmp_path / mode / "adapter.safetensors").exists()


def test_a_damaged_adapter_is_refused_and_one_without_a_hash_is_not(base, tuned, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    file = tmp_path / "tuned" / "adapter.safetensors"
    whole = bytearray(file.read_bytes())
    whole[-5] ^= 1  # in the last tensor
    (tmp_path / "damaged.safetensors").write_bytes(whole)
    with pytest.raises(InputError, match="damaged"):
        add_adapter(base, tmp_path / "damaged.safetensors")
    with safe_open(file, framework="pt") as parts:
        told = {name: text for name, text in parts.metadata().items() if name != "sha256"}
        tensors = {name: parts.get_tensor(name) for name in parts.keys()}  # noqa: SIM118
    save_file(tensors, tmp_path / "earlier.safetensors", told)
    earlier = add_adapter(base, tmp_path / "earlier.safetensors")
    assert weights_hash(earlier) == weights_hash(tuned)
    told["rank"] = "3"
    save_file(tensors, tmp_path / "changed.safetensors", {**told, "sha256": "0" * 64})
    with pytest.raises(InputError, match="damaged"):
        add_adapter(base, tmp_path / "changed.safetensors")
