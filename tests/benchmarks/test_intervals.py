"""The benchmark of intervals, on the checkpoint that is shipped and a few runs of Gray-Scott."""

import json
from pathlib import Path

import pytest

from mpp.data.generate import generate

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_half_of_the_runs_calibrate_and_the_others_are_asked(command, tmp_path):
    pytest.importorskip("exponax")
    path = generate(
        ROOT / "datasets" / "gray_scott", tmp_path, trajectories=6, split="test", workers=1
    )
    found, kept = (
        json.loads(command("intervals", "--data", path, "--json", "-", *more).out)
        for more in ((), ("--kept",))
    )
    assert [row["name"] for row in found["numbers"]] == ["feed", "kill"]
    assert {row["runs"] for row in found["numbers"]} == {3}
    assert {row["runs"] for row in kept["numbers"]} == {6}
    held = [row["held"] for row in found["numbers"]]
    assert found["ratio"] == pytest.approx(sum(held) / 2 / 0.9)
    # The shipped model reads the kill rate: far better than naming the median of all runs.
    assert kept["numbers"][1]["error"] < kept["numbers"][1]["guess"]


def test_a_missing_file_is_one_line(command, tmp_path):
    told = command("intervals", "--data", tmp_path / "nothing.nc")
    assert told.status == 2
    assert "nothing.nc" in told.err.splitlines()[-1]
