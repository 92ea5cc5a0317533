"""Laws of the scores that know the physics: sides, totals, divergence, values, patches, time."""

import math

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import wasserstein_distance

from mpp import schema
from mpp.batch import Axis
from mpp.errors import InputError
from mpp.fields import Field
from mpp.metrics import grid, mae, named, rmse
from mpp.metrics.conserved import drift, quantity, total
from mpp.metrics.distribution import wasserstein
from mpp.metrics.divergence import divergence, vectors
from mpp.metrics.imprint import enough, patch_imprint
from mpp.metrics.sides import side_rmse, sides
from mpp.metrics.valid import valid_steps, valid_time


def axis(points=16, step=0.25, kind="wall", name="x"):
    return Axis(name, step * np.arange(points), "m", (kind, kind))


def noise(*shape: int, seed: int = 0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- sides ---


def test_only_sides_that_are_not_periodic_are_scored():
    axes = [axis(kind="periodic"), axis(name="y")]
    assert sides(axes) == ("y_low", "y_high")
    with pytest.raises(InputError, match="every axis is periodic"):
        side_rmse(noise(1, 1, 1, 16), noise(1, 1, 1, 16), axes[:1])


def test_an_error_at_one_side_is_seen_at_that_side_alone():
    # 16 points, a strip of a quarter: 4 points. An error of 3 at the outermost of them gives
    # sqrt(9 / 4); along y the strip is the same everywhere, so the low strip of x holds 4 of 16.
    axes = [axis(), axis(8, name="y")]
    target = torch.zeros(1, 1, 1, 16, 8)
    prediction = target.clone()
    prediction[..., 0, :] = 3
    found = side_rmse(prediction, target, axes, width=0.25)[0, 0, 0].tolist()
    low_y = math.sqrt(9 / 16)
    assert found == pytest.approx([1.5, 0, low_y, low_y])


def test_a_strip_of_the_whole_axis_is_the_whole_field():
    axes = [axis(), axis(8, name="y")]
    target, prediction = noise(2, 2, 3, 16, 8), noise(2, 2, 3, 16, 8, seed=1)
    mask = noise(2, 16, 8, seed=2) > -0.5
    for inside in (None, mask):
        found = side_rmse(prediction, target, axes, 1, inside)
        expected = rmse(prediction, target, inside)[..., None].expand_as(found)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert (side_rmse(target, target, axes) == 0).all()


def test_a_thin_strip_is_the_outermost_points():
    target, prediction = noise(1, 1, 1, 16), noise(1, 1, 1, 16, seed=1)
    error = (prediction - target)[0, 0, 0].abs()
    found = side_rmse(prediction, target, [axis()], width=1e-6)[0, 0, 0]
    torch.testing.assert_close(found, error[[0, -1]])
    with pytest.raises(InputError, match="above 0 and up to 1"):
        side_rmse(prediction, target, [axis()], width=0)


def test_a_strip_is_as_wide_on_an_uneven_axis():
    # Cells 1, 1, 1.5, 3, 4.. : of an axis with faces at -0.5, 0.5, 1.5, 3, 6, 10 the strip of 0.2
    # is 2.1 wide; the centres lie 0.5, 1.5, 2.75 from the low face, so two points are in it.
    one = Axis("x", np.array([0.0, 1, 2, 4, 8]), "m", ("wall", "wall"))
    np.testing.assert_allclose(grid.cells(one), [1, 1, 1.5, 3, 4])
    prediction = torch.tensor([0.0, 0, 1, 1, 1])[None, None, None]
    assert side_rmse(prediction, 0 * prediction, [one], 0.2)[0, 0, 0, 0] == 0
    assert side_rmse(prediction, 0 * prediction, [one], 0.3)[0, 0, 0, 0] > 0


# --- totals ---


def test_the_total_of_a_field_is_its_integral():
    # int_0^4 (2 + sin(2 pi x / 4)) dx = 8 over one period.
    one = axis(kind="periodic")
    place = torch.from_numpy(one.points)
    field = (2 + torch.sin(2 * math.pi * place / 4))[None, None, None]
    assert total(field, grid.volume([one])).item() == pytest.approx(8)


def test_the_total_behind_a_mask_is_that_of_the_points_inside():
    axes = [axis(4, step=0.5), axis(3, step=2.0, name="y")]
    values, mask = noise(2, 1, 1, 4, 3), noise(2, 4, 3, seed=1) > 0
    expected = torch.stack([values[s, 0, 0][mask[s]].sum() for s in range(2)])
    torch.testing.assert_close(total(values, grid.volume(axes), mask)[:, 0, 0], expected)


def test_the_drift_is_relative_to_the_total_of_the_absolute_target():
    # Offsets of 0.3 against values of +-2: the means differ by 0.3, <|target|> = 2.
    target = torch.tensor([2.0, -2, 2, -2])[None, None, None]
    assert drift(target + 0.3, target).item() == pytest.approx(0.15)
    assert drift(target, target).item() == 0
    assert drift(target * 0, target * 0).item() == 0
    moved = target.roll(1, -1)
    assert drift(moved, target).item() == 0
    floor = torch.tensor([3.0])
    assert drift(target + 0.3, target, None, floor).item() == pytest.approx(0.1)


def test_a_change_of_unit_leaves_the_drift_unchanged():
    target, prediction = noise(2, 1, 2, 9), noise(2, 1, 2, 9, seed=1)
    torch.testing.assert_close(drift(7e3 * prediction, 7e3 * target), drift(prediction, target))


def test_declared_quantities_are_made_of_fields():
    values = {"density": noise(2, 3, 4) ** 2, "u": noise(2, 3, 4, seed=1), "c": noise(2, 1, 4)}
    text = quantity("0.5*density*u**2 + c", values)
    expected = 0.5 * values["density"] * values["u"] ** 2 + values["c"]
    assert torch.equal(text[:, :, 0], expected)
    function = quantity(lambda v: 0.5 * v["density"] * v["u"] ** 2 + v["c"], values)
    assert torch.equal(text, function)
    with pytest.raises(InputError, match="energy: expected one number a point"):
        quantity(lambda v: v["u"][..., :2], values, "energy")


# --- divergence ---


def waves(points, kind="periodic"):
    axes = [axis(points, 1 / points, kind), axis(points, 1 / points, kind, "y")]
    x, y = (2 * math.pi * torch.from_numpy(one.points) for one in axes)
    return axes, x[:, None], y[None, :]


def test_a_curl_has_no_divergence():
    # u = (sin y, sin x): every term of the divergence is 0; (cos x sin y, -sin x cos y) cancels.
    axes, x, y = waves(16)
    cell = torch.stack([torch.cos(x) * torch.sin(y), -torch.sin(x) * torch.cos(y)])
    assert divergence(cell[None, None], axes).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", ["periodic", "wall"])
def test_independent_slopes_have_the_divergence_one(kind):
    # u = (sin x, sin y): <(cos x + cos y)^2> = 1 = <cos^2 x> + <cos^2 y>.
    axes, x, y = waves(64, kind)
    field = torch.stack([torch.sin(x) + 0 * y, torch.sin(y) + 0 * x])
    assert divergence(field[None, None], axes).item() == pytest.approx(1, rel=0.01)


def test_an_expansion_has_the_largest_divergence():
    # u = (x, y) between walls: slopes 1 and 1, so <2^2> / <1 + 1> = 2. Linear slopes are exact.
    axes = [axis(5), axis(7, name="y")]
    x, y = (torch.from_numpy(one.points) for one in axes)
    field = torch.stack([x[:, None] + 0 * y, y[None] + 0 * x[:, None]])[None, None]
    assert divergence(field, axes).item() == pytest.approx(math.sqrt(2))
    mask = torch.ones(1, 5, 7, dtype=torch.bool)
    mask[0, 2, 2] = False
    spoiled = torch.where(mask[:, None, None], field, math.nan)
    assert divergence(spoiled, axes, mask).item() == pytest.approx(math.sqrt(2))
    assert divergence(0 * field, axes).item() == 0


def test_the_rest_of_central_differences_falls_with_the_grid():
    def rest(points):
        axes, x, y = waves(points)
        # The stream function sin(x) sin(3 y); its two slopes are of unlike wavenumbers.
        u = torch.stack([3 * torch.sin(x) * torch.cos(3 * y), -torch.cos(x) * torch.sin(3 * y)])
        return divergence(u[None, None], axes).item()

    assert rest(32) > 1e-3
    assert rest(64) == pytest.approx(rest(32) / 4, rel=0.1)


def test_vectors_are_found_by_what_the_fields_declare():
    second, first = (Field(axis, vector="w", component=axis) for axis in "yx")
    fields = [Field("q"), second, first]
    axes = [axis(name="x"), axis(name="y")]
    assert vectors(fields, axes) == {"w": (2, 1)}
    assert vectors(fields[:2], axes) == {}
    with pytest.raises(InputError, match="a component along each of 2 axes, got 1"):
        divergence(noise(1, 1, 1, 16, 16), axes)


# --- values ---


@pytest.mark.parametrize("seed", range(3))
def test_the_distance_of_values_is_scipys(seed):
    target, prediction = noise(1, 1, 1, 5, 7, seed=seed), 2 * noise(1, 1, 1, 5, 7, seed=9) + 1
    expected = wasserstein_distance(prediction.flatten(), target.flatten())
    assert wasserstein(prediction, target).item() == pytest.approx(expected)
    weights = noise(5, 7, seed=4).abs()
    flat = weights.flatten()
    expected = wasserstein_distance(prediction.flatten(), target.flatten(), flat, flat)
    assert wasserstein(prediction, target, None, None, weights).item() == pytest.approx(expected)


def test_places_do_not_enter_the_distance_of_values():
    target = noise(2, 1, 2, 30)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    assert (wasserstein(target[..., order], target) == 0).all()
    torch.testing.assert_close(
        wasserstein(target[..., order] - 0.7, target), torch.full((2, 1, 2), 0.7).double()
    )


def test_the_distance_of_values_is_at_most_the_mean_error():
    target, prediction = noise(3, 2, 2, 40), noise(3, 2, 2, 40, seed=1)
    assert (wasserstein(prediction, target) <= mae(prediction, target) + 1e-12).all()
    scaled = wasserstein(5 * prediction, 5 * target)
    torch.testing.assert_close(scaled, 5 * wasserstein(prediction, target))


def test_values_outside_the_mask_do_not_enter():
    target, prediction = noise(1, 1, 1, 20), noise(1, 1, 1, 20, seed=1)
    mask = (torch.arange(20) < 12)[None]
    alone = wasserstein(prediction[..., :12], target[..., :12])
    spoiled = torch.where(mask[:, None, None], prediction, math.nan)
    torch.testing.assert_close(wasserstein(spoiled, target, mask), alone)
    assert wasserstein(target * math.nan, target).isnan().all()


# --- patches ---


@pytest.mark.parametrize("kind", ["periodic", "wall"])
@pytest.mark.parametrize("points", [64, 62])
def test_a_pattern_in_every_patch_is_an_imprint(kind, points):
    axes = [axis(points, kind=kind), axis(points, kind=kind, name="y")]
    error = noise(4, 1, 1, points, points, seed=3)
    target = torch.zeros_like(error)
    none = patch_imprint(error, target, axes, 8)
    pattern = torch.where(torch.arange(points) % 8 == 0, 3.0, 0.0)
    marked = patch_imprint(error + pattern, target, axes, 8)
    assert none.mean().item() == pytest.approx(1, abs=0.15)
    assert (marked > 3).all()
    # Another patch size does not see it: its harmonics hold no more than their neighbours do.
    assert patch_imprint(error, target, axes, 7).mean().item() == pytest.approx(1, abs=0.15)


def test_smooth_errors_leave_no_imprint():
    # A spectrum that falls as k^-4 has close to the geometric mean of its neighbours everywhere.
    one = axis(128, kind="periodic")
    order = torch.arange(65).double().clamp(min=1)
    phases = 2 * math.pi * torch.rand(200, 65, generator=torch.Generator().manual_seed(0))
    error = torch.fft.irfft(torch.polar(order**-2, phases.double()), n=128)[:, None, None]
    found = patch_imprint(error, 0 * error, [one], 8)
    torch.testing.assert_close(found, torch.ones_like(found), rtol=0.02, atol=0)


def test_an_imprint_does_not_depend_on_unit_or_place():
    axes = [axis(32, kind="periodic"), axis(48, kind="periodic", name="y")]
    error = noise(1, 1, 2, 32, 48)
    found = patch_imprint(error, 0 * error, axes, 4)
    moved = 1e-5 * error.roll((3, 5), (3, 4))
    torch.testing.assert_close(patch_imprint(moved, 0 * error, axes, 4), found)
    assert (patch_imprint(error, error, axes, 4) == 1).all()
    exact = torch.tensor([1.0, -1]).repeat(16)[:, None].expand(32, 48)[None, None, None]
    assert patch_imprint(exact, 0 * exact, axes, 2).item() > 1e12


def test_too_few_patches_tell_nothing():
    error = noise(1, 1, 1, 16)
    assert not enough([axis(16)], 4)
    assert enough([axis(16, kind="periodic")], 4)
    with pytest.raises(InputError, match="too few along every axis"):
        patch_imprint(error, error, [axis(16)], 4)
    with pytest.raises(InputError, match="leaves no pattern"):
        patch_imprint(error, error, [axis(16)], 1)


# --- time ---


@pytest.mark.parametrize(
    ("series", "steps"),
    [
        ([0.1, 0.2, 0.3], 3),
        ([0.1, 0.6, 0.3], 1),
        ([0.7, 0.1, 0.1], 0),
        ([0.1, 0.5, math.nan], 2),
        ([math.nan, 0.1, 0.1], 0),
    ],
)
def test_the_valid_time_ends_before_the_first_crossing(series, steps):
    assert valid_steps(np.array(series), 0.5) == steps
    assert valid_steps(-np.array(series), -0.5, above=True) == steps
    coords = {"lead_time": ("lead_time", [0.25, 0.5, 0.75], {"units": "s"})}
    found = valid_time(xr.DataArray(series, coords, ("lead_time",), name="vrmse"))
    assert float(found) == 0.25 * steps
    assert found.attrs == {"threshold": 0.5, "of": "vrmse", "units": "s"}


def test_a_valid_time_needs_lead_times():
    with pytest.raises(InputError, match="expected a score over lead_time"):
        valid_time(xr.DataArray([0.1], dims="time"))


# --- the same on xarray ---


def test_on_xarray_they_are_the_same():
    target = schema.example((12, 8), boundary=("periodic", "wall"))
    rough = np.random.default_rng(0)
    prediction = target.assign(
        {n: target[n] + rough.normal(size=target[n].shape) for n in ("tracer", "velocity_x")}
    )
    made, true = prediction["tracer"], target["tracer"]
    as_tensors = [torch.from_numpy(each.values)[:, :, None] for each in (made, true)]
    axes = named.Layout.of(made, None).axes
    found = named.side_rmse(made, true, 0.3)
    assert list(found["side"].values) == ["y_low", "y_high"]
    np.testing.assert_allclose(found, side_rmse(*as_tensors, axes, 0.3)[:, :, 0])
    for name, function in (("drift", drift), ("wasserstein", wasserstein)):
        expected = function(*as_tensors)[:, :, 0]
        np.testing.assert_allclose(getattr(named, name)(made, true), expected)
    found, expected = named.patch_imprint(made, true, 3), patch_imprint(*as_tensors, axes, 3)
    np.testing.assert_allclose(found, expected[:, :, 0])
    np.testing.assert_allclose(named.total(true), true.mean(("x", "y")), rtol=1e-6)
    energy = named.quantity(target, "0.5 * tracer * velocity_x**2")
    expected = 0.5 * target["tracer"] * target["velocity_x"] ** 2
    np.testing.assert_allclose(energy, expected)
    np.testing.assert_allclose(named.drift(energy, energy), 0)


def test_divergence_on_xarray_reads_what_the_variables_declare():
    ds = schema.example((12, 12), boundary=("periodic",))
    x, y = 2 * np.pi * ds["x"], 2 * np.pi * ds["y"]
    ds["velocity_x"] = ds["velocity_x"].copy(data=(0 * ds["tracer"] + np.sin(x)).values)
    ds["velocity_y"] = (0 * ds["tracer"] + np.sin(y)).assign_attrs(units="m s-1")
    found = named.divergence(ds, "velocity")
    assert found.dims == ("sample", "time")
    np.testing.assert_allclose(found, 1)
    with pytest.raises(InputError, match="no vector 'force' with a component along each of x, y"):
        named.divergence(ds, "force")
