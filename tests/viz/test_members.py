"""Laws of ensembles in pictures: mean and spread as fields, members apart, spread beside error."""

import numpy as np
import pytest
import xarray as xr

from mpp import schema
from mpp.errors import InputError
from mpp.rollouts import ensemble_mean
from mpp.viz.figures import kind, plan
from mpp.viz.members import apart, is_ensemble, joined, reliability
from mpp.viz.panels import panels
from mpp.viz.player import player
from mpp.viz.spectra import bands, spectra
from mpp.viz.totals import totals


@pytest.fixture
def ensemble(rollout):
    """Three members of each run: the prediction, and it more and less by 0.2."""
    ds = rollout(shape=(8, 6), frames=4)
    parts = [
        ds.assign(
            {name: (ds[name] + off).assign_attrs(ds[name].attrs) for name in schema.names(ds)}
        )
        for off in (0.0, 0.2, -0.2)
    ]
    names = list(schema.names(ds))
    members = xr.concat([part[names] for part in parts], "member")
    members = members.transpose("sample", "member", ...).assign_coords(member=[0, 1, 2])
    return ds.drop_vars(names).assign({name: members[name] for name in names})


def test_mean_and_spread_stand_beside_the_truth(ensemble, rollout):
    ds = joined(ensemble)
    assert is_ensemble(ensemble)
    assert not is_ensemble(ds)
    assert np.allclose(ds["tracer"], rollout(shape=(8, 6), frames=4)["tracer"])
    assert np.allclose(ds["spread_tracer"], 0.2)  # of 0, 0.2 and -0.2, with one degree less
    assert schema.system(ds) == "example, mean of 3"
    assert joined(ds) is ds


def test_the_spread_has_a_panel_and_a_scale_of_its_own(ensemble):
    figure = panels(joined(ensemble), "tracer", frames=[0, 1])
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert [text.split("\n")[0] for text in labels if text.endswith("y (m)")] == [
        "truth",
        "prediction",
        "error",
        "spread",
    ]
    assert labels[-3:] == ["tracer $s$ (kg m⁻³)", "error (kg m⁻³)", "spread (kg m⁻³)"]


def test_the_player_has_mean_and_spread(ensemble):
    moving = player(ensemble)
    assert moving.data["strips"] == ["truth", "prediction", "error", "spread"]
    part = moving.data["parts"][0][0]
    assert part["scales"][3]["low"] == 0
    assert part["scales"][3]["high"] == pytest.approx(0.2)
    assert len(part["scores"]) == 3
    assert moving.markup.count('class="bar ') == 3


def test_members_count_as_runs_where_a_mean_would_be_too_smooth(ensemble):
    ds = apart(ensemble)
    assert ds.sizes["sample"] == 6
    assert np.allclose(ds["tracer"][2:4], ensemble["tracer"][:, 1])
    assert np.allclose(ds["truth_tracer"][2:4], ensemble["truth_tracer"])


def test_the_title_tells_members_from_runs(ensemble):
    def told(ds):
        return [figure.get_suptitle() for figure in (spectra(ds, "tracer", frames=[0]), bands(ds))]

    for title in told(ensemble):
        assert title.endswith("median and quartiles of 3 members of each of 2 runs")
    for title in told(ensemble.isel(sample=[0])):
        assert title.endswith("median and quartiles of 3 members of 1 run")
    many = xr.concat([ensemble] * 3, "sample", data_vars="all")
    for title in told(many):
        assert title.endswith("quartiles of 16 of the 3 members of each of 6 runs")
    one = ensemble.isel(member=0, drop=True)
    assert told(one)[0].endswith("median and quartiles of 2 runs")


def test_totals_reach_from_the_least_member_to_the_largest(ensemble):
    axes = totals(ensemble).axes[0]
    (band,) = axes.collections
    ends = band.get_paths()[0].vertices[:, 1]
    middle = {line.get_label(): line.get_ydata() for line in axes.get_lines()}["prediction"]
    # A domain of one square metre: 0.2 more everywhere is 0.2 more in all.
    assert ends.max() == pytest.approx(max(middle) + 0.2)
    assert ends.min() == pytest.approx(min(middle) - 0.2)


def test_spread_and_error_stand_beside_each_other(ensemble):
    axes = reliability(ensemble).axes[0]
    error, spread = (line.get_ydata() for line in axes.get_lines())
    off = ensemble_mean(ensemble)["tracer"] - ensemble["truth_tracer"]
    assert np.allclose(error, np.sqrt((off**2).mean(("sample", "x", "y"))))
    assert np.allclose(spread, 0.2 * np.sqrt(4 / 3))
    with pytest.raises(InputError, match="--members"):
        reliability(joined(ensemble))


def test_an_ensemble_is_a_rollout_to_draw(ensemble):
    assert kind(ensemble) == "rollout"
    assert list(plan(ensemble)) == [
        "rollout_tracer_run0",
        "rollout_velocity_x_run0",
        "reliability",
        "spectrum_tracer",
        "spectrum_velocity_x",
        "bands",
        "totals_run0",
    ]
