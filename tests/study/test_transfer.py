"""Laws of the study: nothing is mixed or done twice, both arms see the same, tests stay unseen."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from mpp.errors import InputError
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Persistence
from mpp.study import train
from mpp.study.plan import Study
from mpp.study.train import fresh
from mpp.study.transfer import transfer
from mpp.train.modes import RATES


def results(ds: xr.Dataset) -> xr.Dataset:
    """What must repeat; times do not."""
    return ds.drop_vars(["seconds", "cpu_seconds"])


@pytest.fixture
def counted(monkeypatch):
    """Every call of finetune: the runs it was given, as (arm's model, training, validation)."""
    calls, finetune = [], train.finetune

    def counting(model, ds, out, validation, **options):
        calls.append({"model": model, "ds": ds, "validation": validation, **options})
        return finetune(model, ds, out, validation, **options)

    monkeypatch.setattr(train, "finetune", counting)
    return calls


def test_an_interrupted_study_goes_on_to_the_same_result(model, runs, small, tmp_path, counted):
    whole = transfer(model, [runs()], tmp_path / "whole", small())
    # Two arms and two sizes.
    assert len(counted) == 4

    def stop(done, total):
        assert total == 4
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transfer(model, [runs()], tmp_path / "broken", small(), progress=stop)
    assert len(counted) == 4 + 3
    found = transfer(model, [runs()], tmp_path / "broken", small())
    assert len(counted) == 4 + 4
    xr.testing.assert_identical(results(found["mine"]), results(whole["mine"]))
    again = transfer(model, [runs()], tmp_path / "broken", small())
    assert len(counted) == 8
    xr.testing.assert_identical(again["mine"], found["mine"])


def test_both_arms_see_the_same_and_a_smaller_size_the_first_of_it(
    model, runs, small, tmp_path, counted
):
    ds = runs(8)
    transfer(model, [ds], tmp_path, small(sizes=(1, 3), seeds=2))
    places = {tuple(frame.values.ravel()): n for n, frame in enumerate(ds["height"][:, 0])}

    def which(part):
        return [places[tuple(frame.values.ravel())] for frame in part["height"][:, 0]]

    seen = {}
    for call in counted:
        arm = "finetuned" if call["model"] is model else "scratch"
        seen[arm, call["ds"].sizes["sample"], call["seed"]] = which(call["ds"])
    for seed in range(2):
        assert seen["finetuned", 1, seed] == seen["scratch", 1, seed]
        assert seen["finetuned", 3, seed] == seen["scratch", 3, seed]
        assert seen["scratch", 3, seed][:1] == seen["scratch", 1, seed]
    assert len({tuple(seen["scratch", 3, seed]) for seed in range(2)}) > 1
    assert {tuple(which(call["validation"])) for call in counted} == {
        tuple(which(counted[0]["validation"]))
    }
    assert {(call["max_steps"], call["batch_size"]) for call in counted} == {(2, 2)}


def test_test_runs_are_never_trained_or_validated_on(model, runs, small, tmp_path, counted):
    # Constant runs tell by their value who has seen whom: run n is n + 1 throughout.
    ds = runs(7)
    tags = xr.DataArray(np.arange(1.0, 8.0), dims="sample", attrs=ds["diffusivity"].attrs)
    ds["diffusivity"] = tags
    found = transfer(model, [ds], tmp_path, small(sizes=(4,), seeds=2))["mine"]
    trained = {float(v) for call in counted for v in call["ds"]["diffusivity"]}
    validated = {float(v) for call in counted for v in call["validation"]["diffusivity"]}
    assert not trained & validated
    # Seven runs are four, one and two; the two are the test runs.
    assert len(trained | validated) == 5
    assert found.sizes["sample"] == 2
    assert {call["ds"].sizes["sample"] for call in counted} == {4}


def test_the_result_says_everything(model, runs, small, tmp_path):
    study = small(seeds=2)
    found = transfer(model, [runs(), runs(system="other")], tmp_path, study)
    assert list(found) == ["mine", "other"]
    ds = xr.load_dataset(tmp_path / "mine.nc", decode_times=False)
    assert ds["vrmse"].dims == ("arm", "size", "seed", "field", "lead_time", "sample")
    assert ds["arm"].values.tolist() == ["finetuned", "scratch"]
    assert ds["size"].values.tolist() == [1, 2]
    assert ds["step"].values.tolist() == [1, 2, 3]
    assert np.isfinite(ds["vrmse"]).all()
    assert (ds["seconds"] > 0).all()
    assert ds["learning_rate"].values[:, 0, 0].tolist() == [0.005, 0.005]
    table = pd.read_csv(tmp_path / "scores.csv")
    # Two systems: eight trainings and persistence, two fields, three lead times.
    assert len(table) == 2 * (8 + 1) * 2 * 3
    row = table.query(
        "system == 'mine' and arm == 'scratch' and size == 2 and seed == 1 and field == 'height' "
        "and step == 3"
    )
    cell = ds["vrmse"].sel(arm="scratch", size=2, seed=1, field="height").isel(lead_time=2)
    assert row["vrmse"].item() == pytest.approx(float(cell.mean()))
    still = table.query("system == 'mine' and arm == 'persistence' and field == 'height'")
    np.testing.assert_allclose(
        still["vrmse"], ds["persistence_vrmse"].sel(field="height").mean("sample")
    )


def test_sizes_seeds_and_systems_may_be_added(model, runs, small, tmp_path, counted):
    first = transfer(model, [runs()], tmp_path, small(sizes=(2,)))["mine"]
    more = small(sizes=(1, 2), seeds=2, lead_steps=(3,))
    both = transfer(model, [runs(), runs(system="other")], tmp_path, more)
    # Of 2 x 2 x 2 trainings of each of two systems 2 were there: no training is done twice.
    assert len(counted) == 2 * 8
    xr.testing.assert_equal(both["mine"].sel(size=[2], seed=[0]), first)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"max_steps": 3}, "study, max_steps is 2 there and 3 here"),
        ({"lr": (1e-3,)}, r"study, lr is \[0.005\] there and \[0.001\] here"),
        ({"lead_steps": (1, 2)}, "frames_to_forecast is 3 there and 2 here"),
        ({"validation_runs": 2}, "validation_runs is 1 there and 2 here"),
    ],
)
def test_another_setting_is_refused(model, runs, small, tmp_path, counted, changed, message):
    transfer(model, [runs()], tmp_path, small(sizes=(1,)))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=message):
        transfer(model, [runs()], tmp_path, small(**{"sizes": (1,), **changed}))
    assert len(counted) == 2
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_another_model_or_other_data_are_refused(model, runs, small, tmp_path):
    one = small(sizes=(1,))
    transfer(model, [runs()], tmp_path, one)
    with pytest.raises(InputError, match="system mine, runs is other there and other here"):
        transfer(model, [runs(seed=1)], tmp_path, one)
    with torch.no_grad():
        model.speed.add_(1)
    with pytest.raises(InputError, match="model, weights is"):
        transfer(model, [runs()], tmp_path, one)


