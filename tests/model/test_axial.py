"""Laws of the default model, in 1-D to 3-D, at odd and even sizes, along each kind of boundary."""

from dataclasses import replace

import pytest
import torch

from mpp import schema
from mpp.batch import Batch
from mpp.errors import InputError
from mpp.model.axial import AxialTransformer

GRIDS = [(16,), (24,), (13,), (16, 24), (8, 21), (8, 8, 8), (8, 11, 5)]


def batch_of(
    shape: tuple[int, ...], frames: int = 5, boundary: tuple[str, ...] = ("periodic",)
) -> Batch:
    """Smooth example fields with noise on top, so that no symmetry hides a mistake."""
    batch = Batch.from_dataset(schema.example(shape, frames=frames, boundary=boundary))
    noise = torch.randn(batch.values.shape, generator=torch.Generator().manual_seed(0))
    return replace(batch, values=batch.values + 0.3 * noise)


def model_for(batch: Batch, **changes: object) -> AxialTransformer:
    """A small model with every parameter moved off its start, where zeros could hide a mistake."""
    torch.manual_seed(0)
    arguments = {"history": 5, "width": 16, "heads": 2, "depth": 2, "hidden": 8, "coarse": 2}
    ranks = {"ranks": (len(batch.axes),)}
    model = AxialTransformer(batch.names, **{**arguments, **ranks, **changes}).eval()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    return model


@pytest.mark.parametrize("shape", GRIDS)
def test_output_has_the_shape_of_the_input(shape):
    batch = batch_of(shape)
    assert model_for(batch)(batch).shape == batch.values.shape


@pytest.mark.parametrize("shape", GRIDS)
@pytest.mark.parametrize("given", [1, 2, 5])
def test_cached_rollout_equals_recomputed_rollout(shape, given):
    history = batch_of(shape).window(0, given)
    model = model_for(history)
    steps = model.history - given + 1  # the last step looks back on a full window
    cached = torch.stack(list(model.forecast(history, steps)), 1)
    grown = history
    with torch.inference_mode():
        for _ in range(steps):
            grown = grown.extend(model(grown)[:, -1:])
    torch.testing.assert_close(cached, grown.values[:, given:], rtol=1e-5, atol=1e-5)


def test_a_forecast_looks_back_on_the_history_and_no_further():
    long = batch_of((16, 16)).extend(batch_of((16, 16)).values)
    model = model_for(long)
    first = next(model.forecast(long, 1))
    recent = long.window(long.frames - model.history, long.frames)
    assert torch.equal(first, next(model.forecast(recent, 1)))


def test_rollout_slides_past_the_window_at_the_cost_of_one_frame():
    history = batch_of((16, 16))
    model = model_for(history)
    frames = list(model.forecast(history, 3 * model.history))
    assert all(torch.isfinite(frame).all() for frame in frames)
    _, state = model.advance(history, None)
    _, state = model.advance(history.window(4, 5), state)
    assert state.caches[0].key.shape[2] == model.history - 1


@pytest.mark.parametrize("tokens", [3, 4, 5, 8])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_rolling_whole_patches_along_a_periodic_axis_rolls_the_output(tokens, rank):
    patch = 4
    batch = batch_of((tokens * patch, 8, 4)[:rank])
    model = model_for(batch)
    for shift in (1, tokens - 1):
        rolled = replace(batch, values=batch.values.roll(shift * patch, 3))
        expected = model(batch).roll(shift * patch, 3)
        torch.testing.assert_close(model(rolled), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["wall", "open", "no-flux", "fixed"])
def test_rolling_along_any_other_axis_does_not(kind):
    batch = batch_of((16, 8), boundary=(kind, "periodic"))
    model = model_for(batch)
    rolled = replace(batch, values=batch.values.roll(4, 3))
    assert not torch.allclose(model(rolled), model(batch).roll(4, 3), atol=1e-3)


@pytest.mark.parametrize("side", [0, 1])
def test_each_side_of_an_axis_is_known_by_its_kind(side):
    batch = batch_of((16, 8), boundary=("wall", "periodic"))
    model = model_for(batch)
    kinds = ["wall", "wall"]
    kinds[side] = "open"
    other = replace(batch, axes=(replace(batch.axes[0], boundary=tuple(kinds)), batch.axes[1]))
    assert not torch.allclose(model(batch), model(other), atol=1e-4)


