"""The benchmarks of the two models: what their numbers mean, and that they run."""

import json
from dataclasses import replace

import pytest
import torch


@pytest.fixture
def script(scripts):
    return scripts


def test_both_models_have_as_many_parameters(script):
    contenders = script("contenders")
    with torch.device("meta"):
        published = contenders.parameters(contenders.FULL.build_published())
        default = contenders.parameters(contenders.FULL.build_default())
    assert published == 7_285_884  # the released Ti
    assert abs(default / published - 1) < 0.05


def test_a_published_rollout_continues_like_its_forecast(script):
    contenders = script("contenders")
    # In double precision: in single, random weights amplify the order of sums beyond the tolerance.
    model = contenders.TINY.build_published().double().eval()
    history = contenders.TINY.batch(1, 3)
    history = replace(history, values=history.values.double())
    mine = torch.stack(list(contenders.published_rollout(model, history, 3)))
    torch.testing.assert_close(mine, torch.stack(list(model.forecast(history, 3))))


def test_tasks_take_turns_and_the_first_round_does_not_count(script):
    order = []
    tasks = {name: lambda name=name: order.append(name) for name in ("one", "two")}
    timings = script("measuring").alternate(tasks, rounds=2)
    assert order == ["one", "two"] * 3
    assert [len(found) for found in timings.values()] == [2, 2]


def test_a_ratio_is_taken_round_by_round(script):
    measuring = script("measuring")
    # The machine slows down threefold; the second task is 2, 2 and 4 times faster.
    slow = [measuring.Timing(wall, 1.0) for wall in (2.0, 6.0, 6.0)]
    fast = [measuring.Timing(wall, 0.25) for wall in (1.0, 3.0, 1.5)]
    found = measuring.compare(slow, fast)
    assert found == {"ratio": 2.0, "ratio_interquartile": [2.0, 3.0], "cpu_ratio": 4.0}


def test_speed_in_closed_form(script):
    measuring = script("measuring")
    # Two threads that work all the time; half of each task is one unit.
    timings = [measuring.Timing(wall, 2 * wall).per(2) for wall in (1.0, 2.0, 4.0)]
    found = measuring.speed(timings, gflop=3.0, peak=5.0)
    assert found["per_second"] == {"median": 1.0, "interquartile": [0.75, 1.5]}
    assert found["seconds"]["median"] == 1.0
    assert found["flop_utilization"] == pytest.approx(3.0 / 2.0 / 5.0)  # per second of a core
    found = measuring.speed(timings, gflop=3.0, peak=5.0, device="cuda")
    assert found["flop_utilization"] == pytest.approx(3.0 / 1.0 / 5.0)


@pytest.mark.parametrize(("wanted", "chosen"), [("auto", "float32"), ("bfloat16", "bfloat16")])
def test_bfloat16_is_chosen_where_it_pays_or_is_asked_for(script, wanted, chosen):
    measuring = script("measuring")
    assert measuring.choose_precision(wanted, {"float32": 78.0, "bfloat16": 1.0}) == chosen
    assert measuring.choose_precision("auto", {"float32": 1.0, "bfloat16": 4.0}) == "bfloat16"


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--rounds", "0"], "at least 1"), (["--device", "cuda"], "no GPU"), (["--steps", "0"], "1")],
)
def test_a_wrong_option_is_one_line(command, monkeypatch, words, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    told = command("rollout", *words)
    assert told.status == 2
    assert said in told.err.splitlines()[-1]


def test_rollout_writes_one_object(command, tmp_path):
    target = tmp_path / "rollout.json"
    words = ["--quick", "--rounds", "1", "--steps", "4", "2", "--json", target]
    assert command("rollout", *words).status == 0
    found = json.loads(target.read_text())
    assert list(found["models"]) == ["published", "default, 2 steps", "default, 4 steps"]
    longest = found["models"]["default, 4 steps"]
    assert found["ratio"] == longest["ratio"] > 0
    # One round: the ratio is that of the two speeds.
    speeds = [found["models"][name]["per_second"]["median"] for name in list(found["models"])[::2]]
    assert found["ratio"] == pytest.approx(speeds[1] / speeds[0])
    assert {"machine", "versions", "commit", "command", "bfloat16_pays"} <= set(found)


@pytest.mark.slow
def test_step_writes_one_object_or_a_table(command, script, monkeypatch):
    done = command("step", "--quick", "--rounds", "1", "--json", "-")
    assert done.status == 0
    found = json.loads(done.out)
    memory = [found["models"][name]["training_mib"] for name in ("published", "default")]
    assert found["memory_ratio"] is None or found["memory_ratio"] == memory[1] / memory[0]
    assert found["ratio"] == found["models"]["default"]["ratio"] > 0
    monkeypatch.setattr(script("step"), "measure", lambda arguments: found)
    shown = command("step", "--quick", "--rounds", "1")
    assert shown.status == 0
    assert "training windows per second" in shown.out
