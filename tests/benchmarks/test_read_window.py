"""The benchmark of reading runs, and a file six times as large costs no more memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "read_window.py"


@pytest.mark.slow
def test_peak_memory_does_not_follow_the_size_of_the_file():
    found = []
    for gib in ("0.05", "0.3"):
        words = [sys.executable, str(SCRIPT), "--gib", gib, "--json", "-"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    small, large = found
    assert large["file_mib"] > 5 * small["file_mib"]
    assert large["peak_mib"] < small["peak_mib"] + 20  # 256 MiB more in the file
    assert large["ratio"] == large["peak_mib"] / large["file_mib"]
