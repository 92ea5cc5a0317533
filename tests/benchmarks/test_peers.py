"""The comparison with peers: what they see, how time is counted, what is told, that it runs."""

import importlib.util
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr

from mpp import schema
from mpp.batch import Axis, Batch
from mpp.errors import InputError
from mpp.fields import Field, known_field
from mpp.model.surrogate import Persistence
from mpp.schema import parse_boundary
from mpp.train.datamodule import MixtureData
from mpp.train.loss import change_loss

FIELDS = ("velocity_x", "tracer")
HISTORY = 3
NO_FNO = importlib.util.find_spec("neuralop") is None
needs_fno = pytest.mark.skipif(NO_FNO, reason="needs the extra peers (neuraloperator)")
PEERS = ["unet", pytest.param("fno", marks=needs_fno)]


@pytest.fixture
def module(scripts):
    """Imports a module of the folder of benchmarks."""
    return scripts


@pytest.fixture
def make(module):
    """Makes a small peer in double precision, its scales off their start."""

    def build(name, maps=(), **options):
        torch.manual_seed(0)
        if name == "unet":
            kind, sizes = module("unet").UNet, {"width": 8, "levels": 2, "blocks": 1}
        else:
            kind, sizes = module("fno").FNO, {"width": 6, "modes": 8, "depth": 2}
        model = kind(FIELDS, maps, **{"history": HISTORY, **sizes, **options})
        model.set_scales({"velocity_x": (1.3, 0.4), "tracer": (0.8, 0.3)})
        # The operator keeps its weights in single precision, whatever the model is cast to.
        return model.eval()

    return build


def batch_of(boundary="periodic, periodic", frames=HISTORY, shape=(16, 16), maps=()) -> Batch:
    generator = torch.Generator().manual_seed(1)

    def noise(*sizes):
        return torch.randn(*sizes, generator=generator)

    axes = tuple(
        Axis(name, np.arange(points) / points, "m", parse_boundary(kind))
        for name, points, kind in zip("xy", shape, boundary.split(", "), strict=True)
    )
    return Batch(
        values=2 + noise(2, frames, len(FIELDS), *shape),
        fields=tuple(known_field(name) for name in FIELDS),
        axes=axes,
        time=0.1 * torch.arange(frames).double().repeat(2, 1),
        system="trial",
        static=noise(2, len(maps), *shape) + 2 if maps else None,
        static_fields=tuple(Field(name, role="static") for name in maps),
    )


def same(one, other, tolerance=2e-5):
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("boundary", ["periodic, periodic", "wall open, periodic"])
@pytest.mark.parametrize("name", PEERS)
def test_a_roll_along_a_periodic_axis_rolls_the_frame(make, name, boundary):
    batch, model = batch_of(boundary), make(name)
    rolled = replace(batch, values=batch.values.roll(2, -1))
    same(model(rolled), model(batch).roll(2, -1))
    if boundary.startswith("wall"):
        turned = replace(batch, values=batch.values.roll(2, -2))
        assert (model(turned) - model(batch).roll(2, -2)).abs().max() > 1e-3


def test_nothing_passes_a_wall_of_the_unet(make):
    model = make("unet", levels=1)
    for boundary, reaches in (("periodic, periodic", True), ("wall, periodic", False)):
        batch = batch_of(boundary, shape=(32, 8))
        other = batch.values.clone()
        # A point beside the low side, moved around in space so that no RMS changes.
        other[..., 0, :] = other[..., 0, :].roll(3, -1)
        moved = (model(replace(batch, values=other)) - model(batch)).abs()
        assert (moved[..., -2:, :].max() > 1e-4) == reaches


@pytest.mark.parametrize("name", PEERS)
def test_samples_do_not_see_each_other(make, name):
    batch, model = batch_of(), make(name)
    same(model(batch.sample(1)), model(batch)[1:])


