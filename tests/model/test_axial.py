"""What the default model does beyond the laws that it shares with every model (test_contract)."""

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
