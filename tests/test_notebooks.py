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
        "N, FRAMES, RUNS = 64, 40, 10": "N, FRAMES, RUNS = 32, 20, 4",
        "max_steps=150": "max_steps=3",
    },
    "gallery_of_rollouts": {"STEPS = 20": "STEPS = 2", '"resolution": 64': '"resolution": 32'},
    "how_to_read_the_scores": {
        "STEPS, RUNS = 20, 4": "STEPS, RUNS = 6, 2",
        '"resolution": 64': '"resolution": 32, "workers": 1',
    },
    "one_forward_pass": {},
    "pretrain_a_tiny_model": {
        "STEPS, RUNS = 200, 8": "STEPS, RUNS = 8, 4",
        '"gray_scott", "burgers", "kolmogorov_flow"': '"fitzhugh_nagumo", "burgers"',
        "solver_pool(2)": "solver_pool(1)",
    },
    "tour_of_the_data": {
        '"trajectories": 4, "resolution": 64': '"trajectories": 1, "resolution": 32',
        "solver_pool(2)": "solver_pool(1)",
        '"gray_scott", "fitzhugh_nagumo", "kolmogorov_flow"': '"gray_scott", "fitzhugh_nagumo"',
    },
    "transfer_against_scratch": {
        "SIZES, STEPS = (1, 4), 40": "SIZES, STEPS = (1,), 4",
        '"resolution": 64': '"resolution": 48',
        "solver_pool(2)": "solver_pool(1)",
        "trajectories=4": "trajectories=1",
        "lead_steps=(1, 5, 10)": "lead_steps=(1, 3)",
    },
}
"""What the tests write in place of numbers of a notebook so that it takes seconds."""
FORGET = "[globals().pop(name) for name in get_ipython().run_line_magic('who_ls', '')];"
"""Undefines all that a notebook defined; `%reset` takes from Python what new processes need."""


def ids(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_a_notebook_is_short_and_has_no_outputs(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert 0 < len(cells) <= MOST_CELLS
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)


@pytest.fixture(scope="module")
def runner():
    """One kernel for all notebooks, since it takes seconds to read the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        client = NotebookClient(nbformat.v4.new_notebook(), timeout=600)
        with client.setup_kernel():
            yield client


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_a_notebook_runs_and_shows_pictures(path, tmp_path, runner):
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    text = path.read_text(encoding="utf-8")
    for number, smaller in SMALLER[path.stem].items():
        written = json.dumps(number)[1:-1]
        assert text.count(written) == 1, number
        text = text.replace(written, json.dumps(smaller)[1:-1])
    notebook = nbformat.reads(text, as_version=4)
    # It begins in its folder, with no name defined, whatever ran in the kernel before.
    begin = nbformat.v4.new_code_cell(f"%cd -q {folder}\n{FORGET}")
    notebook.cells.insert(0, begin)
    runner.nb = notebook
    runner.reset_execution_trackers()
    for number, cell in enumerate(notebook.cells):
        runner.execute_cell(cell, number)
    notebook.cells.remove(begin)
    shown = [
        output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])
    ]
    assert sum("image/png" in data for data in shown) >= 1
    nbformat.write(notebook, folder / path.name)