@pytest.mark.parametrize("name", PEERS)
def test_another_unit_of_a_field_is_another_unit_of_its_prediction(make, name):
    batch, model = batch_of(), make(name)
    before = model(batch)
    factor = torch.tensor([1000.0, 1.0]).view(2, 1, 1)
    model.set_scales({"velocity_x": (1300.0, 400.0), "tracer": (0.8, 0.3)})
    same(model(replace(batch, values=factor * batch.values)) / factor, before)


@pytest.mark.parametrize("name", PEERS)
def test_fields_come_in_any_order_and_go_out_in_it(make, name):
    batch, model = batch_of(), make(name)
    turned = replace(batch, values=batch.values.flip(2), fields=batch.fields[::-1])
    same(model(turned), model(batch).flip(2))


@pytest.mark.parametrize("name", PEERS)
def test_of_a_long_history_the_last_frames_count(make, name):
    model, long = make(name), batch_of(frames=HISTORY + 2)
    same(model(long), model(long.window(2, HISTORY + 2)))


def test_a_short_history_begins_with_frames_that_stand_still(make, monkeypatch):
    model, batch, seen = make("unet"), batch_of(frames=HISTORY - 1), []
    network = model.network
    monkeypatch.setattr(model, "network", lambda i, axes: seen.append(i) or network(i, axes))
    assert model(batch).isfinite().all()
    frames, steps = seen[0][:, : HISTORY * len(FIELDS)], seen[0][:, HISTORY * len(FIELDS) :]
    first, second = frames[:, :2], frames[:, 2:4]
    torch.testing.assert_close(first, second)
    rms = batch.values.square().mean((1, 3, 4)).sqrt()
    torch.testing.assert_close(first, batch.values[:, 0] / rms[..., None, None])
    assert (steps[:, :2] == 0).all()
    change = batch.values.diff(dim=1)[:, 0]
    size = change.square().mean((2, 3), keepdim=True).sqrt()
    torch.testing.assert_close(steps[:, 2:], change / size)
    assert model(batch.window(0, 1)).shape == (2, 1, len(FIELDS), 16, 16)


@pytest.mark.parametrize("name", PEERS)
def test_static_maps_reach_the_prediction_in_any_unit(make, name):
    batch, model = batch_of(maps=("depth",)), make(name, maps=("depth",))
    frame = model(batch)
    same(model(replace(batch, static=100 * batch.static)), frame)
    assert (model(replace(batch, static=batch.static.flip(-1))) - frame).abs().max() > 1e-4
    with pytest.raises(InputError, match="depth"):
        model(replace(batch, static=None, static_fields=()))


def test_other_fields_and_masks_are_refused(make):
    batch, model = batch_of(), make("unet")
    with pytest.raises(InputError, match="velocity_x, tracer"):
        model(replace(batch, fields=(batch.fields[0], known_field("pressure"))))
    with pytest.raises(InputError, match="no mask"):
        model(replace(batch, mask=torch.ones(2, 16, 16, dtype=torch.bool)))
    with pytest.raises(InputError, match="multiples of 4 points"):
        make("unet", levels=3)(batch_of(shape=(16, 18)))


@pytest.mark.parametrize("name", PEERS)
def test_one_batch_is_learned_by_heart(make, name):
    model = make(name).train()
    angle = 2 * torch.pi * torch.arange(16) / 16
    wave = (angle[:, None] + 2 * angle).sin().expand(2, 1, len(FIELDS), 16, 16)
    frames = torch.cat([wave.roll(2 * step, -1) for step in range(HISTORY + 1)], 1)
    batch = replace(batch_of(frames=HISTORY + 1), values=frames + 0.1 * batch_of(frames=1).values)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        predicted = model(batch.window(0, HISTORY))
        loss = change_loss(predicted, batch.values, torch.ones(len(FIELDS))).mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.2