def test_no_frame_sees_its_future():
    batch = batch_of((16, 12))
    model = model_for(batch)
    changed = batch.values.clone()
    changed[:, 3:] *= 7
    before, after = model(batch), model(replace(batch, values=changed))
    torch.testing.assert_close(after[:, :3], before[:, :3])
    assert not torch.allclose(after[:, 3], before[:, 3])


def test_samples_do_not_see_each_other():
    batch = batch_of((16, 12))
    model = model_for(batch)
    torch.testing.assert_close(model(batch)[1:], model(batch.sample(1)), rtol=1e-5, atol=1e-6)


def test_the_order_of_the_fields_does_not_matter():
    batch = batch_of((16, 12))
    model = model_for(batch)
    turned = replace(batch, values=batch.values.flip(2), fields=batch.fields[::-1])
    torch.testing.assert_close(model(turned).flip(2), model(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factor", [1e-2, 1e6])
def test_scaling_a_field_scales_its_prediction(factor):
    batch = batch_of((16, 12))
    model = model_for(batch)
    units = torch.tensor([factor, 1.0]).view(2, 1, 1)
    scaled = replace(batch, values=batch.values * units)
    torch.testing.assert_close(model(scaled) / units, model(batch), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("level", [0.0, 3.0, 1e6])
def test_a_constant_field_stays_finite_and_near_itself(level):
    batch = batch_of((16, 12))
    values = batch.values.clone()
    values[:, :, 1] = level
    model = model_for(batch)
    predicted = model(replace(batch, values=values))
    assert torch.isfinite(predicted).all()
    # The field does not change, so its change is scaled by the floor, a thousandth of the usual
    # change of 1; only the first frame, which has seen no change yet, may move by the usual ratio.
    assert (predicted[:, 1:, 1] - level).abs().max() <= 0.1 + 1e-6 * level


def test_what_stands_outside_the_mask_does_not_matter():
    batch = batch_of((16, 12))
    mask = torch.ones(2, 16, 12, dtype=torch.bool)
    mask[:, 4:9, 3:7] = False
    model = model_for(batch)
    model.grow(["mask"])
    masked = replace(batch, mask=mask)
    hidden = replace(masked, values=torch.where(mask[:, None, None], batch.values, torch.nan))
    inside = mask[:, None, None].expand_as(batch.values)
    predicted = model(hidden)[inside]
    assert torch.isfinite(predicted).all()
    torch.testing.assert_close(predicted, model(masked)[inside])
    assert not torch.allclose(predicted, model_for(batch)(batch)[inside], atol=1e-3)


def test_a_static_field_reaches_the_prediction_whatever_its_unit():
    batch = batch_of((16, 12))
    depth = schema.Field("depth", role="static")
    model = model_for(batch)
    model.grow(["depth"])
    maps = torch.rand(2, 1, 16, 12, generator=torch.Generator().manual_seed(1))
    one = model(replace(batch, static=maps, static_fields=(depth,)))
    other = model(replace(batch, static=maps.flip(2), static_fields=(depth,)))
    assert not torch.allclose(one, other, atol=1e-3)
    kilometres = model(replace(batch, static=1000 * maps, static_fields=(depth,)))
    torch.testing.assert_close(kilometres, one, rtol=1e-4, atol=1e-5)


def test_growing_leaves_the_old_outputs_to_the_bit():
    batch = batch_of((16, 12))
    model = model_for(batch)
    before = model(batch)
    model.grow(["new", "tracer"], donors={"new": "tracer"})
    assert torch.equal(model(batch), before)
    assert model.names == ("tracer", "velocity_x", "new")
    names = ("new", "velocity_x")
    fields = tuple(
        replace(field, name=name) for field, name in zip(batch.fields, names, strict=True)
    )
    assert torch.equal(model(replace(batch, fields=fields)), before)


def test_the_model_learns_one_batch_by_heart():
    batch = Batch.from_dataset(schema.example((16, 16)))
    model = model_for(batch, width=32, history=4).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    change = (batch.values[:, 1:] - batch.values[:, :-1]).square().mean()
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        error = model(batch.window(0, 4)) - batch.values[:, 1:]
        losses.append(error.square().mean() / change)
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"ranks": (1, 3)}, "2"), ({"names": ("tracer",)}, "velocity_x")],
)
def test_what_the_model_has_no_weights_for_is_refused(change, message):
    batch = batch_of((16, 12))
    names = change.pop("names", batch.names)
    model = AxialTransformer(names, width=16, heads=2, depth=1, **change)
    with pytest.raises(InputError, match=message):
        model(batch)


def test_compiles_as_one_graph():
    batch = batch_of((16, 16))
    model = model_for(batch)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(batch), model(batch))


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
