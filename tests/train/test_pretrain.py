"""Laws of pretraining: a resumed run is the run without a break, and every option counts."""

import csv
import inspect

import numpy as np
import pytest
import torch

from mpp.errors import InputError
from mpp.model.avit import PublishedAViT
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Surrogate
from mpp.train import modules
from mpp.train.loss import nmse_loss
from mpp.train.optimizer import DecayArrays
from mpp.train.pretrain import pretrain
from mpp.train.schedule import Trapezoid
from mpp.train.states import FOLDER as CHECKPOINTS
from mpp.train.states import LAST

OPTIONS = {"batch_size": 2, "max_steps": 4, "validate_every": 2, "held_out": 0.25}


@pytest.fixture
def train(two_systems, make_model, tmp_path):
    def run(folder="run", datasets=None, **options):
        chosen = {**OPTIONS, "model": make_model, **options}
        return pretrain(datasets or two_systems, tmp_path / folder, **chosen)

    return run


def weights(model: Surrogate) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in model.parameters()])


def rows(folder) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


class BreakDownError(Exception):
    """Stands for a machine that stops."""


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_resumed_run_equals_one_without_a_break_bit_for_bit(
    train, tmp_path, monkeypatch, accumulate
):
    whole = train("whole", max_steps=6, accumulate=accumulate)
    step, seen = modules.TrainingModule.training_step, []

    def recorded(self, batch, batch_idx):
        seen.append(batch.values.sum().item())
        return step(self, batch, batch_idx)

    def breaking(self, batch, batch_idx):
        if len(seen) == 5 * accumulate:
            raise BreakDownError
        return recorded(self, batch, batch_idx)

    monkeypatch.setattr(modules.TrainingModule, "training_step", recorded)
    train("again", max_steps=6, accumulate=accumulate)
    order = seen.copy()
    seen.clear()
    monkeypatch.setattr(modules.TrainingModule, "training_step", breaking)
    # Stops in step 6; the last checkpoint is that after step 4.
    with pytest.raises(BreakDownError):
        train("parts", max_steps=6, accumulate=accumulate)
    seen.clear()
    monkeypatch.setattr(modules.TrainingModule, "training_step", recorded)
    resumed = train("parts", max_steps=6, accumulate=accumulate, resume=True)
    assert seen == order[4 * accumulate :]
    assert torch.equal(weights(resumed), weights(whole))
    saved = [
        torch.load(tmp_path / name / CHECKPOINTS / LAST, weights_only=True)
        for name in ("whole", "parts")
    ]
    assert saved[0]["lr_schedulers"] == saved[1]["lr_schedulers"]
    assert saved[0]["global_step"] == saved[1]["global_step"] == 6
    states = [
        torch.cat(
            [v.flatten() for s in ckpt["optimizer_states"][0]["state"].values() for v in s.values()]
        )
        for ckpt in saved
    ]
    assert torch.equal(*states)


def published(names) -> PublishedAViT:
    return PublishedAViT(names, slots=5, width=16, heads=2, depth=2, history=2, drop=0.7)


def wide(ds):
    """The system as noise on a grid of two patches of the published model."""
    rng = np.random.default_rng(0)
    grid = {"x": ("x", np.arange(32.0), ds["x"].attrs), "y": ("y", np.arange(16.0), ds["y"].attrs)}
    made = ds.isel(x=np.arange(32) % 8, y=np.arange(16) % 8).assign_coords(grid)
    return made.map(lambda field: field + rng.standard_normal(field.shape), keep_attrs=True)


