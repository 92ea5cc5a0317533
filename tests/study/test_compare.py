"""Laws of the comparison: closed forms on power laws, and nothing negative left unsaid."""

import numpy as np
import pytest
import xarray as xr

from mpp.errors import InputError
from mpp.schema import example
from mpp.study.compare import (
    TOGETHER,
    budget,
    columns,
    compare,
    headlines,
    tuned_arms,
    verdict,
)  # fmt: skip


def test_on_power_laws_gains_are_the_head_start(study_result):
    # Finetuned on n is as good as scratch on 4 n, with errors as n^-1/2.
    for part in compare(study_result(times=4, power=0.5), (1, 5)):
        np.testing.assert_allclose(part.accuracy_gains, 2)
        assert part.efficiency_gains[-1].value == pytest.approx(4)
        assert (part.needed.value, part.needed.sign) == (pytest.approx(16), "")
        assert part.worse == ()


def test_errors_are_means_over_test_runs_and_the_fields_stay_apart(study_result):
    found = {(part.field, part.step): part for part in compare(study_result(), (1, 3))}
    assert list(found) == [
        (field, step) for step in (1, 3) for field in ("height", "velocity_x", TOGETHER)
    ]
    # 0.2 n^-1/2 (1 + 0.1 s), times the step, times the number of the field; runs 0.9 and 1.1.
    np.testing.assert_allclose(found["height", 1].scratch[2], 0.1 * np.array([1, 1.1, 1.2]))
    np.testing.assert_allclose(found["velocity_x", 3].scratch[2], 0.6 * np.array([1, 1.1, 1.2]))
    np.testing.assert_allclose(found[TOGETHER, 1].scratch[2], 0.15 * np.array([1, 1.1, 1.2]))
    assert found["velocity_x", 3].persistence == pytest.approx(0.3 * 2 * 3)
    assert found["height", 3].lead_time == "1.5 s"


def test_the_last_step_stands_in_for_later_ones(study_result):
    assert [part.step for part in headlines(compare(study_result(), (1, 20, 100)))] == [1, 5]


def test_fields_in_their_own_units_have_no_mean(study_result):
    fields = {part.field for part in compare(study_result(), (1,), "rmse")}
    assert fields == {"height", "velocity_x"}


def test_no_negative_transfer_is_said_as_well(study_result):
    lines = verdict(compare(study_result(), (1, 5)))
    assert lines[0] == (
        "mean of fields, 0.5 s (step 1): scratch on 64 runs is matched with 16 finetuned (EG 4); "
        "AG 2 to 2."
    )
    assert lines[-1] == (
        "No negative transfer with 1, 2, 4, 8, 16, 32, 64 runs, in any field at any lead time."
    )
    assert len(lines) == 3


@pytest.mark.parametrize("size", [1, 8, 64])
def test_negative_transfer_is_named_wherever_it_is(study_result, size):
    ds = study_result()
    # One field at one lead time; on seed 2 alone it is worse, by enough to move the mean.
    worse = {"arm": "finetuned", "size": size, "field": "velocity_x", "seed": 2}
    ds["vrmse"].isel(lead_time=4).loc[worse] *= 10
    negative = [line for line in verdict(compare(ds, (1, 5))) if line.startswith("Negative")]
    assert len(negative) == 1
    assert "velocity_x, 2.5 s (step 5)" in negative[0]
    assert f"with {size} runs" in negative[0]
    assert "on 1 of 3 seeds" in negative[0]


def test_a_tenth_of_a_percent_is_negative_and_equal_is_not(study_result):
    even = compare(study_result(times=1.0), (1,))
    assert all(part.worse == () for part in even)
    ds = study_result(times=1.0)
    ds["vrmse"].loc[{"arm": "finetuned"}] *= 1.001
    assert all(len(part.worse) == 7 for part in compare(ds, (1,)))


def test_a_finetuned_model_that_diverged_is_worse_and_one_from_scratch_is_not(study_result):
    ds = study_result()
    ds["vrmse"].loc[{"arm": "finetuned", "size": 4, "seed": 1}] = np.nan
    ds["vrmse"].loc[{"arm": "scratch", "size": 8, "seed": 1}] = np.nan
    part = compare(ds, (1,))[0]
    assert [part.sizes[place] for place in part.worse] == [4]
    assert part.accuracy_gains[2] == 0
    assert part.accuracy_gains[3] == np.inf
    rows = {row[2]: row for row in part.rows()}
    assert rows["4"][3] == "diverged"
    assert any("with 4 runs (diverged against" in line for line in verdict([part]))


def test_what_copying_does_better_is_told(study_result):
    ds = study_result(sizes=(1, 64))
    ds["persistence_vrmse"] = 0 * ds["persistence_vrmse"] + 0.05
    # Finetuned scores 0.15 x 1.1 at 1 run and an eighth of it at 64.
    told = verdict(compare(ds, (1,)))[0]
    assert told.endswith("copying the last frame beats finetuning with 1.")


def test_rows_have_every_size_and_persistence(study_result):
    rows = compare(study_result(sizes=(1, 4)), (1,))[0].rows()
    assert [row[2] for row in rows] == ["1", "4", "persistence"]
    # Mean of 0.2, 0.22, 0.24 and their standard deviation.
    assert rows[0] == (
        "height",
        "step 1 (0.5 s)",
        "1",
        "0.110 ± 0.010",
        "0.220 ± 0.020",
        "2",
        "≥ 1",
    )
    assert rows[-1][3] == "0.300"
    one = compare(study_result(sizes=(1,), seeds=1), (1,))[0].rows()
    assert one[0][3] == "0.100"


def with_lora(ds):
    """The study with a third arm, whose errors are half of those of full finetuning."""
    lora = ds.sel(arm=["finetuned"]).assign_coords(arm=["lora"])
    lora["vrmse"] = 0.5 * lora["vrmse"]
    both = xr.concat([ds.sel(arm=["finetuned"]), lora, ds.sel(arm=["scratch"])], "arm",
        data_vars="minimal")  # fmt: skip
    return both.assign_attrs(ds.attrs, rates_lora=0.004)


def test_every_arm_is_set_beside_scratch(study_result):
    ds = with_lora(study_result())
    assert tuned_arms(ds) == ("finetuned", "lora")
    plain, (first, *_) = compare(study_result(), (1,)), compare(ds, (1,))
    np.testing.assert_array_equal(first.finetuned, plain[0].finetuned)
    parts = compare(ds, (1,), arm="lora")
    np.testing.assert_allclose(parts[0].finetuned, 0.5 * first.finetuned)
    np.testing.assert_array_equal(parts[0].scratch, first.scratch)
    assert "scratch on 64 runs is matched with 4 lora" in verdict(parts)[0]
    assert columns("lora")[3:5] == ("lora", "scratch")
    assert "0.002 finetuned, 0.002 lora and 0.005 scratch" in budget(ds)
    with pytest.raises(InputError, match="no arm 'head' among: finetuned, lora"):
        compare(ds, (1,), arm="head")


def test_other_files_are_refused(study_result):
    with pytest.raises(InputError, match="no score 'mse'"):
        compare(study_result(), (1,), "mse")
    with pytest.raises(InputError, match="is this a study's result"):
        compare(example(), (1,))
