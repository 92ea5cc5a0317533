"""Laws of numbers: a command and a function refuse what means nothing, before any work."""

import importlib
import inspect
import re
from dataclasses import fields

import pytest

import mpp
from mpp.cli.main import COMMANDS, main
from mpp.errors import InputError
from mpp.model.surrogate import Persistence
from mpp.ranges import RANGES, require
from mpp.schema import example
from mpp.study.plan import Study
from mpp.train.pretrain import pretrain

BAD = ("-1", "0", "nan", "inf", "1e400", "word", "1" + "0" * 30)
ZERO = {
    "perturb", "rollouts", "sample", "seed", "skip_limit", "unroll_share", "weight_decay",
    "workers", "port",
}  # fmt: skip
"""Names of numbers that may be 0; of a mixture's weights one at least is above it."""
HUGE = {"perturb", "limit", "lr", "max_minutes", "mode_lr", "rates", "scratch_lr", "time_step",
        "weight_decay", "weights"}  # fmt: skip
"""Names of numbers that have no highest value."""
FUNCTIONS = (mpp.finetune, mpp.pretrain, mpp.evaluate, mpp.rollout, Study)


def parser(command):
    return importlib.import_module(f"mpp.cli.{command.replace('-', '_')}").parser()


def numeric(function) -> list[str]:
    """Names of the parameters that are numbers."""
    kinds = {n: str(p.annotation) for n, p in inspect.signature(function).parameters.items()}
    numbers = {n for n, kind in kinds.items() if re.search(r"\b(int|float)\b", kind)}
    return sorted(n for n in numbers if "Callable" not in kinds[n])


OPTIONS = [
    (command, action.option_strings[-1], action.dest)
    for command in COMMANDS
    if command != "pretrain"
    for action in parser(command)._actions
    if action.type in (int, float) or action.dest in RANGES
] + [("pretrain", f"--{name}", name) for name in numeric(pretrain)]


def required(command, parsers) -> list[str]:
    """Words for what a command cannot do without."""
    if command == "pretrain":
        return ["--data", "nowhere.nc", "--out", "nowhere"]
    words = []
    for action in parsers._actions:
        if action.required:
            value = {int: "1"}.get(action.type, "nowhere")
            words += [*action.option_strings[-1:], value]
    for group in parsers._mutually_exclusive_groups:
        if group.required:
            chosen = group._group_actions[0]
            words += [*chosen.option_strings[-1:], "nowhere"]
    return words


def test_the_table_of_options_is_not_empty():
    assert len(OPTIONS) > 60
    assert {command for command, *_ in OPTIONS} >= {"finetune", "pretrain", "transfer", "rollout"}


@pytest.mark.parametrize(("command", "option", "name"), OPTIONS)
def test_no_command_takes_a_number_that_means_nothing(
    command, option, name, tmp_path, capsys, monkeypatch
):
    # The data is nowhere: a number that is let through ends with that.
    monkeypatch.chdir(tmp_path)
    words = required(command, parser(command))
    if option in words:
        place = words.index(option)
        words = words[:place] + words[place + 2 :]
    for word in BAD:
        if (word == "0" and name in ZERO) or (word == BAD[-1] and name in HUGE):
            continue
        given = f"[{word}]" if name == "weights" else word
        try:
            status = main([command, *words, option, given])
        except SystemExit as ended:
            status = ended.code
        told = capsys.readouterr().err
        assert status == 2, (word, told)
        assert told.count("\n") == 1, (word, told)
        assert name in told or option in told or option[2:].replace("_", "-") in told, (word, told)
        assert "nowhere" not in told, (word, told)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_number_of_a_function_has_a_range(function):
    assert set(numeric(function)) <= set(RANGES)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "word"])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_no_function_takes_a_number_that_means_nothing(function, value, tmp_path):
    start = {
        mpp.finetune: (mpp.load("mpp-mini"), example()),
        mpp.pretrain: ([], tmp_path / "out"),
        mpp.evaluate: (Persistence(), example(), 1),
        mpp.rollout: (Persistence(), example(), 1),
        Study: (),
    }[function]
    several = {
        Study: [each.name for each in fields(Study) if isinstance(each.default, tuple)],
        mpp.pretrain: ["weights"],
    }.get(function, [])
    for name in numeric(function):
        given = {name: (value,) if name in several else value}
        by_place = start[:2] if name == "steps" else start
        with pytest.raises(InputError, match=rf"^{name} is "):
            function(*by_place, **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", sorted(RANGES))
def test_a_range_holds_its_ends_only_where_it_says(name):
    range_ = RANGES[name]
    assert (range_.low in range_) != range_.above
    if range_.high != float("inf"):
        assert (range_.high in range_) != range_.below
        assert range_.high + 1 not in range_
    assert range_.low - 1 not in range_
    assert (range_.low + 0.5 in range_) != range_.whole


def test_a_new_option_needs_a_range():
    from mpp.cli.parsing import CommandParser

    made = CommandParser("new", "Does something.", "mpp new")
    made.add_argument("--weight-of-the-moon", type=float, default=1.0)
    with pytest.raises(KeyError, match="weight_of_the_moon"):
        made.parse_args([])


def test_what_is_left_out_is_in_no_range():
    require(lr=None, sizes=())
    with pytest.raises(InputError, match=r"sizes is \[1, 0\]; give at least 1"):
        require(sizes=(1, 0))
    with pytest.raises(InputError, match=r"steps is 2\.5; give at least 1"):
        require(steps=2.5)
    with pytest.raises(InputError, match="give at most 2147483647"):
        require(steps=2**31)
