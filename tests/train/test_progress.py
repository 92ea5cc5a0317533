"""The bar tells which training it is, how far it is, and what it has come to."""

import re

from mpp.train.datamodule import MixtureData
from mpp.train.fit import fit
from mpp.train.modules import TrainingModule


def test_the_bar_ends_full_with_loss_and_validation(two_systems, make_model, tmp_path, capsys):
    data = MixtureData(two_systems[:1], two_systems[:1], history=3, batch_size=4)
    model = make_model(("tracer", "velocity_x"))
    fit(TrainingModule(model), data, tmp_path, max_steps=2, task="warm up")
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"warm up .*2/2 .*loss \d\.\d{3}, val \d\.\d{3}", " ".join(err.split()))
