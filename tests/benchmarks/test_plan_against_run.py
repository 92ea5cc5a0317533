"""The benchmark of what was planned against what was run."""

import json

import pytest


@pytest.mark.slow
def test_the_benchmark_runs(command):
    done = command("plan_against_run", "--quick", "--steps", "4", "--json", "-")
    assert done.status == 0
    found = json.loads(done.out)
    (case,) = found["cases"]
    assert found["ratio"] in (case["time_ratio"], case["memory_ratio"])
    assert case["planned_seconds"] == pytest.approx(case["time_ratio"] * case["measured_seconds"])
    assert case["planned_bytes"] > 4 * 3 * case["parameters"]
