"""Scales of a history, from values that can be checked by hand."""

import torch

from mpp.batch import FieldScales
from mpp.model.scales import FLOOR, RunningScales

USUAL = FieldScales(torch.tensor([4.0]), torch.tensor([1.0]))


def scales_of(*frames: list[float], window: int = 8, mask: torch.Tensor | None = None):
    return RunningScales.of(torch.tensor(frames)[None, :, None], USUAL, window, mask)[0]


def test_laws_each_frame_is_scaled_by_those_up_to_it():
    # Mean squares 4, 16 and 1; changes 2 (from 2 to 4) and -3 (from 4 to 1).
    scales = scales_of([2.0, -2.0], [4.0, 0.0], [1.0, 1.0])
    value = torch.tensor([4.0, (4 + 8) / 2, (4 + 8 + 1) / 3]).sqrt()
    # The first change is not known: the usual ratio of change to value is 1 / 4. Later ones are
    # the mean of (2^2 + 2^2) / 2 = 4 and (3^2 + 1^2) / 2 = 5.
    change = torch.tensor([2 / 4, 4**0.5, 4.5**0.5])
    torch.testing.assert_close(scales.value[0, :, 0], value)
    torch.testing.assert_close(scales.change[0, :, 0], change)


def test_laws_scales_look_back_to_the_window_and_no_further():
    # Of three frames: values 4, 6 and 6; changes of the last two: 2 and 0.
    scales = scales_of([100.0], [4.0], [6.0], [6.0], window=3)
    torch.testing.assert_close(scales.value[0, 3, 0], torch.tensor(((16 + 36 + 36) / 3) ** 0.5))
    torch.testing.assert_close(scales.change[0, 3, 0], torch.tensor(2**0.5))


def test_laws_behind_the_window_a_scale_never_rises_above_what_it_was_at_its_end():
    # Window 2: sizes 2, then 3 (the mean square of 2 and 4 is 10); later 100, then down to 1.
    scales = scales_of([2.0], [4.0], [100.0], [1.0], [1.0], [1.0], window=2)
    torch.testing.assert_close(scales.value[0, 2:4, 0], torch.tensor([10.0, 10.0]).sqrt())
    torch.testing.assert_close(scales.value[0, 4, 0], torch.tensor(1.0))
    # The last change is zero: the floor.
    torch.testing.assert_close(scales.change[0, 1:, 0], torch.tensor([2.0, 2.0, 2.0, FLOOR, FLOOR]))


def test_laws_scales_go_on_where_they_stopped():
    torch.manual_seed(0)
    frames = torch.randn(2, 9, 1, 5)
    whole, _ = RunningScales.of(frames, USUAL, 4)
    parts, before = [], None
    for start, stop in ((0, 2), (2, 3), (3, 4), (4, 9)):
        before, _ = RunningScales.of(frames[:, start:stop], USUAL, 4, None, before)
        parts.append(before)
    for name in ("value", "change"):
        joined = torch.cat([getattr(part, name) for part in parts], 1)
        torch.testing.assert_close(joined, getattr(whole, name))


def test_laws_points_outside_the_mask_do_not_count():
    mask = torch.tensor([[True, False, False]])
    whole, part = scales_of([3.0], [5.0]), scales_of([3.0, 0.0, 0.0], [5.0, 0.0, 0.0], mask=mask)
    assert torch.equal(part.value, whole.value)
    assert torch.equal(part.change, whole.change)


def test_laws_a_dead_field_is_scaled_by_a_share_of_its_usual_size():
    scales = scales_of([0.0], [0.0])
    torch.testing.assert_close(scales.value[0, :, 0], FLOOR * torch.tensor([4.0, 4.0]))
    torch.testing.assert_close(scales.change[0, :, 0], FLOOR * torch.tensor([1.0, 1.0]))
