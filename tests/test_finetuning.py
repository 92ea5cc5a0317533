"""Laws of finetuning: old knowledge stays, new fields start from old ones, the best weights win."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.batch import Batch
from mpp.errors import InputError
from mpp.finetuning import finetune, rolled_frames, untuned
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Persistence
from mpp.schema import example
from mpp.train.datamodule import MixtureData, window_frames
from mpp.train.finetune import FinetuningModule, choose_donors
from mpp.train.loss import change_loss

OPTIONS = {"max_steps": 2, "batch_size": 4, "validate_every": 1}


@pytest.fixture
def model() -> AxialTransformer:
    torch.manual_seed(0)
    made = AxialTransformer(("tracer", "velocity_x"), 3, 16, 2, 1, 8, fine=2, coarse=2)
    made.card = {"fields": {"tracer": {"units": "kg m-3"}}, "systems": ["example"]}
    return made.eval()


def runs(samples: int = 3, frames: int = 8, **renamed: str) -> xr.Dataset:
    ds = example((8, 8), samples, frames).rename(renamed)
    noise = np.random.default_rng(0).standard_normal(ds["velocity_x"].shape)
    ds["velocity_x"] = ds["velocity_x"] + 0.1 * noise
    return ds.assign_attrs(system="mine")


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_the_model_given_stays_as_it_is(model):
    before, card = state(model), dict(model.card)
    tuned = finetune(model, runs(tracer="height"), **OPTIONS)
    assert tuned is not model
    assert model.card == card
    assert model.names == ("tracer", "velocity_x")
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_growing_leaves_what_is_said_of_the_old_fields(model):
    batch = Batch.from_dataset(runs())
    before = model(batch)
    model.grow(["height", "pressure"], {"height": "tracer"})
    assert torch.equal(model(batch), before)


def test_a_new_field_starts_as_its_donor(model):
    batch = Batch.from_dataset(runs())
    renamed = replace(batch, fields=(replace(batch.fields[0], name="height"), batch.fields[1]))
    expected = model(batch)
    model.grow(["height"], {"height": "tracer"})
    assert torch.equal(model(renamed), expected)


def test_the_donor_is_the_old_field_that_predicts_best(model):
    data = MixtureData([runs(tracer="height")], [runs(tracer="height")], model.history)
    windows, scales = data.training[0], data.field_scales()
    trial = Batch.collate([windows[place] for place in range(len(windows))])
    usual = torch.tensor([scales[name][1] for name in trial.names])
    losses = {}
    for donor in ("tracer", "velocity_x"):
        trained = AxialTransformer(**model.arguments)
        trained.load_state_dict(model.state_dict())
        trained.grow(["height"], {"height": donor})
        trained.set_scales(scales)
        with torch.no_grad():
            predicted = trained(trial.window(0, trial.frames - 1))
        # Only the new field counts.
        new = trial.names.index("height")
        losses[donor] = change_loss(predicted, trial.values, usual)[:, :, new].mean().item()
    best = min(losses, key=lambda donor: losses[donor])
    assert choose_donors(model, trial, scales) == {"height": best}
    # With the other rows made useless, the choice must follow.
    worst = model.names.index(best)
    with torch.no_grad():
        model.readout["2"].rows[worst] *= 100
    assert choose_donors(model, trial, scales)["height"] != best


def test_new_fields_are_trained_and_recorded(model):
    tuned = finetune(model, runs(tracer="height"), **OPTIONS)
    assert tuned.names == ("tracer", "velocity_x", "height")
    donor = tuned.card["donors"]["height"]
    assert donor in model.names
    rows = tuned.readout["2"].rows
    start = model.readout["2"].rows[model.names.index(donor)]
    assert not torch.equal(rows[2], start)
    # The tracer does not occur in these runs: its rows have no gradient.
    assert torch.equal(rows[0], model.readout["2"].rows[0])
    assert tuned.card["fields"].keys() == {"tracer", "height", "velocity_x"}
    assert (tuned.card["systems"], tuned.card["finetuned_on"]) == (["example"], ["mine"])


def test_new_numbers_are_learned_recorded_and_calibrated(model):
    ds = runs(samples=5).rename(diffusivity="viscosity")
    tuned = finetune(model, ds, **OPTIONS)
    assert tuned.numbers.names == ("time_step", "viscosity")
    low, high = tuned.number_ranges["viscosity"]
    least, most = (np.float32(end) for end in (ds["viscosity"].min(), ds["viscosity"].max()))
    assert least <= low < high <= most
    assert tuned.card["numbers"]["viscosity"]["units"] == ds["viscosity"].attrs["units"]
    assert tuned.card["system_numbers"] == {"mine": ["viscosity"]}
    assert set(tuned.card["calibration"]["mine"]) == {"time_step", "viscosity"}
    assert model.numbers.names == ("time_step",)


def test_every_parameter_trains(model):
    tuned = finetune(model, runs(), **{**OPTIONS, "weight_decay": 0.0})
    before, after = dict(model.named_parameters()), dict(tuned.named_parameters())
    still = [name for name in before if torch.equal(before[name], after[name])]
    assert still == []


def test_maps_and_masks_may_be_new_as_well(model):
    ds = runs(tracer="height")
    first = ds["height"].isel(time=0)
    inside = xr.ones_like(first, bool)
    inside[:, 2:4, 2:4] = False
    ds = ds.assign(mask=inside.assign_attrs(role="mask"))
    ds["height"] = ds["height"].where(inside)
    ds["bathymetry"] = xr.ones_like(first).assign_attrs(role="static")
    tuned = finetune(model, ds, **OPTIONS)
    assert set(tuned.names) == {"tracer", "velocity_x", "height", "bathymetry", "mask"}
    assert tuned.card["donors"].keys() == {"height"}
    assert all(torch.isfinite(value).all() for value in tuned.parameters())


def validations(folder) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row["val"]) for row in csv.DictReader(file) if row["val"]]


def score(model: AxialTransformer, ds: xr.Dataset) -> float:
    """The one-step error that validation reports, of a model on runs of one system."""
    data = MixtureData([ds], [ds], window_frames(model, [ds]), batch_size=4)
    usual = data.scales["mine"].change
    errors = []
    for batch in data.val_dataloader()[0]:
        with torch.no_grad():
            predicted = model(batch.window(0, batch.frames - 1))
        errors.append(change_loss(predicted, batch.values, usual)[:, -1].sqrt())
    return torch.cat(errors).mean().item()


@pytest.fixture
def exploding(monkeypatch):
    """The rate explodes after the second step, so that the last weights are the worst."""
    step = FinetuningModule.optimizer_step

    def exploding(self, epoch, batch_idx, optimizer, *args, **options):
        step(self, epoch, batch_idx, optimizer, *args, **options)
        if self.trainer.global_step >= 3:
            with torch.no_grad():
                for value in self.parameters():
                    value.mul_(3)

    monkeypatch.setattr(FinetuningModule, "optimizer_step", exploding)


@pytest.mark.usefixtures("exploding")
def test_the_best_weights_are_kept_not_the_last(model, tmp_path):
    ds = runs()
    tuned = finetune(model, ds, tmp_path, validation=ds, **{**OPTIONS, "max_steps": 6})
    seen = validations(tmp_path)
    assert len(seen) == 6
    assert min(seen) < 0.9 * seen[-1]
    assert score(tuned, ds) == pytest.approx(min(seen), rel=1e-4)


@pytest.mark.parametrize("mode", ["full", "head", "lora", "gradual"])
def test_a_resumed_run_ends_as_one_that_was_not_disturbed(model, tmp_path, mode, monkeypatch):
    ds = runs(tracer="height", diffusivity="viscosity")
    options = {"max_steps": 6, "batch_size": 4, "validate_every": 2, "mode": mode, "unroll": 2}
    whole = finetune(model, ds, tmp_path / "whole", **options)
    start = FinetuningModule.on_train_batch_start

    def stop(self, *args):
        if self.steps == 3:
            raise KeyboardInterrupt
        start(self, *args)

    monkeypatch.setattr(FinetuningModule, "on_train_batch_start", stop)
    with pytest.raises(KeyboardInterrupt):
        finetune(model, ds, tmp_path / "broken", **options)
    monkeypatch.undo()
    resumed = finetune(model, ds, tmp_path / "broken", resume=True, **options)
    found = resumed.state_dict()
    assert found.keys() == whole.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in whole.state_dict().items())


@pytest.mark.parametrize(("unroll", "frames"), [(None, 6), (2, 6), (4, 7), (6, 7)])
def test_windows_are_long_enough_for_the_rollout(model, unroll, frames):
    # Twice the history of three; at most all frames of a run but the last, which is a target.
    assert rolled_frames(model, [runs(frames=8)], unroll) == frames


def test_the_card_tells_how_the_model_was_tuned(model):
    tuned = finetune(model, runs(), mode="head", patience=0.5, **OPTIONS)
    recipe = tuned.card["finetuning"]
    every = sum(value.numel() for value in tuned.parameters())
    assert 0 < recipe.pop("trained_parameters") < every
    assert recipe.pop("minutes") >= 0
    assert recipe.pop("cpu_minutes") >= 0
    assert recipe == {
        "mode": "head", "steps": 2, "ended_by": "steps", "lr": 5e-3, "batch_size": 4, "seed": 0,
        "accumulate": 1, "skipped_steps": 0,
    }  # fmt: skip
    assert all(value.requires_grad for value in tuned.parameters())


def test_the_untuned_model_is_the_model_or_what_its_donors_say(model):
    known = Batch.from_dataset(runs()).window(0, 3)
    assert untuned(model, runs(), {}) is model
    ds = runs(tracer="height", diffusivity="viscosity")
    ds["bathymetry"] = ds["height"].isel(time=0, drop=True).assign_attrs(role="static")
    before = untuned(model, ds, {"height": "tracer"})
    assert model.names == ("tracer", "velocity_x")
    renamed = Batch.from_dataset(ds).window(0, 3)
    model.set_scales(scales_of(ds, height="tracer"))
    # The map and the number are new, and nothing is known of them.
    assert torch.equal(before(renamed), model(replace(known, parameters={})))


def scales_of(ds: xr.Dataset, **renamed: str) -> dict[str, tuple[float, float]]:
    found = MixtureData([ds], [ds], 3).field_scales()
    return {renamed.get(name, name): pair for name, pair in found.items()}


def test_one_run_is_enough(model):
    tuned = finetune(model, runs(samples=1, frames=12), **OPTIONS)
    assert tuned.card["finetuned_on"] == ["mine"]


@pytest.mark.parametrize(
    ("ds", "options", "message"),
    [
        (runs(samples=1, frames=7), {}, "one run of 7 frames cannot be split"),
        (runs(frames=3), {}, "windows of 4 frames"),
        (runs().drop_vars("time"), {}, "time: no coordinate"),
        (runs(), {"max_steps": 0}, "max_steps is 0"),
        (runs(), {"batch_size": 0}, "batch_size is 0"),
        (runs(), {"seed": -1}, "seed is -1"),
        (runs(), {"unroll": 7}, "unroll is 7, and the shortest runs have 8 frames; give at most 6"),
        (runs(), {"max_steps": None, "max_minutes": -1.0}, "max_minutes is -1"),
        (runs(), {"mode": "half"}, "mode is 'half'; expected one of full, head"),
        (runs(), {"donors": {"height": "tracer"}}, "the data has no field height"),
        (runs().isel(y=0, drop=True), {}, "space axes"),
    ],
)
def test_what_cannot_work_is_refused(model, ds, options, message):
    with pytest.raises(InputError, match=message):
        finetune(model, ds, **{**OPTIONS, **options})


def test_another_kind_of_model_is_refused():
    with pytest.raises(InputError, match="got Persistence"):
        finetune(Persistence(), runs())


@pytest.mark.usefixtures("exploding")
def test_a_moved_run_goes_on_with_its_best_score(model, tmp_path, monkeypatch):
    # The best weights are from before the break.
    start = FinetuningModule.on_train_batch_start

    def stop(self, *args):
        if self.steps == 4:
            raise KeyboardInterrupt
        start(self, *args)

    ds, options = runs(), {**OPTIONS, "max_steps": 6}
    whole = finetune(model, ds, tmp_path / "whole", **options)
    with monkeypatch.context() as broken:
        broken.setattr(FinetuningModule, "on_train_batch_start", stop)
        with pytest.raises(KeyboardInterrupt):
            finetune(model, ds, tmp_path / "here", **options)
    (tmp_path / "here").rename(tmp_path / "there")
    moved = finetune(model, ds, tmp_path / "there", resume=True, **options)
    assert validations(tmp_path / "there") == validations(tmp_path / "whole")
    assert min(validations(tmp_path / "there")[:4]) == min(validations(tmp_path / "there"))
    for name, value in whole.state_dict().items():
        assert torch.equal(moved.state_dict()[name], value)
