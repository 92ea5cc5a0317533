"""Laws of what a training says of itself: who is neglected, and how long it waits for data."""

import logging
import time
from types import SimpleNamespace

import pytest

from mpp.train.watch import Neglect, Throughput

SYSTEMS = ("drift", "reaction")


@pytest.fixture
def validated(caplog):
    def run(watch: Neglect, step: int, drift: float, reaction: float) -> list[str]:
        """What is said after a validation with these errors."""
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            watch.on_validation_end(*after(step, drift, reaction))  # type: ignore[arg-type]
        return [record.getMessage() for record in caplog.records]

    return run


def after(step: int, drift: float, reaction: float):
    metrics = {
        "val/drift": drift,
        "val/reaction": reaction,
        "val": (drift + reaction) / 2,
    }
    trainer = SimpleNamespace(callback_metrics=metrics, global_step=step)
    data = SimpleNamespace(systems=SYSTEMS)
    module = SimpleNamespace(data=data, progress=lambda: step / 100)
    return trainer, module


def test_a_system_that_gets_worse_while_the_mean_gets_better_is_named_once(validated):
    watch = Neglect()
    assert validated(watch, 10, 0.8, 0.4) == []
    (said,) = validated(watch, 20, 0.3, 0.5)
    assert "reaction is being sacrificed" in said
    assert "from 0.4 to 0.5 while the mean fell to 0.4" in said
    assert validated(watch, 30, 0.2, 0.5) == []
    assert validated(watch, 40, 0.2, 0.4) == []
    assert len(validated(watch, 50, 0.05, 0.5)) == 1


def test_a_bad_validation_of_all_is_not_a_sacrifice(validated):
    watch = Neglect()
    validated(watch, 10, 0.4, 0.4)
    assert validated(watch, 20, 0.5, 0.5) == []


def test_a_rise_within_a_tenth_is_noise(validated):
    watch = Neglect()
    validated(watch, 10, 0.8, 0.4)
    assert validated(watch, 20, 0.3, 0.43) == []


def test_what_is_no_better_than_copying_is_named_once_the_run_is_under_way(validated):
    watch = Neglect()
    assert validated(watch, 24, 1.2, 0.5) == []
    (said,) = validated(watch, 25, 1.2, 0.5)
    assert "step 25: drift is predicted no better than by copying" in said


def test_what_was_seen_before_a_break_is_remembered(validated):
    before, after = Neglect(), Neglect()
    validated(before, 10, 0.8, 0.4)
    after.load_state_dict(before.state_dict())
    assert len(validated(after, 20, 0.3, 0.5)) == 1


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_the_time_between_batches_is_waiting_and_validations_do_not_count(clock):
    logged = {}
    module = SimpleNamespace(log=lambda name, value, **_: logged.update({name: value}))
    watch = Throughput()
    watch.on_train_start(None, None)  # type: ignore[arg-type]

    def batch(wait: float, work: float) -> None:
        clock[0] += wait
        watch.on_train_batch_start(None, None, None, 0)  # type: ignore[arg-type]
        clock[0] += work
        watch.on_train_batch_end(None, module, None, SimpleNamespace(samples=2), 0)  # type: ignore[arg-type]

    batch(100, 3)  # the first one waits for what is not this run's data
    batch(1, 4)
    assert logged == {"windows_per_second": 4 / 8, "data_wait": 1 / 8}
    watch.on_validation_end(None, None)  # type: ignore[arg-type]
    batch(50, 2)
    assert logged == {"windows_per_second": 1.0, "data_wait": 0.0}