def test_finer_tokens_are_of_eight_points(module):
    model = module("finer_avit").FinerAViT(FIELDS, width=16, heads=2, depth=1, history=HISTORY)
    batch = batch_of(shape=(32, 48))
    assert model.stem(batch.values[:, 0], (0, 1)).shape == (2, 16, 4, 6)
    assert model(batch).shape == (2, 1, len(FIELDS), 32, 48)
    assert model.patch == (8,)
    model(batch).square().mean().backward()
    unused = {n for n, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert unused == set()


# Time


def data_of(frames=6, batch_size=2) -> MixtureData:
    ds = schema.example((8, 8), samples=4, frames=frames)
    ds = ds.drop_vars(schema.names(ds, "parameter"))
    held = ds.isel(sample=[0])
    return MixtureData([ds], [held], HISTORY, batch_size)


def test_the_first_step_and_validation_do_not_count(module, monkeypatch):
    equal_time, stacked = module("equal_time"), module("stacked")

    class Slow(stacked.StackedFrames):
        """Slow when it is validated."""

        def __init__(self):
            super().__init__(("tracer",), (), HISTORY)
            self.one = torch.nn.Linear(1, 1)

        def network(self, image, axes):
            if not self.training:
                end = time.process_time() + 0.5
                while time.process_time() < end:
                    pass
            return self.one(image[:, :1].movedim(1, -1)).movedim(-1, 1)

    data, model = data_of(), Slow()
    model.names = data.training[0][0].names
    model.value_scale, model.change_scale = (torch.ones(len(model.names)) for _ in range(2))
    recipe = equal_time.Recipe(1e-3, accumulate=2)
    training = equal_time.train(model, data, recipe, steps=4, seed=0, about="trial")
    assert len(training.durations) == 8
    assert training.seconds == pytest.approx(sum(training.durations[2:]))
    assert training.step == pytest.approx(training.seconds / 3)
    assert 0 < training.seconds < 0.5
    assert not training.model.training


def test_steps_fill_the_budget_and_the_first_is_free(module):
    steps_within = module("equal_time").steps_within
    assert steps_within(100.0, 0.5) == 201
    assert steps_within(0.1, 5.0) == 2


def test_recipes_of_one_arm_that_agree_in_their_work_share_its_cost(module):
    pytest.importorskip("dadaptation", reason="needs the extra peers (dadaptation)")
    arms = module("peer_arms").arms()
    for arm in arms.values():
        choices = [arm.recipes(stage) for stage in ("alone", "suite", "finetuned")]
        assert {one.work for choice in choices for one in choice.values()} == set(arm.works)
        assert {len(choice) for choice in choices} <= {0, 3}
    assert len(arms["default"].works) == 1
    assert len(arms["avit"].works) == 3


# The study


def test_recipes_are_chosen_on_validation_runs_and_seeds_follow(module):
    peer_study = module("peer_study")
    errors = {"low": 0.3, "right": 0.2, "high": None}
    asked = []

    class Fake(peer_study.Runner):
        def __init__(self):
            pass

        def trainings(self, title, jobs):
            asked.extend(jobs)
            # On the test runs, "low" would win.
            scores = {"low": 0.0, "right": 1.0, "high": 1.0}
            return [
                {"validation": {"s": errors[j.recipe]}, "test": scores[j.recipe], "name": j.name}
                for j in jobs
            ]

    group = peer_study.Group("alone", "unet", "s", {"low": 3, "right": 4, "high": 5})
    (choice,) = Fake().chosen("trial", [group], seeds=3)
    assert choice.recipe == "right"
    assert [cell["name"] for cell in choice.cells] == [
        f"alone_unet_s_right_{seed}" for seed in range(3)
    ]
    assert [(j.recipe, j.seed, j.steps) for j in asked] == [
        ("low", 0, 3), ("right", 0, 4), ("high", 0, 5), ("right", 1, 4), ("right", 2, 4),
    ]  # fmt: skip
    assert choice.described()["validation"]["high"] is None


def test_the_error_of_a_suite_is_a_geometric_mean(module):
    error = module("peer_study").error
    assert error({"validation": {"a": 0.1, "b": 0.4}}) == pytest.approx(0.2)
    assert error({"validation": {"a": 0.1, "b": None}}) == np.inf


def test_the_better_published_model_is_the_suite_s(module):
    peer_study = module("peer_study")

    def choice(arm, value):
        return peer_study.Choice(peer_study.Group("alone", arm, "s", {}), "r", {"r": value}, [])

    alone = [choice("avit", 0.3), choice("avit8", 0.2), choice("default", 0.1)]
    assert peer_study.suite_arms(alone, ["default", "avit", "avit8"]) == ["default", "avit8"]
    assert peer_study.suite_arms(alone[:1], ["avit"]) == ["avit"]
    assert peer_study.suite_arms([], ["unet"]) == []


def write(path: Path, seed: int, samples: int = 6) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    schema.example((8, 8), samples=samples, frames=6).assign_attrs(seed=seed).to_netcdf(path)
    return path


def test_no_model_is_told_numbers_and_all_have_the_same_runs(module, tmp_path):
    peer_study = module("peer_study")
    path = write(tmp_path / "a.nc", 0)
    assert not schema.names(peer_study.runs(path), "parameter")
    place = peer_study.Place({"a": path}, {"a": path}, tmp_path)
    study = peer_study.Study(history=2, held_out=0.3)
    seen, held = peer_study.parts(study, place, "a")
    assert (seen.sizes["sample"], held.sizes["sample"]) == (4, 2)
    again = peer_study.parts(study, place, "a")
    assert xr.Dataset.identical(seen, again[0])
    assert xr.Dataset.identical(held, again[1])


class Fading(Persistence):
    """Copies the last frame, but has no answer for a sample that starts at time 0."""

    def forward(self, batch):
        starts = batch.time[:, 0] < 1e-9
        return batch.values.masked_fill(starts[:, None, None, None, None], torch.nan)


def test_a_forecast_that_diverged_is_no_score_rather_than_left_out(module, tmp_path):
    peer_study = module("peer_study")
    path = write(tmp_path / "a.nc", 0)
    place = peer_study.Place({"a": path}, {"a": path}, tmp_path)
    study = peer_study.Study(history=1, held_out=0.3, lead_times=(1, 3))
    assert peer_study.validated(study, place, Persistence(), "a") > 0
    assert peer_study.validated(study, place, Fading(), "a") is None
    rows = peer_study.scored(study, place, Fading(), "a")
    assert [(row["field"], row["score"]) for row in rows] == [
        (name, score) for score in ("nrmse", "vrmse") for name in schema.names(schema.example())
    ]
    assert all(row["mean"] == row["median"] == [None] * 3 for row in rows)
    rows = peer_study.scored(study, place, Persistence(), "a")
    assert all(0 < row["mean"][0] < row["mean"][2] for row in rows)


def test_models_that_are_added_later_have_no_cost(module, tmp_path):
    peer_study = module("peer_study")
    runner = peer_study.Runner(
        peer_study.Study(), peer_study.Place({"a": tmp_path}, {}, tmp_path), SimpleNamespace()
    )
    about = {"study": runner.study.settings}
    kept = {"persistence_a": {}, "cost_a": {"system": "a", "seconds": {"unet: AdamW()": 1.0}}}
    for name, one in kept.items():
        runner.place.file(name).write_text(json.dumps(one | about))
    with pytest.raises(InputError, match="nothing of fno"):
        peer_study.complete(runner, ["unet", "fno"], 1)


def test_what_is_kept_of_another_study_is_refused(module, tmp_path):
    peer_study = module("peer_study")
    place, pool = peer_study.Place({}, {}, tmp_path), SimpleNamespace()
    runner = peer_study.Runner(peer_study.Study(budget=1.0), place, pool)
    other = peer_study.Study(budget=2.0).settings
    place.file("done").write_text(json.dumps({"study": other}))
    with pytest.raises(InputError, match="other settings"):
        runner.results("trial", {"done": (print, ())})
    job = peer_study.Job("alone", "unet", "r", "a", 0, 7)
    kept = {**asdict(job), "study": runner.study.settings, "systems": ["a"]}
    place.file(job.name).write_text(json.dumps(kept))
    assert runner.trainings("trial", [job]) == [kept]
    for key, other in (("steps", 8), ("start", "suite_0"), ("systems", ["a", "b"])):
        place.file(job.name).write_text(json.dumps(kept | {key: other}))
        with pytest.raises(InputError, match=f"{key} .*{other if key != 'systems' else 'b'}"):
            runner.trainings("trial", [job])


def test_test_runs_are_never_training_runs(module, tmp_path):
    peer_data = module("peer_data")
    for folder, seed in (("data", 0), ("same", 0), ("test", 1)):
        write(tmp_path / folder / "a.nc", seed)
    sizes = peer_data.Sizes()

    def files(test):
        return peer_data.files(["a"], tmp_path, sizes, 1, tmp_path / "data", tmp_path / test)

    assert files("test")[1] == {"a": tmp_path / "test" / "a.nc"}
    with pytest.raises(InputError, match="seed"):
        files("same")
    with pytest.raises(InputError, match=r"a\.nc"):
        files("nowhere")
    with pytest.raises(InputError, match="gray_scott"):
        peer_data.files(["unheard_of"], tmp_path, sizes, 1, None, None)


# The report


def training(stage, arm, system, values, seed=0):
    """Scores of two fields, which average to the values; NRMSE is half of them."""
    scores = [
        {
            "system": system, "field": field, "score": score,
            "mean": [None if v is None else part * half * v for v in values],
            "median": [0.5 * half if v is None else part * half * v for v in values],
        }
        for score, half in (("vrmse", 1.0), ("nrmse", 0.5))
        for field, part in (("height", 0.5), ("speed", 1.5))
    ]  # fmt: skip
    row = {"stage": stage, "arm": arm, "system": system, "seed": seed, "scores": scores}
    return {**row, "recipe": "0.1", "parameters": 1_000_000, "steps": 10, "seconds": 2.0}


@pytest.fixture
def trainings():
    return [
        training("persistence", "persistence", "s", [0.5, 0.6]),
        training("persistence", "persistence", "t", [0.5, 0.1]),
        training("alone", "default", "s", [0.1, 0.9], 0),
        training("alone", "default", "s", [0.3, 0.9], 1),
        training("alone", "default", "t", [0.1, 0.9]),
        training("alone", "unet", "s", [0.25, 0.8]),
        training("alone", "unet", "t", [0.2, None]),
        training("suite", "default", "s", [0.1, 0.9]),
        training("suite", "default", "t", [0.4, 0.9]),
        training("suite", "avit8", "s", [0.4, 0.9]),
        training("suite", "avit8", "t", [0.4, 0.9]),
        training("finetuned", "default", "s", [0.1, 0.9]),
        training("finetuned", "default", "t", [0.1, 0.9]),
    ]


def test_the_numbers_of_the_goals(module, trainings):
    summary = module("peer_report").summary
    found = summary(trainings, (1, 2))
    # Geometric mean of 0.1 / 0.4 and 0.4 / 0.4.
    assert found["ratio"] == pytest.approx(0.5)
    # Seeds and fields are averaged first: 0.2 beats 0.25. Persistence may be the best.
    assert found["best"] == {
        "s at 1": "default", "s at 2": "persistence", "t at 1": "default", "t at 2": "persistence",
    }  # fmt: skip
    assert found["share_best"] == pytest.approx(0.5)
    assert summary(trainings, (1,))["share_best"] == 1
    alone = summary([t for t in trainings if t["arm"] in ("unet", "persistence")], (1, 2))
    assert alone["ratio"] is None
    assert alone["share_best"] is None


def test_tables_give_spread_mark_the_best_and_show_what_diverged(module, trainings):
    pytest.importorskip("dadaptation", reason="needs the extra peers (dadaptation)")
    report = module("peer_report")
    choices = [
        {"stage": "alone", "arm": "default", "system": "s", "recipe": "0.1",
         "validation": {"0.1": 0.2, "1": None}},
    ]  # fmt: skip
    result = {
        **report.summary(trainings, (1, 2)), "trainings": trainings, "choices": choices,
        "systems": ["s", "t"], "seeds": 2, "commit": "abc", "gpu": None, "processor": "P",
        "study": {"lead_times": [1, 2], "budget": 2.0, "history": 3},
    }  # fmt: skip
    text = report.markdown(result)
    assert "| s | 1 | 0.500 | **0.200 ± 0.141** | 0.250 |" in text
    assert "| t | 2 | **0.100** | 0.900 | inf |" in text
    row = "| s, speed | 1 | 0.750 | 0.300 ± 0.212 | 0.375 | **0.150** | 0.600 | **0.150** |"
    assert row in text
    assert "| default | s | 1.00 M | 0.1 | 0.1: 0.2, 1: diverged | 10 | 2, 2 |" in text
    assert "best in 50% of the cells" in text


def test_the_picture_has_a_row_for_what_was_trained(module, trainings):
    pytest.importorskip("dadaptation", reason="needs the extra peers (dadaptation)")
    draw = module("peer_figure").figure
    counts = {"training": 3, "test": 2}
    result = {
        "systems": ["s", "t"], "arms": ["default", "unet", "avit8"], "seeds": 2,
        "runs": {"s": counts, "t": counts}, "study": {"budget": 2.0},
    }  # fmt: skip
    both = draw({**result, "trainings": trainings})
    assert len(both.axes) == 4
    alone = draw({**result, "trainings": [t for t in trainings if t["stage"] != "suite"][:-2]})
    assert len(alone.axes) == 2
    assert [panel.get_xlabel() for panel in alone.axes] == ["step", "step"]
    assert {line.get_label() for line in alone.axes[0].lines} == {"persistence", "default", "U-Net"}


@pytest.mark.slow
def test_it_runs_and_goes_on_from_what_it_kept(command, tmp_path):
    pytest.importorskip("dadaptation", reason="needs the extra peers (dadaptation)")
    arms = ["default", "unet", "avit", "avit8", *([] if NO_FNO else ["fno"])]
    words = ["--quick", "--workers", "1", "--out", tmp_path, "--arms"]
    first = command("peers", *words, *arms, "--seeds", "1", "--json", tmp_path / "found.json")
    assert first.status == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["ratio"] > 0
    assert 0 <= found["share_best"] <= 1
    done = {(one["stage"], one["arm"], one["system"]) for one in found["trainings"]}
    systems = found["systems"]
    assert {("alone", arm, system) for arm in arms for system in systems} < done
    assert {("suite", "default", "suite"), *(("finetuned", "default", s) for s in systems)} < done
    assert all(one["seconds"] > 0 for one in found["trainings"] if one["stage"] != "persistence")
    keep = tmp_path / "quick"
    assert (keep / "figure.png").stat().st_size > 10_000
    assert "What was trained" in (keep / "tables.md").read_text()
    kept = {path: path.stat().st_mtime_ns for path in (keep / "cells").iterdir()}
    again = command("peers", *words, "default", "unet", "--seeds", "2")
    assert again.status == 0
    assert "| default, finetuned |" in again.out
    new = {path.name for path in (keep / "cells").iterdir()} - {path.name for path in kept}
    assert new
    assert all("_1." in name for name in new)
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    other = command("peers", *words, *arms, "--seeds", "1", "--budget", "3")
    assert other.status == 2
    assert "other settings" in other.err.splitlines()[-1]


def test_a_missing_package_is_said_before_anything_is_done(module, monkeypatch):
    pytest.importorskip("dadaptation", reason="needs the extra peers (dadaptation)")
    peers = module("peers")
    monkeypatch.setattr(peers, "installed", lambda name: None)
    with pytest.raises(InputError, match="leave the FNO out"):
        peers.require_neuraloperator()