def test_a_resumed_run_repeats_what_the_model_draws(train, make_system, monkeypatch):
    datasets = [wide(make_system("drift")), wide(make_system("reaction", {"tracer": "activator"}))]
    options = {"datasets": datasets, "model": published, "max_steps": 4, "accumulate": 2}
    options |= {"rollouts": 0.0}
    whole = train("whole", **options)
    step, seen = modules.TrainingModule.training_step, []

    def breaking(self, batch, batch_idx):
        seen.append(batch_idx)
        if len(seen) == 6:
            raise BreakDownError
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(modules.TrainingModule, "training_step", breaking)
        with pytest.raises(BreakDownError):
            train("parts", **options)
    torch.rand(7)
    resumed = train("parts", **options, resume=True)
    assert torch.isfinite(weights(whole)).all()
    assert torch.equal(weights(resumed), weights(whole))


def test_the_published_model_gets_a_slot_for_every_field_of_every_system(train, make_system):
    datasets = [wide(make_system("drift")), wide(make_system("reaction", {"tracer": "activator"}))]
    model = train(datasets=datasets, model=published, max_steps=1, rollouts=0.0)
    assert model.table == {
        "drift": {"tracer": 0, "velocity_x": 1},
        "reaction": {"activator": 2, "velocity_x": 3},
    }
    with pytest.raises(InputError, match="give more slots"):
        train(datasets=datasets, model=lambda names: PublishedAViT(names, 3, 16, 2, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": published}, "PublishedAViT cannot be trained on its rollouts; set rollouts to"),
        ({"rollouts": 1.5}, "rollouts is 1.5; give a share"),
        (
            {"model": published, "rollouts": 0.0, "checkpointing": True},
            "checkpointing is of the default model only, and this is PublishedAViT",
        ),
    ],
)
def test_what_a_model_cannot_do_is_refused(train, make_system, options, message):
    with pytest.raises(InputError, match=message):
        train(datasets=[wide(make_system("drift"))], **options)


def test_recomputed_blocks_train_to_the_same_weights(train):
    torch.testing.assert_close(weights(train("anew", checkpointing=True)), weights(train("kept")))


def test_a_compiled_model_is_one_graph(train, monkeypatch):
    # What is compiled, and that it is one graph, is a law of test_contract; kernels take minutes.
    asked = []
    monkeypatch.setattr(AxialTransformer, "compile", lambda self, **options: asked.append(options))
    train(compiled=True)
    assert asked == [{"fullgraph": True}]


def test_the_same_seed_gives_the_same_weights_and_another_does_not(train):
    first = weights(train("first", seed=3))
    assert torch.equal(first, weights(train("again", seed=3)))
    assert not torch.equal(first, weights(train("other", seed=4)))


CHANGES = {
    "batch_size": 3,
    "weights": [1.0, 0.0],
    "held_out": 0.6,
    "max_steps": 3,
    "lr": 1e-3,
    "weight_decay": 0.5,
    "seed": 1,
    "precision": "bf16-mixed",
    "accumulate": 2,
    "rollouts": 1.0,
    "loss": nmse_loss,
    "optimizer": DecayArrays(torch.optim.AdamW),
    "schedule": Trapezoid(warmup=0.5),
}


def test_every_option_is_covered():
    elsewhere = {"datasets", "out", "model", "workers", "validate_every", "resume"}
    elsewhere |= {"checkpointing", "compiled", "on_bad_loss", "skip_limit"}
    elsewhere |= {"devices", "num_nodes", "strategy"}
    assert set(inspect.signature(pretrain).parameters) == elsewhere | CHANGES.keys()


@pytest.fixture
def usual(train):
    return weights(train("usual"))


@pytest.mark.parametrize("option", CHANGES)
def test_every_option_changes_the_result(train, usual, option):
    assert not torch.equal(usual, weights(train("other", **{option: CHANGES[option]})))


def test_validation_changes_nothing_but_when_it_is_logged(train, usual, tmp_path):
    assert torch.equal(usual, weights(train("often", validate_every=1)))
    validated = [int(row["step"]) for row in rows(tmp_path / "often") if row["val"]]
    assert len(validated) == 4


