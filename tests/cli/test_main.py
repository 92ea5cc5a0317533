"""Laws of the program: 0 when it worked, 2 and one line when the input was wrong, help for all."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from mpp import __version__
from mpp.cli.main import COMMANDS, main
from mpp.errors import InputError


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_names_every_command(words, capsys):
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("word", ["-V", "--version"])
def test_the_version_is_told(word, capsys):
    assert main([word]) == 0
    assert capsys.readouterr().out == f"mpp {__version__}\n"


@pytest.mark.parametrize("word", ["fly", "--verbose", "../evil", "mpp.cli.main"])
def test_an_unknown_command_is_one_line_and_status_2(word, capsys):
    assert main([word]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert word in shown.err
    assert "pretrain" in shown.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "example:" in shown
    assert f"mpp {name}" in shown.split("example:")[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_option_is_one_line_and_status_2(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--no-such-option"])
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"mpp {name}: ")
    assert shown.err.count("\n") == 1


@pytest.fixture
def command(monkeypatch):
    """A command that does what the test says."""

    def install(run):
        parser = SimpleNamespace(parse_args=lambda words: SimpleNamespace(words=words))
        fake = SimpleNamespace(parser=lambda: parser, run=run)
        monkeypatch.setitem(sys.modules, "mpp.cli.inspect", fake)

    return install


def raising(error):
    def run(arguments):
        raise error

    return run


def test_a_mistake_is_one_line_and_status_2(command, capsys):
    command(raising(InputError("x.nc: no\ntime axis")))
    assert main(["inspect"]) == 2
    assert capsys.readouterr().err == "mpp inspect: x.nc: no time axis\n"


def test_an_interruption_is_status_130(command, capsys):
    command(raising(KeyboardInterrupt()))
    assert main(["inspect"]) == 130
    assert capsys.readouterr().err == "mpp inspect: interrupted\n"
    command(raising(KeyboardInterrupt("interrupted after step 3; it is in a.nc")))
    assert main(["inspect"]) == 130
    assert capsys.readouterr().err == "mpp inspect: interrupted after step 3; it is in a.nc\n"


def test_a_fault_of_the_program_is_not_hidden(command):
    command(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["inspect"])


def test_the_overview_does_not_wait_for_torch():
    code = "import sys; from mpp.cli.main import main; main([]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_scoring_does_not_wait_for_torchmetrics():
    code = "import sys, mpp.evaluation; sys.exit('torchmetrics' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
