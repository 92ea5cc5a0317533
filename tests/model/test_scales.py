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


def test_laws_scales_stay_as_they_are_behind_the_window():
    scales = scales_of([2.0], [4.0], [100.0], window=2)
    assert scales.value[0, 2] == scales.value[0, 1]
    assert scales.change[0, 2] == scales.change[0, 1]


def test_laws_points_outside_the_mask_do_not_count():
    mask = torch.tensor([[True, False, False]])
    whole, part = scales_of([3.0], [5.0]), scales_of([3.0, 0.0, 0.0], [5.0, 0.0, 0.0], mask=mask)
    assert torch.equal(part.value, whole.value)
    assert torch.equal(part.change, whole.change)


def test_laws_a_dead_field_is_scaled_by_a_share_of_its_usual_size():
    scales = scales_of([0.0], [0.0])
    torch.testing.assert_close(scales.value[0, :, 0], FLOOR * torch.tensor([4.0, 4.0]))
    torch.testing.assert_close(scales.change[0, :, 0], FLOOR * torch.tensor([1.0, 1.0]))