def test_arms_may_be_added_and_each_trains_its_mode(model, runs, small, tmp_path, counted):
    two = transfer(model, [runs()], tmp_path, small(sizes=(1,)))["mine"]
    names = {"finetuned_1_0_0.005.nc", "scratch_1_0_0.005.nc"}
    assert {path.name for path in (tmp_path / "cells/mine").iterdir()} == names
    every = ("full", "head", "lora", "gradual", "scratch")
    more = small(sizes=(1,), arms=every, mode_lr=(1e-3, 2e-3))
    found = transfer(model, [runs()], tmp_path, more)["mine"]
    # Each of three modes tries two rates at its only size.
    assert len(counted) == 2 + 3 * 2
    assert [call["mode"] for call in counted[2:]] == [m for m in every[1:4] for _ in range(2)]
    assert {call["patience"] for call in counted} == {1.0}
    assert found["arm"].values.tolist() == ["finetuned", *every[1:]]
    xr.testing.assert_equal(found.sel(arm=["finetuned", "scratch"]), two)
    again = transfer(model, [runs()], tmp_path, small(sizes=(1,)))["mine"]
    assert len(counted) == 8
    xr.testing.assert_equal(again, two)
    assert set(pd.read_csv(tmp_path / "scores.csv")["arm"]) == {*two["arm"].values, "persistence"}


def test_a_mode_has_its_own_rate_where_none_is_given():
    study = Study(arms=("lora", "scratch"))
    assert study.arms == ("lora", "scratch")
    assert study.rates("lora") == (RATES["lora"],)
    assert Study(arms=("scratch", "full")) == Study()


def test_rates_are_chosen_by_validation_at_the_middle_size(
    model, runs, small, tmp_path, counted, monkeypatch
):
    study = small(sizes=(1, 2, 3), lr=(1e-3, 2e-3), scratch_lr=(4e-3, 3e-3, 1e-3))
    shown = []
    found = transfer(
        model, [runs()], tmp_path, study, progress=lambda *counts: shown.append(counts)
    )["mine"]
    trials = counted[:5]
    assert [call["ds"].sizes["sample"] for call in trials] == [2] * 5
    # The best trial is the cell of its size: two sizes of two arms are left.
    assert len(counted) == 5 + 4
    assert shown[-1] == (9, 9)
    for arm, rates in (("finetuned", study.lr), ("scratch", study.scratch_lr)):
        files = {rate: tmp_path / f"cells/mine/{arm}_2_0_{rate:g}.nc" for rate in rates}
        errors = {rate: xr.load_dataset(f).attrs["validation"] for rate, f in files.items()}
        chosen = set(found["learning_rate"].sel(arm=arm).values.ravel().tolist())
        assert chosen == {min(errors, key=lambda rate: errors[rate])}


