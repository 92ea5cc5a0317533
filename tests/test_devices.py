"""Laws of devices: models compute where they are told to, and are left where they were.

What needs a GPU is skipped where there is none.
"""

import copy

import numpy as np
import pytest
import torch

import mpp
from mpp.cli.main import main
from mpp.data.convert import write
from mpp.devices import device_named, device_of, placed
from mpp.errors import InputError
from mpp.model.axial import AxialTransformer
from mpp.plan.machine import here
from mpp.schema import example
from mpp.train.calibrate import calibrate
from mpp.train.datamodule import MixtureData

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
CPU = torch.device("cpu")
TOLERANCE = 1e-3
"""Of frames in float32, relative to their size, after a few steps on another device."""


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = AxialTransformer(("tracer", "velocity_x", "velocity_y"), 4, 16, 2, 1, 8, coarse=2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


@pytest.fixture
def ds():
    return example((16, 16), samples=3, frames=9)


def test_without_a_name_a_device_is_where_training_computes():
    assert device_named(None).type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device_named("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "CPU", "cpu:1"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(name):
    with pytest.raises(InputError, match=r"a device that is here \(cpu.*got " + name):
        device_named(name)


@pytest.mark.parametrize("command", ["rollout", "evaluate", "infer"])
def test_commands_refuse_a_device_that_is_not_here(command, ds, tmp_path, capsys):
    write(ds, tmp_path / "ds.nc")
    steps = [] if command == "infer" else ["--steps", "1"]
    options = ["--data", str(tmp_path / "ds.nc"), "--out", str(tmp_path / "out.nc"), *steps]
    assert main([command, "--checkpoint", "mpp-mini", *options, "--device", "cuda:99"]) == 2
    assert "device that is here (cpu" in capsys.readouterr().err
    assert not (tmp_path / "out.nc").exists()


def test_a_placed_model_goes_back_also_after_an_error(model, monkeypatch):
    monkeypatch.setattr("mpp.devices.accelerator", lambda: torch.device("meta"))
    moves = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device: moves.append(device))
    with pytest.raises(RuntimeError, match="while placed"), placed(model):  # noqa: PT012
        assert moves == [torch.device("meta")]
        raise RuntimeError("while placed")
    assert moves == [torch.device("meta"), CPU]


@GPU
def test_rollouts_scores_and_numbers_are_the_same_on_a_gpu(model, ds):
    there = copy.deepcopy(model).to("cuda")
    history = ds.isel(time=slice(0, 4))
    for one, other in (
        (mpp.rollout(model, history, 5), mpp.rollout(there, history, 5)),
        (mpp.evaluate(model, ds, 5), mpp.evaluate(there, ds, 5)),
    ):
        assert list(one) == list(other)
        for name in one:
            if one[name].dtype.kind == "f":
                scale = float(np.abs(one[name]).max())
                np.testing.assert_allclose(other[name], one[name], atol=TOLERANCE * scale)
    assert device_of(there).type == "cuda"
    assert there.to("cpu").state_dict().keys() == model.state_dict().keys()


@GPU
def test_a_model_trained_on_a_gpu_reads_numbers_there_as_on_the_cpu(ds, tmp_path):
    made = mpp.pretrain([ds], tmp_path, small, max_steps=3, held_out=0.4)
    assert device_of(made) == CPU  # where it is saved from
    history = ds.isel(time=slice(0, 4))
    found = {device: mpp.infer(made.to(device), history) for device in ("cpu", "cuda")}
    for name in found["cpu"]:
        np.testing.assert_allclose(found["cuda"][name], found["cpu"][name], rtol=TOLERANCE)
    data = MixtureData([ds], [ds], 5)
    reach = {device: calibrate(made.to(device), data)["example"] for device in ("cpu", "cuda")}
    for name, one in reach["cpu"].items():
        np.testing.assert_allclose(reach["cuda"][name]["reach"], one["reach"], rtol=0.01, atol=1e-4)


@GPU
@pytest.mark.parametrize("mode", ["full", "head", "lora", "gradual"])
def test_every_way_to_finetune_computes_on_a_gpu(mode, ds, model, tmp_path):
    renamed = ds.rename(tracer="dye")
    tuned = mpp.finetune(model, renamed, tmp_path, renamed, max_steps=4, mode=mode, patience=1.0)
    assert all(parameter.detach().isfinite().all() for parameter in tuned.parameters())
    assert device_of(tuned) == CPU


@GPU
def test_a_plan_measures_the_gpu_that_a_training_would_take():
    found = here()
    assert found.name == torch.cuda.get_device_name()
    assert found.memory > 2**30
    assert found.spare == 0
    assert found.half > found.flops > 1e12


@GPU
def test_bfloat16_trains_on_a_gpu(ds, tmp_path):
    made = mpp.pretrain([ds], tmp_path, small, max_steps=4, held_out=0.4, precision="bf16-mixed")
    assert all(parameter.detach().isfinite().all() for parameter in made.parameters())


def small(names):
    return AxialTransformer(names, 4, 16, 2, 1, 8, coarse=2)
