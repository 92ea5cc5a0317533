"""The benchmark of what was planned against what was run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "plan_against_run.py"


@pytest.mark.slow
def test_the_benchmark_runs():
    words = [sys.executable, str(SCRIPT), "--quick", "--steps", "4", "--json", "-"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    (case,) = found["cases"]
    assert found["ratio"] in (case["time_ratio"], case["memory_ratio"])
    assert case["planned_seconds"] == pytest.approx(case["time_ratio"] * case["measured_seconds"])
    assert case["planned_bytes"] > 4 * 3 * case["parameters"]
