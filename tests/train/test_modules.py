"""Laws of the training module: the first step moves all that should move; NaN stays a NaN."""

import pytest
import torch

from mpp.model.surrogate import Persistence
from mpp.schema import BOUNDARY_KINDS
from mpp.train.datamodule import MixtureData
from mpp.train.fit import fit
from mpp.train.loss import nmse_loss
from mpp.train.modules import TrainingModule


@pytest.fixture
def data(two_systems):
    return MixtureData(two_systems[:1], two_systems[:1], history=3, batch_size=4)


def test_every_parameter_moves_in_the_first_step(data, make_model, tmp_path):
    torch.manual_seed(0)
    model = make_model(("tracer", "velocity_x"))
    model.learn_numbers(data.transforms())
    before = {name: value.clone() for name, value in model.named_parameters()}
    # No decay: what moves is moved by its gradient.
    fit(TrainingModule(model, weight_decay=0), data, tmp_path, max_steps=1)
    still = [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
    assert still == []


def test_what_does_not_occur_in_the_data_does_not_move(data, make_model, tmp_path):
    model = make_model(("tracer", "velocity_x", "pressure"))
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit(TrainingModule(model), data, tmp_path, max_steps=2)
    moved = dict(model.named_parameters())
    # The example is periodic along x and has a wall below and an open side above along y.
    sides = (moved["boundary.sides"] != before["boundary.sides"]).any(-1)
    touched = {(int(axis), BOUNDARY_KINDS[kind], int(side)) for axis, kind, side in sides.nonzero()}
    assert touched == {(1, "wall", 0), (1, "open", 1)}
    for name in ("embed.2.rows", "readout.2.rows", "readout.2.bias", "speed"):
        rows = (moved[name] != before[name]).flatten(1) if moved[name].ndim > 1 else None
        changed = rows.any(1) if rows is not None else moved[name] != before[name]
        assert changed.tolist() == [True, True, False], name


def logged(module, data) -> dict[str, float]:
    """What one validation logs."""
    module.trainer = type("Trainer", (), {"datamodule": data})()
    module.setup("fit")
    found = {}
    module.log = lambda name, value, **_: found.update({name: float(value)})
    for number, loader in enumerate(data.val_dataloader()):
        for batch in loader:
            module.validation_step(batch, 0, number)
    module.on_validation_epoch_end()
    return found


def validate(module, data):
    return logged(module, data)["val"]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_every_other_batch_at_the_end_is_rolled_out(data, make_model, tmp_path, share, monkeypatch):
    rolled, plain = [], []
    module = TrainingModule(make_model(("tracer", "velocity_x")), rollouts=share)
    free_run, predict = module.model.free_run, module.model.predict

    def watched(batch, given):
        rolled.append((module.global_step, batch.frames, given))
        return free_run(batch, given)

    monkeypatch.setattr(module.model, "free_run", watched)
    monkeypatch.setattr(
        module.model, "predict", lambda batch: (plain.append(module.global_step), predict(batch))[1]
    )
    fit(module, data, tmp_path, max_steps=8, validate_every=8)
    # Of windows of four frames the last is a target only, and two are given.
    first = int(8 * (1 - share))
    assert rolled == [(step, 3, 2) for step in range(8) if step >= first and step % 2 == 0]
    assert set(range(8)) - {step for step, *_ in rolled} <= set(plain)


@pytest.mark.parametrize("unroll", [1, 2, 4])
def test_a_rollout_takes_as_many_steps_on_its_own_frames_as_asked(
    make_system, make_model, tmp_path, unroll, monkeypatch
):
    ds = make_system("drift")
    data = MixtureData([ds], [ds], history=5, batch_size=4)
    module = TrainingModule(make_model(("tracer", "velocity_x")), rollouts=1.0, unroll=unroll)
    seen, advance = [], module.model.advance

    def watched(batch, state):
        if module.trainer.training:
            seen.append((batch.frames, state is None))
        return advance(batch, state)

    monkeypatch.setattr(module.model, "advance", watched)
    fit(module, data, tmp_path, max_steps=1)
    # A window has six frames, of which the last is a target only.
    assert seen == [(5 - unroll, True), *[(1, False)] * unroll]


class Broken(Persistence):
    def forward(self, batch):
        return batch.values * float("nan")


def test_copying_scores_about_one_and_a_diverged_model_scores_nan(data):
    # The last step of a window changes about as much as its steps on average.
    assert validate(TrainingModule(Persistence()), data) == pytest.approx(1, abs=0.2)
    assert validate(TrainingModule(Broken()), data) != validate(TrainingModule(Broken()), data)


def test_the_score_does_not_depend_on_the_loss(data):
    usual = validate(TrainingModule(Persistence()), data)
    assert validate(TrainingModule(Persistence(), loss=nmse_loss), data) == usual


def test_the_score_is_the_mean_over_windows_not_over_batches(two_systems):
    scores = []
    for batch_size in (1, 3, 8):
        data = MixtureData(two_systems[:1], two_systems[:1], history=3, batch_size=batch_size)
        scores.append(validate(TrainingModule(Persistence()), data))
    assert scores == pytest.approx([scores[0]] * 3, rel=1e-5)


def test_errors_are_logged_by_system_field_and_lead_time(two_systems):
    data = MixtureData(two_systems, two_systems, history=6, batch_size=3)
    values = logged(TrainingModule(Persistence()), data)
    # Copying scores 1 by definition where a rollout's error is measured, field by field.
    later = {name: value for name, value in values.items() if name.endswith("/5")}
    assert later == pytest.approx(
        {
            f"val/{name}/5": 1
            for name in (
                "drift",
                "drift/tracer",
                "drift/velocity_x",
                "reaction",
                "reaction/activator",
                "reaction/velocity_x",
            )
        }
    )
    fields = [values[f"val/drift/{name}/1"] for name in ("tracer", "velocity_x")]
    assert fields[0] != fields[1]
    assert values["val/drift"] == pytest.approx(sum(fields) / 2)
    assert values["val"] == pytest.approx((values["val/drift"] + values["val/reaction"]) / 2)


def test_the_later_error_is_that_of_a_rollout(two_systems, make_model):
    torch.manual_seed(0)
    data = MixtureData(two_systems[:1], two_systems[:1], history=7, batch_size=4)
    model = make_model(("tracer", "velocity_x")).eval()
    found = logged(TrainingModule(model), data)["val/drift/5"]
    batch = next(iter(data.val_dataloader()[0]))
    # Eight frames: three are given, and the fifth prediction is the eighth.
    predicted = list(model.forecast(batch.window(0, 3), 5))[-1]
    wrong = (predicted - batch.values[:, -1]).square().mean((2, 3))
    moved = (batch.values[:, 2] - batch.values[:, -1]).square().mean((2, 3))
    assert found == pytest.approx(float((wrong / moved).sqrt().mean()), rel=1e-4)


def test_a_window_too_short_for_the_rollout_logs_one_step_alone(two_systems, make_model):
    data = MixtureData(two_systems[:1], two_systems[:1], history=6, batch_size=4)
    values = logged(TrainingModule(make_model(("tracer", "velocity_x"))), data)
    assert values.keys() == {"val", "val/drift", "val/drift/tracer/1", "val/drift/velocity_x/1"}


def test_a_still_field_trains_to_finite_weights(make_system, make_model, tmp_path):
    ds = make_system("drift")
    ds["velocity_x"][:] = 0
    data = MixtureData([ds], [ds], history=3, batch_size=4)
    model = make_model(("tracer", "velocity_x"))
    model.set_scales(data.field_scales())
    fit(TrainingModule(model), data, tmp_path, max_steps=3)
    assert all(torch.isfinite(value).all() for value in model.parameters())
