"""Laws of the modes: the first step moves exactly what should train, and nothing else moves."""

import copy

import pytest
import torch

from mpp.errors import InputError
from mpp.model.lora import matrices, merge, tables
from mpp.train.datamodule import MixtureData
from mpp.train.finetune import FinetuningModule
from mpp.train.fit import fit
from mpp.train.modes import MODES, RATES, require_policy

NAMES = ("tracer", "velocity_x")
ROWS = (
    "embed.2.rows", "readout.2.rows", "readout.2.bias", "speed",
    "numbers.direction", "numbers.offset", "numbers.head", "numbers.head_bias",
)  # fmt: skip


@pytest.fixture
def data(make_system):
    ds = make_system("mine", {"tracer": "height", "diffusivity": "viscosity"})
    return MixtureData([ds], [ds], history=3, batch_size=4)


@pytest.fixture
def train(make_model, data, tmp_path):
    def run(mode: str, steps: int, **options):
        """The model as it is before training, and as training leaves it; decay is on."""
        modules = []
        for _ in range(2):
            torch.manual_seed(0)
            options |= {"weight_decay": 0.1, "rollouts": 0}
            modules.append(FinetuningModule(make_model(NAMES), data, mode=mode, **options))
        module, before = modules[0], modules[1].model
        fit(module, data, tmp_path / f"{mode}{steps}", max_steps=steps, validate_every=steps)
        merge(before)
        merge(module.model)
        return dict(before.named_parameters()), dict(module.model.named_parameters())

    return run


def moved(before, after) -> dict[str, list[bool] | bool]:
    """By name whether a parameter differs; by row where rows are by name of field or number."""
    found = {}
    for name, value in after.items():
        differs = value.detach() != before[name].detach()
        found[name] = differs.flatten(1).any(1).tolist() if name in ROWS and differs.ndim > 1 else (
            differs.tolist() if name in ROWS else bool(differs.any())
        )  # fmt: skip
    return found


# The model knows tracer, which does not occur, and velocity_x; height is new. Of the numbers the
# time step is old and viscosity new.
OF_DATA, NEW = [False, True, True], [False, False, True]


def expected(mode: str, name: str):
    fields = not name.startswith("numbers")
    if name == "numbers.direction":
        return NEW[1:]  # the time step never varied: it is zero, times its direction
    if name in ROWS:
        if mode == "lora":
            return NEW if fields else NEW[1:]
        return OF_DATA if fields else OF_DATA[1:]
    head = name.startswith(("embed.", "readout.", "boundary."))
    inside = name.startswith(("blocks.", "embed.", "readout."))
    mapped = inside and name.endswith(".weight") and "norm" not in name
    return {"full": True, "head": head, "gradual": head, "lora": mapped}[mode]


@pytest.mark.parametrize("mode", MODES)
def test_the_first_step_moves_exactly_what_should_train(train, mode):
    found = moved(*train(mode, 1, head_share=0.6))
    # The time step is hidden from the first batch: it is asked for and not told.
    hidden = {"numbers.offset": NEW[1:]}
    assert found == {name: hidden.get(name, expected(mode, name)) for name in found}


@pytest.mark.parametrize("mode", ["head", "lora"])
def test_what_is_frozen_never_moves(train, mode):
    found = moved(*train(mode, 4))
    assert found == {name: expected(mode, name) for name in found}


@pytest.mark.parametrize(("share", "all_move"), [(0.9, False), (0.5, True)])
def test_gradual_trains_everything_after_its_share(train, share, all_move):
    found = moved(*train("gradual", 4, head_share=share))
    trains = "full" if all_move else "head"
    assert found == {name: expected(trains, name) for name in found}


def test_adapters_change_nothing_before_training_and_both_factors_train(make_model, data, tmp_path):
    torch.manual_seed(0)
    whole = FinetuningModule(make_model(NAMES), data)
    torch.manual_seed(0)
    thin = FinetuningModule(make_model(NAMES), data, mode="lora", rank=2)
    batch = next(iter(data.train_dataloader()))
    with torch.no_grad():
        assert torch.equal(thin.model.eval()(batch), whole.model.eval()(batch))
    lows = [linear.parametrizations.weight[0] for _, linear in matrices(thin.model)]
    start = [low.down.detach().clone() for low in lows]
    fit(thin, data, tmp_path, max_steps=2)
    assert all((low.up != 0).any() for low in lows)
    assert not any(torch.equal(low.down, old) for low, old in zip(lows, start, strict=True))


def test_merged_adapters_compute_the_same_under_the_usual_names(make_model, data, tmp_path):
    module = FinetuningModule(make_model(NAMES), data, mode="lora", rank=2)
    usual = set(FinetuningModule(make_model(NAMES), data).model.state_dict())
    fit(module, data, tmp_path, max_steps=2)
    batch, model = next(iter(data.train_dataloader())), module.model.eval()
    kind = type(make_model(NAMES))
    with torch.no_grad():
        said = model(batch)
        merge(model)
        assert torch.equal(model(batch), said)
    assert set(model.state_dict()) == usual
    assert type(model) is kind


def test_every_matrix_and_kernel_has_an_adapter_and_every_row_by_name_a_table(make_model):
    model = make_model(NAMES)
    adapted = {f"{name}.weight" for name, _ in matrices(model)}
    large = {
        name for name, value in model.named_parameters()
        if value.ndim >= 2 and name.endswith(".weight") and not name.startswith("numbers.")
    }  # fmt: skip
    assert adapted == large
    grown = copy.deepcopy(model)
    grown.grow(["height"])
    grown.numbers.grow(["viscosity"])
    sizes = {name: value.shape for name, value in model.named_parameters()}
    longer = {name for name, value in grown.named_parameters() if value.shape != sizes[name]}
    assert {name for name, *_ in tables(model)} == longer == set(ROWS)


def test_adapters_of_the_shipped_model_are_few():
    from mpp.model.lora import adapt
    from mpp.train.modes import RANK
    from mpp.weights import load

    model = load("mpp-mini")
    every = sum(value.numel() for value in model.parameters())
    fields, numbers = len(model.names), len(model.numbers.names)
    model.grow([f"new_{n}" for n in range(4)])
    model.numbers.grow(["first", "second"])
    adapt(model, RANK, fields, numbers)
    assert sum(v.numel() for v in model.parameters() if v.requires_grad) < 0.05 * every


def test_a_mode_has_its_own_rate_unless_one_is_given(make_model, data):
    for mode in MODES:
        assert FinetuningModule(make_model(NAMES), data, mode=mode).lr == RATES[mode]
    assert FinetuningModule(make_model(NAMES), data, 0.1, mode="head").lr == 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "some"}, "mode is 'some'; expected one of full, head, lora, gradual"),
        ({"mode": "lora", "rank": 0}, "rank is 0"),
        ({"mode": "gradual", "head_share": 1.0}, "head_share is 1.0"),
        ({"unroll": 0}, "unroll is 0"),
    ],
)
def test_what_is_no_mode_is_refused(make_model, data, options, message):
    with pytest.raises(InputError, match=message):
        FinetuningModule(make_model(NAMES), data, **options)


@pytest.mark.parametrize(
    ("policy", "limit", "message"),
    [("ignore", 3, "on_bad_loss is 'ignore'; expected stop or skip"), ("skip", -1, "skip_limit")],
)
def test_what_is_no_way_to_treat_bad_losses_is_refused(policy, limit, message):
    require_policy("skip", 0)
    with pytest.raises(InputError, match=message):
        require_policy(policy, limit)
