"""Laws of the donors: what is given is used, the others are chosen, and zero is silent."""

import pytest
import torch

from mpp.batch import Batch
from mpp.errors import InputError
from mpp.schema import example
from mpp.train import donors
from mpp.train.datamodule import MixtureData
from mpp.train.donors import grow_from
from mpp.train.finetune import FinetuningModule

NAMES = ("tracer", "velocity_x")


@pytest.fixture
def model(make_model):
    torch.manual_seed(0)
    return make_model(NAMES).eval()


def adapted(model, data, **donors: str) -> FinetuningModule:
    return FinetuningModule(model, data, donors=donors)


@pytest.fixture
def data(make_system):
    ds = make_system("mine", {"tracer": "height", "velocity_x": "depth"})
    return MixtureData([ds], [ds], history=3, batch_size=4)


def test_a_donor_that_is_given_is_used_and_the_other_is_chosen(model, data):
    rows = model.readout["2"].rows.detach().clone()
    for donor in NAMES:
        module = adapted(_copy(model), data, height=donor)
        assert module.donors["height"] == donor
        assert module.donors["depth"] in NAMES
        grown = dict(zip(module.model.names, module.model.readout["2"].rows, strict=True))
        assert torch.equal(grown["height"], rows[NAMES.index(donor)])


def test_few_windows_weed_out_and_all_decide_between_those_left(make_model, monkeypatch):
    # On all windows e is best, but the few have left b, d and a.
    few = {"a": 3.0, "b": 1.0, "c": 4.0, "d": 2.0, "e": 5.0}
    whole = {"a": 2.0, "b": 3.0, "c": 0.5, "d": 1.0, "e": 0.0}
    asked = []

    def loss(model, trial, scales, chosen):
        asked.append((chosen["height"], trial.samples))
        return (few if trial.samples == 2 else whole)[chosen["height"]]

    monkeypatch.setattr(donors, "_trial_loss", loss)
    trial = Batch.from_dataset(example((8, 8), 8, 3)[["tracer"]].rename(tracer="height"))
    assert donors.choose_donors(make_model("abcde"), trial, {}) == {"height": "d"}
    assert asked == [*((name, 2) for name in "abcde"), *((name, 8) for name in "bda")]


def _copy(model):
    made = type(model)(**model.arguments)
    made.load_state_dict(model.state_dict())
    return made.eval()


def test_zero_rows_start_as_persistence_and_say_nothing_of_the_others(model, make_system):
    known = make_system("mine").drop_vars("diffusivity")
    batch = _batch(known.drop_vars("tracer"))
    alone = model(batch)
    grow_from(model, ["height"], {"height": "zero"})
    both = _batch(known.rename(tracer="height"))
    with torch.no_grad():
        said = model(both)
    place = {name: said[:, :, number] for number, name in enumerate(both.names)}
    assert torch.equal(place["height"], both.values[:, :, both.names.index("height")])
    torch.testing.assert_close(place["velocity_x"], alone[:, :, 0])


def _batch(ds):
    return next(iter(MixtureData([ds], [ds], history=3, batch_size=4).val_dataloader()[0]))


def test_zero_rows_learn(model, data, tmp_path):
    from mpp.train.fit import fit

    module = adapted(model, data, height="zero", depth="zero")
    fit(module, data, tmp_path, max_steps=3)
    assert module.donors == {"height": "zero", "depth": "zero"}
    for end in (model.embed["2"], model.readout["2"]):
        assert (end.rows[2:] != 0).any(-1).any(-1).all()


@pytest.mark.parametrize(
    ("donors", "message"),
    [
        ({"pressure": "tracer"}, "the data has no field pressure .it has height, depth"),
        ({"height": "pressure"}, "the model has no field pressure; give one of tracer, velocity_x"),
    ],
)
def test_unknown_names_are_refused(model, data, donors, message):
    with pytest.raises(InputError, match=message):
        adapted(model, data, **donors)
    assert model.names == NAMES


def test_a_field_that_is_known_has_no_donor(model, make_system):
    ds = make_system("mine", {"tracer": "height"})
    with pytest.raises(InputError, match="the model knows velocity_x already"):
        adapted(model, MixtureData([ds], [ds], history=3), velocity_x="tracer")
