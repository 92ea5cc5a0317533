"""The notebooks: short, stored without outputs, and run from their first cell to their last."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_CELLS = 12
SMALLER = {
    "finetune_on_my_own_simulation": {
        "N, FRAMES, RUNS = 64, 40, 10": "N, FRAMES, RUNS = 32, 24, 5",
        "max_steps=150": "max_steps=3",
    },
    "gallery_of_rollouts": {"STEPS = 20": "STEPS = 6"},
    "how_to_read_the_scores": {"STEPS, RUNS = 20, 4": "STEPS, RUNS = 6, 2"},
    "one_forward_pass": {},
    "pretrain_a_tiny_model": {
        "STEPS, RUNS = 200, 8": "STEPS, RUNS = 8, 4",
        '"gray_scott", "burgers", "kolmogorov_flow"': '"gray_scott", "burgers"',
    },
    "tour_of_the_data": {
        "trajectories=4": "trajectories=1",
        '"gray_scott", "fitzhugh_nagumo", "kolmogorov_flow"': '"gray_scott", "fitzhugh_nagumo"',
    },
    "transfer_against_scratch": {"SIZES, STEPS = (1, 4), 40": "SIZES, STEPS = (1,), 4"},
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
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    text = path.read_text(encoding="utf-8")
    for number, smaller in SMALLER[path.stem].items():
        written = json.dumps(number)[1:-1]
        assert text.count(written) == 1, number
        text = text.replace(written, json.dumps(smaller)[1:-1])
    notebook = nbformat.reads(text, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    shown = [
        output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])
    ]
    assert sum("image/png" in data for data in shown) >= 1
    nbformat.write(notebook, folder / path.name)
