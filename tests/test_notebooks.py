"""The notebooks: short, stored without outputs, and run from their first cell to their last."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
MOST_CELLS = 12
SMALLER = {
    "N, FRAMES, RUNS = 64, 40, 10": "N, FRAMES, RUNS = 32, 24, 5",
    "max_steps=150": "max_steps=3",
}
"""What the tests write in place of numbers of a notebook so that it takes seconds."""


def ids(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_a_notebook_is_short_and_has_no_outputs(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert 0 < len(cells) <= MOST_CELLS
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_a_notebook_runs_and_shows_pictures(path, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    text, found = path.read_text(encoding="utf-8"), 0
    for number, smaller in SMALLER.items():
        found += text.count(number)
        text = text.replace(number, smaller)
    assert found == len(SMALLER)
    notebook = nbformat.reads(text, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [
        output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])
    ]
    assert sum("image/png" in data for data in shown) >= 1
    nbformat.write(notebook, tmp_path / path.name)
