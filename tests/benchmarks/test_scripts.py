"""Every script of benchmarks/ that has a command runs it when it is called."""

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def called(path: Path) -> list[str]:
    """What a file calls when it is the script."""
    found = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        while isinstance(node, ast.If):
            if ast.unparse(node.test) == "__name__ == '__main__'":
                found += [ast.unparse(part) for part in node.body]
            (node,) = node.orelse or [None]
    return found


SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if "argparse" in path.read_text()]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_its_command(path):
    calls = called(path)
    if path.stem == "number_study":  # its script is numbers.py
        assert calls == []
        assert called(FOLDER / "numbers.py") == [
            "from number_study import main", "main(__doc__)",
        ]  # fmt: skip
    elif "def main(" in path.read_text(encoding="utf-8"):
        assert calls == ["main()"]
