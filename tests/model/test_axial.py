"""What the default model does beyond the laws that it shares with every model (test_contract)."""

from dataclasses import replace

import pytest
import torch

from mpp import schema
from mpp.batch import Batch
from mpp.errors import InputError
from mpp.model.axial import AxialTransformer


@pytest.fixture
def history() -> Batch:
    return Batch.from_dataset(schema.example((16, 12), frames=5))


def test_laws_a_rollout_step_encodes_one_frame_and_keeps_no_more_than_its_window(history):
    model = AxialTransformer(history.names, history=5, width=16, heads=2, depth=2).eval()
    frames_seen = []
    model.blocks[0].register_forward_hook(
        lambda _, given, __: frames_seen.append(given[0].shape[1])
    )
    list(model.forecast(history, 8))
    assert frames_seen == [5, 1, 1, 1, 1, 1, 1, 1]
    with torch.inference_mode():
        _, state = model.advance(history, None)
        _, state = model.advance(history.window(4, 5), state)
    assert state.caches[0].key.shape[2] == model.history - 1


def test_laws_half_of_the_targets_in_training_come_from_a_window_that_has_slid(history):
    assert AxialTransformer(history.names, history=5).training_frames == 10


def test_laws_blocks_computed_anew_give_the_same_gradient(history):
    torch.manual_seed(0)
    model = AxialTransformer(history.names, width=16, heads=2, depth=2)
    gradients = []
    for model.checkpointing in (False, True):
        model.zero_grad()
        model(history).square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for kept, anew in zip(*gradients, strict=True):
        torch.testing.assert_close(kept, anew)


@pytest.mark.parametrize(
    ("points", "tokens"), [((32, 64), (4, 8)), ((128, 32), (16, 4)), ((130, 32), (9, 2))]
)
def test_laws_the_patch_doubles_where_a_grid_would_have_more_than_16_tokens(points, tokens):
    ds = schema.example(points, frames=2)
    batch = Batch.from_dataset(ds)
    model = AxialTransformer(batch.names, width=16, heads=2, depth=1, hidden=8, levels=2)
    assert model.patch == (8, 16)
    seen = []
    model.blocks[0].register_forward_hook(lambda _, given, __: seen.append(given[0].shape[2:4]))
    assert model(batch).shape == batch.values.shape
    assert seen == [torch.Size(tokens)]


def test_laws_a_rollout_keeps_the_time_step_and_one_frame_has_none(history):
    torch.manual_seed(0)
    model = AxialTransformer(history.names, width=16, heads=2, depth=1).eval()
    with torch.inference_mode():
        _, state = model.advance(history, None)
        _, after = model.advance(history.window(4, 5), state)
        _, unknown = model.advance(history.window(4, 5), None)
    assert state.step is not None
    # The frames of the example are as far apart as its time coordinate says.
    expected = history.time[:, 1] - history.time[:, 0]
    torch.testing.assert_close(state.step, expected)
    assert after.step is state.step
    assert unknown.step is None


@pytest.mark.parametrize(("points", "token"), [(30, 2), (32, 2), (36, 4), (40, 4)])
def test_laws_a_grid_of_more_than_16_tokens_takes_larger_ones_and_rolls_by_them(points, token):
    batch = Batch.from_dataset(schema.example((points, 8), 1, boundary=("periodic",)))
    noise = torch.randn(batch.values.shape, generator=torch.Generator().manual_seed(0))
    batch = replace(batch, values=batch.values + noise)
    torch.manual_seed(0)
    model = AxialTransformer(batch.names, 8, 16, 2, 1, 8, fine=2, coarse=1, levels=2)
    for shift in (2, 4):
        rolled = model(replace(batch, values=batch.values.roll(shift, 3)))
        equal = torch.allclose(rolled, model(batch).roll(shift, 3), rtol=1e-4, atol=1e-4)
        assert equal == (shift % token == 0)


def test_laws_a_free_run_is_a_forecast_with_gradients(history):
    torch.manual_seed(0)
    model = AxialTransformer(history.names, width=16, heads=2, depth=1, hidden=8)
    predicted = model.free_run(history, 2)
    assert predicted.shape == history.values.shape
    with torch.inference_mode():
        torch.testing.assert_close(predicted[:, :2], model(history.window(0, 2)))
    forecast = torch.stack(list(model.forecast(history.window(0, 2), 4)), 1)
    torch.testing.assert_close(predicted[:, 1:], forecast)
    # What the last frame owes to the first prediction reaches the weights.
    grads = torch.autograd.grad(predicted[:, -1].square().mean(), predicted_from(model))
    assert all(grad.abs().max() > 0 for grad in grads)


def predicted_from(model: AxialTransformer) -> list[torch.Tensor]:
    return [block.mlp_in.weight for block in model.blocks]


@pytest.mark.parametrize(("ranks", "known"), [((1, 3), "1, 3"), ((1,), "1")])
def test_a_number_of_axes_without_weights_is_refused(history, ranks, known):
    model = AxialTransformer(history.names, width=16, heads=2, depth=1, ranks=ranks)
    with pytest.raises(InputError, match=f"ends for {known} space axes, the data has 2"):
        model(history)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "3 heads do not divide a width of 128"),
        ({"history": 0}, "history is 0"),
        ({"coarse": 0}, "coarse is 0"),
        ({"ranks": []}, r"ranks are \[\]"),
        ({"ranks": [4]}, r"ranks are \[4\]"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        AxialTransformer(["tracer"], **options)
