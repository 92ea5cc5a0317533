"""Laws of the grid: cells cover the axis, an even grid has no weights, an uneven one converges."""

import numpy as np
import pytest
import torch

from mpp.batch import Axis
from mpp.errors import InputError
from mpp.metrics import grid, rmse
from mpp.metrics.moments import space_mean, space_variance


def axis(points, kind="wall", name="x"):
    return Axis(name, np.asarray(points, dtype=float), "m", (kind, kind))


@pytest.mark.parametrize("kind", ["wall", "periodic"])
def test_cells_of_an_even_axis_are_its_step(kind):
    one = axis(0.5 + 0.25 * np.arange(8), kind)
    np.testing.assert_allclose(grid.cells(one), 0.25)
    assert grid.length(one) == pytest.approx(2.0)
    assert grid.step(one) == pytest.approx(0.25)
    assert grid.weights([one, one]) is None
    assert grid.volume([one, one]) == pytest.approx(4.0)


def test_cells_of_an_uneven_axis_end_halfway_to_the_neighbours():
    # Faces between 0, 1, 3, 6 are at 0.5, 2, 4.5; the ends reach out as far: -0.5 and 7.5. Around
    # a periodic axis the seam is (1 + 3) / 2 = 2 wide, so both ends reach out by 1.
    np.testing.assert_allclose(grid.cells(axis([0, 1, 3, 6])), [1, 1.5, 2.5, 3])
    np.testing.assert_allclose(grid.cells(axis([0, 1, 3, 6], "periodic")), [1.5, 1.5, 2.5, 2.5])


def test_weights_are_the_volumes_of_the_cells():
    even, uneven = axis([0, 1], name="x"), axis([0, 1, 3], name="y")
    weights = grid.weights([even, uneven])
    assert weights is not None
    np.testing.assert_allclose(weights, np.outer([1, 1], [1, 1.5, 2]))


def test_equal_weights_change_nothing():
    values = torch.randn(2, 1, 3, 5, 4, dtype=torch.float64)
    mask = torch.rand(2, 5, 4) > 0.3
    equal = torch.full((5, 4), 0.7, dtype=torch.float64)
    for function in (space_mean, space_variance):
        for inside in (None, mask):
            torch.testing.assert_close(
                function(values, inside, equal), function(values, inside), rtol=1e-12, atol=1e-14
            )


def test_a_point_that_counts_twice_is_as_good_as_two():
    values = torch.randn(1, 1, 1, 4, dtype=torch.float64)
    twice = torch.cat([values, values[..., :1]], -1)
    weights = torch.tensor([2.0, 1, 1, 1])
    for function in (space_mean, space_variance):
        found = function(values, None, weights)
        torch.testing.assert_close(found, function(twice), rtol=1e-13, atol=0)


def test_an_uneven_grid_converges_to_the_integral():
    # int_0^1 x^2 dx = 1/3 on cells that grow as s^2: centres between the faces. Without weights the
    # mean is off by O(1) however fine the grid; with them the error falls as n^-2.
    def error(points, weighted):
        faces = np.linspace(0, 1, points + 1) ** 1.5
        one = axis((faces[1:] + faces[:-1]) / 2)
        field = torch.from_numpy(one.points)[None, None, None]
        weights = grid.weights([one]) if weighted else None
        return abs(rmse(field, 0 * field, None, None, weights).item() ** 2 - 1 / 3)

    assert error(256, True) < 1e-4
    assert error(256, True) < error(64, True) / 3
    assert error(256, False) > 0.05


def test_a_spectrum_needs_even_steps():
    with pytest.raises(InputError, match=r"x: expected even steps .* from 1 to 3 m; interpolate"):
        grid.step(axis([0, 1, 4]))
