"""mpp plan reads a checkpoint or a configuration, and data or a grid, and prints what it costs."""

import json

import pytest
import yaml

import mpp
from mpp import schema
from mpp.cli.main import main
from mpp.cli.plan import amount, span
from mpp.model.axial import AxialTransformer

SMALL = {"history": 3, "width": 16, "heads": 2, "depth": 1, "hidden": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small checkpoint, data it knows one field of, and the configuration of a pretraining."""
    path = tmp_path_factory.mktemp("plan")
    mpp.save(AxialTransformer(["tracer"], **SMALL), path / "model")
    schema.example((16, 8), frames=12).to_netcdf(path / "runs.nc")
    made = {
        "data": [str(path / "runs.nc")],
        "model": {"class_path": "AxialTransformer", "init_args": SMALL},
        "max_steps": 70,
        "batch_size": 3,
        "rollouts": 0.0,
    }
    (path / "small.yaml").write_text(yaml.safe_dump(made))
    return path


def planned(words, capsys):
    assert main(["plan", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_finetuning_a_checkpoint_on_data_counts_new_fields(folder, capsys):
    words = ["--checkpoint", folder / "model", "--data", folder / "runs.nc", "--on", "h100"]
    found = planned([*words, "--max-steps", 5], capsys)
    assert found["windows"] == [
        {"system": "example", "grid": [16, 8], "fields": ["tracer", "velocity_x"]}
    ]
    model = AxialTransformer(["tracer", "velocity_x"], numbers=["diffusivity"], **SMALL)
    assert found["total_parameters"] == sum(p.numel() for p in model.parameters())
    assert found["seconds"] == 5 * found["seconds_a_step"]


def test_a_pretraining_takes_steps_and_batches_from_its_configuration(folder, capsys):
    words = ["--config", folder / "small.yaml", "--on", "a100"]
    found = planned(words, capsys)
    assert found["steps"] == 70
    doubled = planned([*words, "--batch-size", 6], capsys)
    assert doubled["total_flops"] - doubled["flops"]["optimizer"] == pytest.approx(
        2 * (found["total_flops"] - found["flops"]["optimizer"]), rel=0.01
    )


def test_the_page_says_what_was_measured_and_what_only_stated(folder, capsys):
    words = ["plan", "--config", str(folder / "small.yaml"), "--grid", "16", "16", "--fields", "1"]
    assert main([*words, "--on", "l40s", "--reached", "0.25", "--growth"]) == 0
    out = capsys.readouterr().out
    assert "25% of its limits (stated, not measured)" in out
    assert "a grid (16 x 16, 1 field)" in out
    assert "attention over time" in out
    assert "twice as many" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--checkpoint", "{}/model"], "nothing to train on; give --data PATH"),
        (["--checkpoint", "{}/model", "--grid", "8", "8", "8"], "the data has 3"),
        (["--config", "{}/absent.yaml"], "no such file"),
        (["--config", "{}/small.yaml", "--on", "abacus"], "no hardware 'abacus'"),
        (["--config", "{}/small.yaml", "--reached", "3"], "give a share above 0"),
        (["--checkpoint", "{}/model", "--grid", "0"], "give at least 1"),
    ],
)
def test_what_cannot_be_planned_is_one_line(folder, words, expected, capsys):
    assert main(["plan", *(word.format(folder) for word in words)]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_numbers_are_said_in_readable_units():
    assert [amount(n) for n in (3, 2_500, 34.8e9, 1.2e22)] == ["3 ", "2.5 k", "34.8 G", "12 Z"]
    assert [span(s) for s in (0.0123, 90, 7200, 2e5)] == ["12.3 ms", "1.5 min", "2 h", "2.31 days"]
    assert span(3.156e8) == "10 years"