def test_scratch_is_the_same_architecture_with_nothing_learned(model, runs):
    made, other = fresh(model, runs(), 0), fresh(model, runs(), 1)
    assert made.shape == model.shape
    assert made.names == ("height", "velocity_x")
    torch.testing.assert_close(made.state_dict(), fresh(model, runs(), 0).state_dict())
    assert not torch.equal(made.blocks[0].mlp_in.weight, other.blocks[0].mlp_in.weight)
    assert not torch.equal(made.blocks[0].mlp_in.weight, model.blocks[0].mlp_in.weight)


def test_a_size_beyond_the_runs_becomes_what_is_there_and_is_told(model, runs, small, tmp_path):
    told = []
    study = small(sizes=(1, 8, 64))
    found = transfer(model, [runs(6)], tmp_path, study, note=told.append)["mine"]
    assert found["size"].values.tolist() == [1, 3]
    assert told == [
        "mine: 8, 64 training runs were asked for; of its 6 runs 2 are to test on and 1 choose the "
        "weights, which leaves 3, the largest size of this study"
    ]


def test_test_runs_may_be_given_apart(model, runs, small, tmp_path):
    apart = runs(3, seed=5)
    study = small(sizes=(1, 5))
    found = transfer(model, [runs()], tmp_path / "a", study, test=[apart])["mine"]
    # Six runs, of which one validates.
    assert found["size"].values.tolist() == [1, 5]
    assert found.sizes["sample"] == 3
    mixed = xr.concat([apart.isel(sample=[0, 1]), runs().isel(sample=[0])], "sample")
    with pytest.raises(InputError, match=r"test run 2 is the same as run 0"):
        transfer(model, [runs()], tmp_path / "b", study, test=[mixed])
    with pytest.raises(InputError, match="test runs of each system"):
        transfer(model, [runs()], tmp_path / "c", study, test=[runs(system="other")])


def test_a_rate_that_diverges_shows_and_is_not_chosen(model, runs, small, tmp_path):
    study = small(sizes=(1,), lr=(1e30, 1e-3))
    found = transfer(model, [runs()], tmp_path, study)["mine"]
    assert found["learning_rate"].sel(arm="finetuned").item() == 1e-3


@pytest.mark.slow
def test_processes_give_what_one_process_gives(model, runs, small, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    study = small(sizes=(1,), seeds=2)
    alone = transfer(model, [runs()], tmp_path / "alone", study)["mine"]
    torch.set_num_threads(threads)
    shown = []
    together = transfer(
        model, [runs()], tmp_path / "two", study, workers=2, progress=lambda *n: shown.append(n)
    )["mine"]
    alone.attrs["threads"] = together.attrs["threads"] = 1
    xr.testing.assert_allclose(results(together), results(alone))
    assert shown[-1] == (4, 4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sizes": ()}, r"sizes is \[\]; give one or more"),
        ({"sizes": (0, 2)}, r"sizes is \[0, 2\]; give at least 1"),
        ({"lr": (-1.0,)}, "lr is"),
        ({"mode_lr": (0.0,)}, "mode_lr is"),
        ({"arms": ("full",)}, "arms are full; give scratch and one or more of full, head"),
        ({"arms": ("scratch", "half")}, "arms are scratch, half; give"),
        ({"seeds": 0}, "seeds is 0"),
        ({"validation_runs": 0}, "validation_runs is 0"),
        ({"validation_runs": 4}, "6 runs, of which 2 to test on and 4 to choose weights by"),
        ({"lead_steps": (1, 6)}, "a history of 3 and 6 steps need 9 frames"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_trained(
    model, runs, small, tmp_path, counted, changed, message
):
    with pytest.raises(InputError, match=message):
        transfer(model, [runs()], tmp_path / "new", small(**changed))
    assert not counted
    assert not (tmp_path / "new").exists()


def test_two_datasets_of_one_system_and_other_models_are_refused(model, runs, small, tmp_path):
    with pytest.raises(InputError, match="give each its own name"):
        transfer(model, [runs(), runs(seed=1)], tmp_path, small())
    with pytest.raises(InputError, match="got Persistence"):
        transfer(Persistence(), [runs()], tmp_path, small())
    with pytest.raises(InputError, match="nothing to train on"):
        transfer(model, [], tmp_path, small())
    assert isinstance(model, AxialTransformer)
