"""Laws of ensembles: what the members differ in, and that nothing else matters."""

import numpy as np
import pytest
import torch
import xarray as xr

from mpp.batch import Batch
from mpp.errors import InputError
from mpp.model.surrogate import Persistence
from mpp.rollouts import ensemble_mean, ensemble_spread, rollout
from mpp.rollouts.ensembles import perturbed, smooth_noise
from mpp.schema import example, names, validate

ENSEMBLE = {"members": 3, "perturb": 0.2}


def rounded(one: xr.Dataset, other: xr.Dataset) -> None:
    """Equal but for the order in which floating-point numbers are added up."""
    for name in names(one):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5, atol=1e-6)


def test_one_member_without_perturbation_is_the_plain_rollout(network):
    plain = rollout(network, example((8, 8)), 4)
    xr.testing.assert_equal(rollout(network, example((8, 8)), 4, members=1, perturb=0.0), plain)
    both = rollout([network, network], example((8, 8)), 4)
    assert both["tracer"].dims == ("sample", "member", "time", "x", "y")
    for member in range(2):
        xr.testing.assert_equal(both.isel(member=member, drop=True), plain)


@pytest.mark.parametrize("size", [1, 2, 4, 100])
@pytest.mark.parametrize("options", [{}, ENSEMBLE])
def test_the_batch_size_changes_nothing(network, growing, size, options):
    ds = example((8, 8), samples=5)
    exact, again = (rollout(growing, ds, 2, batch_size=n, **options) for n in (3, size))
    xr.testing.assert_equal(exact, again)
    rounded(*(rollout(network, ds, 4, batch_size=n, **options) for n in (3, size)))


@pytest.mark.parametrize("options", [{}, ENSEMBLE])
def test_laws_permuted_samples_give_permuted_rollouts_and_one_alone_is_the_same(network, options):
    ds = example((8, 8), samples=4)
    whole = rollout(network, ds, 3, batch_size=1, **options)
    order = [2, 0, 3, 1]
    moved = rollout(network, ds.isel(sample=order), 3, batch_size=1, **options)
    xr.testing.assert_equal(moved, whole.isel(sample=order))
    alone = rollout(network, ds.isel(sample=[3]), 3, batch_size=1, **options)
    xr.testing.assert_equal(alone, whole.isel(sample=[3]))


def test_every_member_and_seed_is_another_one(network):
    made = [rollout(network, example((8, 8)), 2, **ENSEMBLE, seed=seed) for seed in (0, 0, 1)]
    xr.testing.assert_equal(made[0], made[1])
    runs = [one["tracer"][0, m].values for one in (made[0], made[2]) for m in range(3)]
    for place, run in enumerate(runs):
        assert all(np.abs(run - other).max() > 1e-4 for other in runs[:place])


def test_members_of_several_models_stand_model_after_model(network, growing):
    ds = example((8, 8))
    both = rollout([network, growing], ds, 2, **ENSEMBLE)
    assert both.sizes["member"] == 6
    for place, model in enumerate((network, growing)):
        alone = rollout(model, ds, 2, **ENSEMBLE)
        part = both.isel(member=slice(3 * place, 3 * place + 3)).assign_coords(member=[0, 1, 2])
        rounded(part, alone)
    assert both.attrs["model"] == "AxialTransformer; Growing"
    assert (both.attrs["members"], both.attrs["perturb"], both.attrs["seed"]) == (6, 0.2, 0)


