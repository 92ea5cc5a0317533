"""The study of numbers: who is trained on what, what is told, and that it runs."""

import importlib
import json

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.model.numbers import Transform
from mpp.schema import example


@pytest.fixture
def study(scripts):
    return scripts("number_study")


@pytest.fixture
def encodings(study):
    return importlib.import_module("number_encodings")


def runs(count: int) -> xr.Dataset:
    ds = example((4, 4), samples=count, frames=2)
    speed = ds["diffusivity"].copy(data=np.arange(count, dtype=float))
    turned = np.random.default_rng(0).permutation(count).astype(float)
    return ds.assign(diffusivity=ds["diffusivity"].copy(data=turned), speed=speed)


def test_no_run_is_in_two_parts_and_the_main_number_says_which(study):
    parts = study.divide(runs(100), "diffusivity")
    places = {name: np.sort(ds["diffusivity"].values) for name, ds in parts.items()}
    assert sorted(np.concatenate(list(places.values()))) == list(range(100))
    assert places["beyond"].tolist() == [*range(10), *range(90, 100)]
    assert places["gap"].tolist() == list(range(44, 56))
    trained = set(places["training"]) | set(places["inside"])
    assert trained == set(range(10, 44)) | set(range(56, 90))
    assert places["inside"].size == 17


def test_half_of_the_numbers_is_another_one_run_after_run(study):
    ds = runs(5)
    assert xr.Dataset.equals(study.without(ds, "all"), ds)
    assert "speed" not in study.without(ds, "none")
    half = study.without(ds, "half")
    assert half["diffusivity"].isnull().values.tolist() == [True, False, True, False, True]
    assert half["speed"].isnull().values.tolist() == [False, True, False, True, False]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.0, [0, 1, 0, 0, 0]),
        (-0.0234, [1, 2, 3, 4, -2]),
        (9.996, [0, 1, 0, 0, 1]),
        (0.0, [0, 0, 0, 0, 0]),
        (507.0, [0, 5, 0, 7, 2]),
    ],
)
def test_digits_spell_a_number(encodings, value, words):
    sign, *rest, power = encodings.digits(torch.tensor(value)).tolist()
    read = [place - 2 - 10 * number for number, place in enumerate(rest)]
    assert [sign, *read, power - 2 - 30 - encodings.EXPONENTS] == words


@pytest.mark.parametrize("name", ["direction", "bins", "digits", "raw"])
def test_every_encoding_tells_numbers_apart_and_by_their_names(encodings, name):
    torch.manual_seed(0)
    made = encodings.ENCODINGS[name](("p", "q"), 8)
    made.set_transforms({n: Transform.fit(np.array([0.01, 1.0])) for n in ("p", "q")})
    standard = torch.tensor([[[torch.nan, -1.0, 1.0], [torch.nan, 1.0, 1.0]]])
    told = made(standard)
    assert told.known.tolist() == [[[False, True, True, True]] * 2]
    low, high = told.vectors[0, :, 1]
    assert (low - high).abs().max() > 1e-5
    assert (high - told.vectors[0, 1, 2]).abs().max() > 1e-5
    torch.testing.assert_close(told.vectors[0, 0, 2], told.vectors[0, 1, 2])


def test_bins_cover_what_is_told_and_share_nothing(encodings):
    made = encodings.Bins(("p", "q"), 8)
    told = torch.zeros(1, 999, 3)
    told[..., 1] = torch.linspace(-4, 4, 999)
    assert len(made(told).vectors[0, :, 1].unique(dim=0)) == encodings.BINS


def training(encoding, seed, scores):
    where = {"region": "inside", "history": 1, "step": 1}
    rows = [
        {"system": f"s{number}", "given": given, "vrmse": value, **where}
        for given, values in scores.items()
        for number, value in enumerate(values)
    ]
    return {"encoding": encoding, "seed": seed, "scores": rows, "readings": []}


def test_the_ratio_is_of_geometric_means_over_systems(study):
    found = [
        training("direction", 0, {"none": [0.2, 0.8], "all": [0.1, 0.4]}),
        training("direction", 1, {"none": [0.2, 0.8], "all": [0.1, 0.4]}),
        training("bins", 0, {"none": [9.0, 9.0], "all": [1.0, 1.0]}),
    ]
    assert study.summary(found)["ratio"] == pytest.approx(2)
    mean, spread = study.cell(found, "direction", given="all")
    assert (mean, spread) == (pytest.approx(0.2), 0)


@pytest.mark.slow
def test_it_runs_and_goes_on_from_what_it_kept(command, tmp_path):
    words = ["--quick", "--seeds", "1", "--workers", "1", "--keep", tmp_path]
    assert command("numbers", *words, "--json", tmp_path / "found.json").status == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["ratio"] > 0
    assert {training["encoding"] for training in found["trainings"]} == {
        "direction", "bins", "digits", "raw", "no numbers",
    }  # fmt: skip
    told = {row["given"] for row in found["trainings"][0]["scores"]}
    assert told == {"all", "half", "none"}
    assert all(0 <= row["coverage"] <= 1 for row in found["trainings"][0]["readings"])
    kept = tmp_path / "quick" / "bins_0.json"
    before = kept.stat().st_mtime_ns
    again = command("numbers", *words)
    assert again.status == 0
    assert "numbers read from 4 frames" in again.out
    assert kept.stat().st_mtime_ns == before
