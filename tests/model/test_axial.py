"""What the default model does beyond the laws that it shares with every model (test_contract)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mpp import schema
from mpp.batch import Batch
from mpp.errors import InputError
from mpp.model.axial import AxialTransformer
from mpp.model.numbers import Transform
from mpp.model.surrogate import Persistence


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


@pytest.fixture
def numbered(history) -> AxialTransformer:
    """It was trained on two numbers, of which the example holds one."""
    torch.manual_seed(0)
    model = AxialTransformer(history.names, history=5, width=16, heads=2, depth=2).eval()
    span = Transform.fit(np.array([0.05, 0.4]))
    model.learn_numbers({"diffusivity": span, "speed": span})
    for weight in model.parameters():  # a start at zero hides what a number would do
        torch.nn.init.normal_(weight, std=0.3)
    return model


def with_numbers(batch: Batch, **values: float) -> Batch:
    return replace(batch, parameters={k: torch.full((2,), v) for k, v in values.items()})


def test_scales_come_back_and_are_told_in_words():
    model = AxialTransformer(("tracer", "height"), history=5, width=8, heads=1, depth=1, hidden=4)
    model.set_scales({"tracer": (2.0, 0.25)})
    assert model.field_scales == {"tracer": (2.0, 0.25), "height": (1.0, 1.0)}
    told = model.normalization(["tracer"])
    assert "RMS of its last 5 frames" in told
    assert told.endswith("tracer 2 (0.25)")
    assert Persistence().field_scales == {}
    assert Persistence().normalization(["tracer"]) == "none"


@torch.inference_mode()
def test_laws_a_number_matters_and_a_masked_one_is_as_none(numbered, history):
    nothing, masked = with_numbers(history), with_numbers(history, diffusivity=torch.nan)
    # To rounding: the attention adds up another number of terms, of which some are zero.
    torch.testing.assert_close(numbered(nothing), numbered(masked), rtol=1e-5, atol=1e-5)
    low, high = (numbered(with_numbers(history, diffusivity=d)) for d in (0.1, 0.3))
    assert (low - high).abs().max() > 1e-4 * high.std()
    assert (low - numbered(nothing)).abs().max() > 1e-4 * high.std()


@torch.inference_mode()
def test_laws_a_number_that_varies_in_time_tells_no_frame_of_the_future(numbered, history):
    steady = torch.full((2, history.frames), 0.1)
    later = steady.clone()
    later[:, 3:] = 0.3
    one, two, alike = (
        numbered(replace(history, parameters={"diffusivity": values}))
        for values in (steady, later, steady[:, 0])
    )
    torch.testing.assert_close(one, alike, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(one[:, :3], two[:, :3], rtol=1e-5, atol=1e-5)
    assert ((one - two)[:, 3:].flatten(2).abs().amax((0, 2)) > 3e-5 * one.std()).all()


@torch.inference_mode()
def test_laws_a_number_of_one_sample_moves_no_other(numbered, history):
    both = with_numbers(history, diffusivity=0.1)
    other = replace(both, parameters={"diffusivity": torch.tensor([0.1, 0.3])})
    one, two = numbered(both), numbered(other)
    assert torch.equal(one[0], two[0])
    assert not torch.equal(one[1], two[1])


@torch.inference_mode()
def test_laws_the_order_of_numbers_does_not_matter(numbered, history):
    one = with_numbers(history, diffusivity=0.1, speed=0.2)
    other = with_numbers(history, speed=0.2, diffusivity=0.1)
    assert torch.equal(numbered(one), numbered(other))


@torch.inference_mode()
def test_laws_a_model_that_learns_a_new_number_answers_as_before(numbered, history):
    told = with_numbers(history, diffusivity=0.1, gravity=9.8)
    before, read = numbered.predict(told)
    numbered.learn_numbers({"gravity": Transform.fit(np.array([1.0, 2.0]))})
    known = with_numbers(history, diffusivity=0.1)
    after, reads = numbered.predict(known)
    assert torch.equal(before, after)
    assert torch.equal(read, reads[:, :, :-1])
    # The new one matters, before any training, by its random direction.
    assert not torch.equal(numbered(told), after)


def test_laws_what_was_learned_of_a_number_stays_and_its_range_grows(numbered, history):
    told = with_numbers(history, diffusivity=0.1)
    with torch.inference_mode():
        before = numbered(told)
        numbered.learn_numbers({"diffusivity": Transform.fit(np.array([0.01, 0.1]))})
        assert torch.equal(before, numbered(told))
    assert numbered.number_ranges["diffusivity"] == pytest.approx((0.01, 0.4))
    assert numbered.numbers_outside(with_numbers(history, diffusivity=0.5)) == ("diffusivity",)
    assert numbered.numbers_outside(told) == ()


@torch.inference_mode()
def test_laws_a_cached_rollout_knows_its_numbers_at_every_step(numbered, history):
    told = with_numbers(history.window(0, 2), diffusivity=0.1)
    cached = torch.stack(list(numbered.forecast(told, 3)), 1)
    for _ in range(3):
        told = told.extend(numbered(told)[:, -1:])
    torch.testing.assert_close(cached, told.values[:, 2:], rtol=1e-5, atol=1e-5)