@pytest.mark.parametrize("relative", [0.1, 3.0])
def test_the_perturbation_has_the_size_that_was_asked_for(relative):
    batch = Batch.from_dataset(example((16, 12), frames=4))
    noisy = perturbed(batch, [0, 5], relative, 1, {})
    off = noisy.values - batch.values
    # The same in all frames, so that the changes between them stay.
    torch.testing.assert_close(off, off[:, :1].expand_as(off), atol=1e-6, rtol=1e-4)
    change = batch.values.diff(dim=1).square().mean((1, 3, 4)).sqrt()
    size = off[:, 0].square().mean((2, 3)).sqrt()
    torch.testing.assert_close(size, relative * change, atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(off.mean((1, 3, 4)), torch.zeros(2, 2), atol=1e-6, rtol=0)


def test_models_that_look_back_less_get_the_same_perturbation(growing):
    ds = example((16, 12))
    pair = rollout([Persistence(), growing], ds, 1, perturb=0.3)
    rate = 1 + 10 * ds["diffusivity"]
    scaled = (pair["tracer"].isel(member=0) * rate).transpose("sample", "time", "x", "y")
    np.testing.assert_allclose(scaled, pair["tracer"].isel(member=1), rtol=1e-6)
    off = pair["tracer"][:, 0, 0] - ds["tracer"][:, -1]
    change = ds["tracer"].diff("time")[:, -1:]
    wanted = 0.3 * np.sqrt((change**2).mean(("time", "x", "y")))
    np.testing.assert_allclose(np.sqrt((off**2).mean(("x", "y"))), wanted, rtol=1e-3)


def test_a_single_frame_takes_the_change_from_training(network):
    batch = Batch.from_dataset(example((16, 12), frames=1))
    scales = {"tracer": (2.0, 0.5), "velocity_x": (1.0, 0.1)}
    off = perturbed(batch, [0, 1], 0.2, 0, scales).values - batch.values
    size = off.square().mean((1, 3, 4)).sqrt()
    rms = batch.values.square().mean((1, 3, 4)).sqrt()
    torch.testing.assert_close(size, 0.2 * rms * torch.tensor([0.25, 0.1]), atol=0, rtol=1e-3)
    with pytest.raises(InputError, match="how much velocity_x changes"):
        perturbed(batch, [0, 1], 0.2, 0, {"tracer": (2.0, 0.5)})


@pytest.mark.parametrize("shape", [(64,), (48, 65), (12, 16, 20)])
def test_noise_is_smooth_with_mean_0_and_rms_1_on_any_grid(shape):
    noise = smooth_noise(shape, torch.Generator().manual_seed(3))
    assert noise.shape == shape
    assert abs(float(noise.mean())) < 1e-12
    assert float(noise.square().mean()) == pytest.approx(1)
    power = torch.fft.fftn(noise).abs().square()
    for axis, points in enumerate(shape):
        waves = torch.fft.fftfreq(points, 1 / points).abs()
        high = power.movedim(axis, 0)[waves > 24].sum()
        assert high <= 1e-3 * power.sum()  # exp(-24^2 / 8^2) = 1e-4
    assert smooth_noise((1,), torch.Generator()) == 0


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_mean_and_spread_are_in_the_schema_with_the_truth_beside_them(network, tmp_path, ending):
    ds = example((8, 8), frames=9)
    out = tmp_path / f"x.{ending}"
    made = rollout(network, ds.isel(time=slice(0, 3)), 4, truth=ds, out=out, **ENSEMBLE)
    mean, spread = ensemble_mean(made), ensemble_spread(made)
    values = made["tracer"].values
    np.testing.assert_allclose(mean["tracer"], values.mean(1), rtol=1e-6)
    np.testing.assert_allclose(spread["tracer"], values.std(1, ddof=1), rtol=1e-4, atol=1e-7)
    assert validate(mean) == validate(spread) == []
    assert mean["tracer"].attrs == made["tracer"].attrs
    xr.testing.assert_equal(mean["truth_tracer"], made["truth_tracer"])
    assert (mean.attrs["ensemble"], spread.attrs["ensemble"]) == ("mean", "spread")


def test_members_need_no_coordinate(network):
    made = rollout(network, example((8, 8)), 4, **ENSEMBLE)
    bare = made.drop_vars("member")
    for reduce in (ensemble_mean, ensemble_spread):
        xr.testing.assert_identical(reduce(bare), reduce(made))


def test_mean_and_spread_end_where_a_member_stops(network):
    made = rollout(network, example((8, 8)), 4, **ENSEMBLE)
    made["tracer"][1, 2, 3] = np.nan
    for reduced in (ensemble_mean(made), ensemble_spread(made)):
        assert reduced["tracer"][1, 3].isnull().all()
        assert np.isfinite(reduced["tracer"][:, :3]).all()
    with pytest.raises(InputError, match="no member dim"):
        ensemble_mean(example())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": 3}, "3 members of one history would all be alike"),
        ({"members": 0}, "members is 0; give at least 1"),
        ({"batch_size": 0}, "batch_size is 0; give at least 1"),
        ({"perturb": -0.1}, "perturb is -0.1"),
        ({"perturb": float("nan")}, "perturb is nan"),
    ],
)
def test_an_ensemble_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        rollout(Persistence(), example(), 1, **options)
    with pytest.raises(InputError, match="no model"):
        rollout([], example(), 1)
