"""The benchmark of transfer: what its ratio is, and that it runs and goes on from what it kept."""

import json

import numpy as np
import pytest

from mpp.study.compare import compare


@pytest.fixture
def benchmark(scripts):
    return scripts("transfer")


def test_the_ratio_is_the_median_of_the_efficiency_gains(benchmark, study_result):
    # Finetuned as good as scratch on 2, 4 and 16 times as many runs: 64 are matched with 32, 16, 4.
    found = {f"t{k}": compare(study_result(times=k), (1, 5)) for k in (2.0, 4.0, 16.0)}
    result = benchmark.summary(found)
    assert result["ratio"] == pytest.approx(4)
    assert result["ratio_by_step"] == {"1": pytest.approx(4), "5": pytest.approx(4)}
    assert result["targets"]["t16.0"]["5"]["ratio"] == pytest.approx(16)
    assert result["negative_transfer"] == []


def test_bounds_count_as_the_least_they_can_mean(benchmark, study_result):
    # 64 runs' worth of head start in 1 run and more; and one that 64 finetuned runs do not match.
    ahead, behind = (compare(study_result(times=times), (1,)) for times in (100.0, 0.5))
    assert benchmark.summary({"a": ahead})["ratio"] == 64
    assert benchmark.summary({"b": behind})["ratio"] == 0
    assert benchmark.summary({"a": ahead, "b": behind})["ratio"] == 32


def test_negative_transfer_is_listed_and_what_diverged_is_json(benchmark, study_result):
    ds = study_result()
    ds["vrmse"].loc[{"arm": "finetuned", "size": 8, "field": "height", "seed": 0}] = np.nan
    result = benchmark.summary({"shallow_water": compare(ds, (1,))})
    places = [(row["field"], row["runs"], row["finetuned"]) for row in result["negative_transfer"]]
    # The mean of the fields is harmed with its field.
    assert places == [("height", 8, None), ("mean of fields", 8, None)]
    json.dumps(result, allow_nan=False)


@pytest.mark.slow
def test_it_runs_and_goes_on_from_what_it_kept(command, tmp_path):
    pytest.importorskip("exponax")
    words = ["--quick", "--keep", tmp_path]
    assert command("transfer", *words, "--json", tmp_path / "found.json").status == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["ratio"] >= 0
    assert set(found["targets"]) == {"cahn_hilliard", "wave_equation"}
    assert found["targets"]["wave_equation"]["1"]["sizes"] == [1, 2]
    assert {"commit", "versions", "processor", "study", "seconds"} <= set(found)
    cells = sorted((tmp_path / "quick" / "study" / "cells").rglob("*.nc"))
    # Two targets, two arms, two sizes and two seeds.
    assert len(cells) == 16
    before = [cell.stat().st_mtime_ns for cell in cells]
    again = command("transfer", *words)
    assert again.status == 0
    assert [cell.stat().st_mtime_ns for cell in cells] == before
    assert "runs of a new system that pretraining saves" in again.out
    assert (tmp_path / "quick" / "study" / "report.md").is_file()
