"""Laws of the budget: a run ends where it should, and its rate reaches its end with it."""

import csv
import time
from types import SimpleNamespace

import pytest
import torch

from mpp.errors import InputError
from mpp.train.budget import Budget
from mpp.train.datamodule import MixtureData
from mpp.train.fit import fit
from mpp.train.modules import TrainingModule


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless a test moves it."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def timed(make_model, two_systems, clock, monkeypatch):
    """A training in which every optimizer step takes six seconds."""
    data = MixtureData(two_systems[:1], two_systems[:1], history=3, batch_size=4)
    rates = []
    step = TrainingModule.optimizer_step

    def slow(self, epoch, batch_idx, optimizer, *more, **options):
        rates.append(optimizer.param_groups[0]["lr"])
        step(self, epoch, batch_idx, optimizer, *more, **options)
        clock[0] += 6

    monkeypatch.setattr(TrainingModule, "optimizer_step", slow)

    def run(out, *, stop_at=None, **options):
        rates.clear()
        torch.manual_seed(0)
        module = TrainingModule(make_model(("tracer", "velocity_x")), lr=1.0)
        if stop_at is not None:
            whole = module.on_train_batch_end

            def stop(*args):
                whole(*args)
                if module.steps == stop_at:
                    raise KeyboardInterrupt

            module.on_train_batch_end = stop
        return fit(module, data, out, **options), list(rates), module

    return run


def test_the_rate_reaches_its_end_when_minutes_bind(timed, tmp_path):
    budget, rates, module = timed(tmp_path, max_steps=None, max_minutes=1.0, validate_every=4)
    # A minute is ten steps of six seconds, and the rate falls over the second half.
    assert (budget.ended, module.steps) == ("minutes", 10)
    assert rates[5:] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    with (tmp_path / "metrics.csv").open() as file:
        validated = [int(row["step"]) + 1 for row in csv.DictReader(file) if row["val"]]
    assert validated == [4, 8, 10]


def test_steps_bind_where_they_are_fewer(timed, tmp_path):
    both, rates, _ = timed(tmp_path / "both", max_steps=8, max_minutes=60.0, validate_every=8)
    assert both.ended == "steps"
    _, alone, _ = timed(tmp_path / "alone", max_steps=8, validate_every=8)
    assert rates == alone


def test_a_resumed_run_has_the_minutes_that_were_left(timed, tmp_path, clock):
    with pytest.raises(KeyboardInterrupt):
        timed(tmp_path, max_steps=None, max_minutes=1.0, validate_every=3, stop_at=7)
    clock[0] += 1e6  # nobody counts the time in between
    budget, rates, module = timed(
        tmp_path, max_steps=None, max_minutes=1.0, validate_every=3, resume=True
    )
    # The checkpoint is of the sixth step: four are left, at the rates that they would have had.
    assert (budget.ended, module.steps) == ("minutes", 10)
    assert rates == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert budget.seconds == pytest.approx(60)


def validated(budget: Budget, step: int, error: float) -> bool:
    """Whether a validation with this error ends the run."""
    trainer = SimpleNamespace(global_step=step, callback_metrics={"val": error}, should_stop=False)
    budget.on_validation_end(trainer, None)
    return trainer.should_stop


def test_a_run_that_gets_no_better_for_its_patience_ends():
    budget = Budget(steps=100, patience=0.3)
    assert not validated(budget, 10, 0.5)
    assert not validated(budget, 20, 0.4)
    assert not validated(budget, 49, 0.4)
    assert validated(budget, 50, 0.6)
    assert budget.ended == "patience"


def test_patience_begins_anew_with_every_best_and_survives_a_break():
    budget = Budget(steps=100, patience=0.3)
    for step in range(10, 100, 10):
        assert not validated(budget, step, 1 / step)
    again = Budget(steps=100, patience=0.3)
    again.load_state_dict(budget.state_dict())
    assert again.best == (1 / 90, 0.9)


def test_a_run_without_a_finite_error_ends_and_one_without_patience_does_not():
    assert validated(Budget(steps=10, patience=0.5), 5, float("nan"))
    assert not validated(Budget(steps=10), 9, float("nan"))


def test_a_run_that_ended_early_ends_again_when_it_is_resumed(make_model, two_systems, tmp_path):
    data = MixtureData(two_systems[:1], two_systems[:1], history=3, batch_size=4)
    ends = []
    for resume in (False, True):
        torch.manual_seed(0)
        # A rate at which no validation is better than the first.
        module = TrainingModule(make_model(("tracer", "velocity_x")), lr=3.0)
        budget = fit(
            module, data, tmp_path, 20, validate_every=2, patience=0.2, resume=resume
        )  # fmt: skip
        ends.append((budget.ended, module.steps))
    assert ends[0][0] == "patience"
    assert ends[0] == ends[1]
    assert ends[0][1] < 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a run needs an end"),
        ({"steps": 0}, "max_steps is 0"),
        ({"minutes": 0.0}, "max_minutes is 0"),
        ({"minutes": float("nan")}, "max_minutes is nan"),
        ({"steps": 1, "patience": 0.0}, "patience is 0"),
        ({"steps": 1, "patience": 2.0}, "patience is 2"),
    ],
)
def test_what_is_no_budget_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        Budget(**options)


def test_a_schedule_is_told_a_number_where_steps_are_the_only_limit(
    make_model, two_systems, tmp_path
):
    told = []

    def schedule(optimizer, steps):
        told.append(steps)
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    data = MixtureData(two_systems[:1], two_systems[:1], history=3, batch_size=4)
    module = TrainingModule(make_model(("tracer", "velocity_x")), schedule=schedule)
    fit(module, data, tmp_path, max_steps=3)
    assert told == [3]
