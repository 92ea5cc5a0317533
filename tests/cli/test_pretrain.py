"""Laws of the command: YAML and options mean the same, every key counts, unknown ones are named."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mpp.cli.main import main
from mpp.cli.pretrain import parser
from mpp.schema import example
from mpp.train import modules
from mpp.weights import describe, load

ROOT = Path(__file__).parents[2]
TINY = {"history": 3, "width": 16, "heads": 2, "depth": 1, "hidden": 8, "fine": 2, "coarse": 2}


@pytest.fixture
def config(tmp_path):
    """Writes a configuration with changes, and gives its path."""
    paths = []
    for name, field in (("drift", "tracer"), ("reaction", "activator")):
        ds = example((8, 8), samples=3, frames=8).rename(tracer=field).assign_attrs(system=name)
        ds.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
        paths.append(str(tmp_path / f"{name}.nc"))
    model = {"class_path": "mpp.model.axial.AxialTransformer", "init_args": TINY}
    content = {"data": paths, "batch_size": 2, "max_steps": 2, "model": model}

    def write(**changes):
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump({**content, **changes}))
        return str(file)

    return write


def weights(path) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in load(path).parameters()])


def test_a_run_leaves_a_checkpoint_that_says_what_it_is(config, tmp_path):
    assert main(["pretrain", "--config", config(), "--out", str(tmp_path / "run")]) == 0
    found = describe(tmp_path / "run")
    assert found["card"]["systems"] == ["drift", "reaction"]
    assert {key: found["arguments"][key] for key in TINY} == TINY
    assert (tmp_path / "run" / "metrics.csv").is_file()


def test_data_may_be_named_on_the_command_line(config, tmp_path, capsys):
    words = ["pretrain", "--config", config(max_steps=1), "--data", str(tmp_path / "drift.nc")]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert describe(tmp_path / "run")["card"]["systems"] == ["drift"]
    assert str(tmp_path / "run") in capsys.readouterr().out


def test_an_option_overrides_the_file(config, tmp_path):
    words = ["pretrain", "--config", config(max_steps=5), "--max_steps", "1"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert describe(tmp_path / "run")["card"]["recipe"]["steps"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"lr": 1e-3},
        {"weights": [1.0, 0.0]},
        {"accumulate": 2},
        {"held_out": 0.6},
        {"weight_decay": 0.5},
        {"loss": "mpp.train.loss.nmse_loss"},
        {
            "optimizer": {
                "class_path": "mpp.train.optimizer.DecayArrays",
                "init_args": {"kind": "torch.optim.AdamW", "options": {"eps": 1e-3}},
            }
        },
        {
            "schedule": {
                "class_path": "mpp.train.schedule.Cosine",
                "init_args": {"warmup": 1, "least": 0.5},
            }
        },
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_key_changes_the_result(config, tmp_path, change):
    for name, changes in (("usual", {}), ("other", change)):
        words = ["pretrain", "--config", config(**changes), "--out", str(tmp_path / name)]
        assert main(words) == 0
    assert not torch.equal(weights(tmp_path / "usual"), weights(tmp_path / "other"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"drop_path": 0.1}, "drop_path"),
        ({"max_step": 3}, "max_step"),
        ({"lr": "fast"}, "lr"),
        ({"precision": "8-bit"}, "precision"),
        (
            {
                "model": {
                    "class_path": "mpp.model.axial.AxialTransformer",
                    "init_args": {"widht": 8},
                }
            },
            "widht",
        ),
        ({"model": {"class_path": "mpp.model.axial.Oracle"}}, "Oracle"),
        ({"data": None}, "data"),
        ({"loss": "mpp.train.loss.no_loss"}, "no_loss"),
        ({"optimizer": {"class_path": "mpp.train.optimizer.DecayArrays"}}, "kind"),
        (
            {
                "optimizer": {
                    "class_path": "mpp.train.optimizer.DecayArrays",
                    "init_args": {"kind": "absent_package.Optimizer"},
                }
            },
            "absent_package",
        ),
        (
            {
                "schedule": {
                    "class_path": "mpp.train.schedule.Cosine",
                    "init_args": {"warmpu": 3},
                }
            },
            "warmpu",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_key_that_means_nothing_is_refused_by_name(config, tmp_path, capsys, change, named):
    with pytest.raises(SystemExit) as ended:
        main(["pretrain", "--config", config(**change), "--out", str(tmp_path / "run")])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("mpp pretrain: ")
    assert error.count("\n") == 1
    assert named in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_steps": 0}, "max_steps is 0"),
        ({"held_out": 2.0}, "held_out is 2.0"),
        ({"weights": [1.0]}, "1 weights for 2 datasets"),
        ({"data": ["nowhere.nc"]}, "nowhere.nc"),
        (
            {
                "optimizer": {
                    "class_path": "mpp.train.optimizer.DecayArrays",
                    "init_args": {"kind": "torch.optim.AdamW", "options": {"growth": 1}},
                }
            },
            "growth",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_that_cannot_work_is_one_line_and_status_2(
    config, tmp_path, capsys, change, message
):
    words = ["pretrain", "--config", config(**change), "--out", str(tmp_path / "run")]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_a_missing_configuration_is_one_line_and_status_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["pretrain", "--config", str(tmp_path / "none.yaml"), "--out", str(tmp_path / "run")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_existing_folder_is_kept_unless_told(config, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["pretrain", "--config", config(), "--out", str(out)]
    assert main(words) == 0
    first = weights(out)
    assert main([*words, "--seed", "1"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert torch.equal(weights(out), first)
    assert main([*words, "--seed", "1", "--overwrite"]) == 0
    assert not torch.equal(weights(out), first)


def test_resuming_a_finished_run_gives_its_weights_again(config, tmp_path):
    words = ["pretrain", "--config", config(), "--out", str(tmp_path / "run")]
    assert main(words) == 0
    first = weights(tmp_path / "run")
    assert main([*words, "--resume", "true"]) == 0
    assert torch.equal(weights(tmp_path / "run"), first)


def test_an_interruption_is_status_130(config, tmp_path, capsys, monkeypatch):
    def interrupted(self, batch, batch_idx):
        raise KeyboardInterrupt

    monkeypatch.setattr(modules.TrainingModule, "training_step", interrupted)
    assert main(["pretrain", "--config", config(), "--out", str(tmp_path / "run")]) == 130
    assert capsys.readouterr().err.endswith("mpp pretrain: interrupted\n")


def test_another_model_has_its_own_defaults(tmp_path):
    words = ["--data", "a.nc", "--out", str(tmp_path), "--model", "PublishedAViT"]
    made = parser().instantiate(parser().parse_args(words)).model(["tracer"])
    assert (made.size, made.history) == ("Ti", 16)


@pytest.mark.parametrize(
    ("name", "least", "most"), [("mini", 1.5e6, 3e6), ("ti", 7.1e6, 7.4e6), ("avit", 7.2e6, 7.4e6)]
)
def test_every_experiment_can_be_read_and_has_its_size(tmp_path, name, least, most):
    folder = ROOT / "experiments" / "pretrain"
    assert {file.stem for file in folder.glob("*.yaml")} == {"mini", "ti", "avit"}
    words = ["--config", str(folder / f"{name}.yaml"), "--out", str(tmp_path)]
    if name == "avit":
        pytest.importorskip("dadaptation")
    options = parser().instantiate(parser().parse_args(words))
    model = options.model([f"field_{number}" for number in range(12)])
    assert least < sum(value.numel() for value in model.parameters()) < most
    assert len(options.data) == 11


@pytest.fixture
def paper(tmp_path):
    """The published method in miniature, on two systems of 32 x 16 points, and what it is named."""
    rng = np.random.default_rng(0)
    paths = []
    for name in ("drift", "reaction"):
        ds = example((32, 16), samples=3, frames=20).assign_attrs(system=name)
        ds = ds.map(lambda field: field + rng.standard_normal(field.shape), keep_attrs=True)
        ds.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
        paths.append(str(tmp_path / f"{name}.nc"))
    content = yaml.safe_load((ROOT / "experiments" / "pretrain" / "avit.yaml").read_text())
    content |= {"data": paths, "max_steps": 3, "validate_every": 2, "accumulate": 2}
    content["model"]["init_args"] |= {"width": 16, "heads": 2, "depth": 2}
    (tmp_path / "avit.yaml").write_text(yaml.safe_dump(content))
    return ["pretrain", "--config", str(tmp_path / "avit.yaml")]


def test_the_published_method_trains_in_miniature_and_resumes(paper, tmp_path, monkeypatch):
    pytest.importorskip("dadaptation")
    assert main([*paper, "--out", str(tmp_path / "whole")]) == 0
    model = load(tmp_path / "whole")
    recipe = model.card["recipe"]
    assert recipe["loss"] == "nmse_loss"
    assert recipe["optimizer"] == "DAdaptAdan(growth_rate=1.05)"
    assert recipe["schedule"] == "Cosine(warmup=0, least=-0.01, runs=5.0)"
    assert (model.slots, recipe["frames"], recipe["lr"]) == (40, 16, 1.0)
    assert torch.isfinite(weights(tmp_path / "whole")).all()
    step, seen = modules.TrainingModule.training_step, []

    def breaking(self, batch, batch_idx):
        seen.append(batch_idx)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(modules.TrainingModule, "training_step", breaking)
        assert main([*paper, "--out", str(tmp_path / "parts")]) == 130
    assert main([*paper, "--out", str(tmp_path / "parts"), "--resume", "true"]) == 0
    assert torch.equal(weights(tmp_path / "parts"), weights(tmp_path / "whole"))
