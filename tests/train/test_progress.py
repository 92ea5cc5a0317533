"""The bar tells which training it is, how far it is, and what it has come to."""

import re

from mpp.train.datamodule import MixtureData
from mpp.train.fit import fit
from mpp.train.modules import TrainingModule
from mpp.train.progress import NotebookLine


def test_the_bar_ends_full_with_loss_and_validation(two_systems, make_model, tmp_path, capsys):
    data = MixtureData(two_systems[:1], two_systems[:1], history=3, batch_size=4)
    model = make_model(("tracer", "velocity_x"))
    fit(TrainingModule(model), data, tmp_path, max_steps=2, task="warm up")
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"warm up .*2/2 .*loss \d\.\d{3}, val \d\.\d{3}", " ".join(err.split()))


def test_a_notebook_gets_one_line_that_is_replaced(monkeypatch):
    shown = []

    class Handle:
        def update(self, data, raw):
            assert raw
            shown.append(data["text/plain"])

    monkeypatch.setattr("IPython.display.display", lambda *data, **options: Handle())
    line = NotebookLine("warm up", 20)
    for step in range(1, 21):
        line.update(step, 20, f"loss {1 / step:.3f}")
    line.stop()
    assert len(shown) < 20, "not one message a step"
    assert shown[-1].startswith("warm up 20/20, 0 s left, loss 0.050")