def test_the_metrics_name_every_system(train, tmp_path):
    train()
    last = [row for row in rows(tmp_path / "run") if row["val"]][-1]
    values = [float(last[f"val/{name}"]) for name in ("drift", "reaction")]
    assert float(last["val"]) == pytest.approx(sum(values) / 2)


def test_a_resumed_run_keeps_the_metrics_from_before_the_break(train, tmp_path, monkeypatch):
    train("whole", max_steps=6)
    step = modules.TrainingModule.training_step

    def breaking(self, batch, batch_idx):
        if self.global_step == 5:
            raise BreakDownError
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(modules.TrainingModule, "training_step", breaking)
        with pytest.raises(BreakDownError):
            train("parts", max_steps=6)
    train("parts", max_steps=6, resume=True)
    timed = ("windows_per_second", "data_wait")
    whole, parts = (
        [{key: value for key, value in row.items() if key not in timed} for row in rows(folder)]
        for folder in (tmp_path / "whole", tmp_path / "parts")
    )
    assert whole == parts
    assert [row["step"] for row in parts if row["val"]] == ["1", "3", "5"]


def test_the_metrics_say_how_fast_it_was_and_how_long_it_waited(train, tmp_path):
    train()
    timed = [row for row in rows(tmp_path / "run") if row["data_wait"]]
    assert timed
    for row in timed:
        assert 0 < float(row["data_wait"]) < 1
        assert float(row["windows_per_second"]) > 0


def test_the_card_says_what_the_model_was_trained_on(train):
    model = train()
    assert model.card["systems"] == ["drift", "reaction"]
    assert model.card["fields"]["tracer"]["units"] == "kg m-3"
    recipe = model.card["recipe"]
    assert recipe["steps"] == 4
    assert [recipe[key] for key in ("loss", "optimizer", "schedule")] == [
        "change_loss",
        "muon_adamw",
        "Trapezoid(warmup=0.05, decay=0.5)",
    ]
    assert not model.training
    assert model.names == ("tracer", "velocity_x", "activator")


def test_training_on_one_batch_over_and_over_learns_it(train, make_system, tmp_path):
    ds = make_system("drift", samples=2)
    options = {"batch_size": 5, "validate_every": 90, "max_steps": 90, "lr": 2e-2}
    train(datasets=[ds], held_out=0.5, **options)
    losses = [float(row["loss"]) for row in rows(tmp_path / "run") if row["loss"]]
    assert losses[-1] < 0.5 * losses[0]


def test_one_run_is_trained_on_its_first_part(train, make_system):
    ds = make_system("drift", samples=1)
    assert train(datasets=[ds], held_out=0.2) is not None


def test_starting_anew_forgets_what_was_there(train, tmp_path, monkeypatch):
    train("run", seed=5)
    last = tmp_path / "run" / CHECKPOINTS / LAST

    def breaking(self, batch, batch_idx):
        raise BreakDownError

    with monkeypatch.context() as patch:
        patch.setattr(modules.TrainingModule, "training_step", breaking)
        with pytest.raises(BreakDownError):
            train("run", seed=6)
    assert not last.exists()


def test_an_interruption_is_passed_on(train, monkeypatch):
    def interrupted(self, batch, batch_idx):
        raise KeyboardInterrupt

    monkeypatch.setattr(modules.TrainingModule, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps": 0}, "max_steps is 0"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"validate_every": 0}, "validate_every is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"weights": [1.0]}, "1 weights for 2 datasets"),
        ({"held_out": 1.0}, "held_out is 1.0"),
    ],
)
def test_what_cannot_work_is_refused_by_name(train, options, message):
    with pytest.raises(InputError, match=message):
        train(**options)


def test_two_datasets_of_one_system_are_refused(train, make_system):
    with pytest.raises(InputError, match="give each its own name"):
        train(datasets=[make_system("drift"), make_system("drift")])


def test_no_dataset_is_refused(two_systems, make_model, tmp_path):
    with pytest.raises(InputError, match="at least one dataset"):
        pretrain([], tmp_path, model=make_model)
