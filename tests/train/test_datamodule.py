"""Laws of a training run's data: every field once, scales of its own for each system."""

import math
import multiprocessing

import pytest
import torch
import xarray as xr

from mpp.errors import InputError
from mpp.train.datamodule import MixtureData, window_frames
from mpp.train.fit import expected_warnings


def test_every_field_is_there_once_maps_included(two_systems):
    first, second = two_systems
    walls = first["tracer"].isel(time=0)
    first["bathymetry"] = walls.assign_attrs(role="static")
    second["mask"] = xr.ones_like(walls, bool).assign_attrs(role="mask", units="1")
    data = MixtureData([first, second], [first, second], history=3)
    names = [field.name for field in data.fields]
    assert names == ["tracer", "velocity_x", "bathymetry", "activator", "mask"]
    assert data.systems == ("drift", "reaction")


def test_shared_fields_get_the_geometric_mean(two_systems):
    two_systems[1]["velocity_x"] *= 100
    data = MixtureData(two_systems, two_systems, history=3)
    scales = data.field_scales()
    assert scales.keys() == {"tracer", "velocity_x", "activator"}
    one, other = (data.scales[name] for name in data.systems)
    expected = math.sqrt(float(one.value[1] * other.value[1]))
    assert scales["velocity_x"][0] == pytest.approx(expected)
    assert scales["tracer"] == pytest.approx((float(one.value[0]), float(one.change[0])))


def test_each_batch_is_measured_by_its_own_system(two_systems):
    two_systems[1]["velocity_x"] *= 100
    data = MixtureData(two_systems, two_systems, history=3)
    for windows in data.training:
        usual = data.usual(windows[0])
        assert torch.equal(usual.change, data.scales[windows.system].change)


def test_a_system_without_a_name_can_be_trained_on(make_system):
    ds = make_system("drift")
    del ds.attrs["system"]
    data = MixtureData([ds], [ds], history=3)
    assert data.usual(data.training[0][0]).change.shape == (2,)


def test_windows_are_one_frame_longer_than_the_history(two_systems):
    data = MixtureData(two_systems, two_systems, history=3, batch_size=2)
    assert next(iter(data.train_dataloader())).frames == 4
    # Eight frames, windows of four that start at 0 and 3: two for each of four runs.
    assert [sum(batch.samples for batch in loader) for loader in data.val_dataloader()] == [8, 8]


@pytest.mark.slow
def test_workers_end_although_something_still_refers_to_their_batches(two_systems):
    data = MixtureData(two_systems, two_systems, history=3, workers=2)
    batches = iter(data.train_dataloader())
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    with expected_warnings():
        data.end_workers()
        assert multiprocessing.active_children() == []
        data.end_workers()  # there is none any more


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"history": 0}, "history is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"workers": -1}, "workers is -1"),
        ({"weights": [1.0]}, "1 weights for 2 datasets"),
        ({"history": 8}, "drift: windows of 9 frames"),
    ],
)
def test_what_cannot_work_is_refused_by_name(two_systems, options, message):
    with pytest.raises(InputError, match=message):
        MixtureData(two_systems, two_systems, **{"history": 3, **options})


def test_validation_runs_are_of_the_same_system(two_systems):
    drift, reaction = two_systems
    with pytest.raises(InputError, match="of the system drift, the validation runs of reaction"):
        MixtureData([drift], [reaction], history=3)


def test_validation_runs_hold_the_same_fields_in_the_same_order(two_systems):
    drift, _ = two_systems
    turned = drift[["velocity_x", "tracer", "diffusivity"]]
    with pytest.raises(InputError, match="training runs hold tracer, velocity_x, the validation"):
        MixtureData([drift], [turned], history=3)


@pytest.mark.parametrize(("length", "frames"), [(8, 6), (7, 6), (6, 5), (4, 3), (3, 3)])
def test_training_windows_reach_twice_as_far_as_the_model_where_runs_do(
    make_model, make_system, length, frames
):
    # A window of 6 frames needs a seventh as target; below 4 frames the history itself has none.
    ds = make_system("drift").isel(time=slice(0, length))
    assert window_frames(make_model(("tracer",)), [ds]) == frames


def test_where_a_batch_is_from_is_where_its_frames_are(two_systems):
    data = MixtureData(two_systems, two_systems, history=3, batch_size=3, seed=5)
    seen = set()
    for number, batch in zip(range(6), data.train_dataloader(), strict=False):
        drawn = data.drawn(number)
        seen.add(drawn.system)
        ds = two_systems[data.systems.index(drawn.system)]
        assert drawn.system == batch.system
        for sample, (run, start) in enumerate(zip(drawn.runs, drawn.frames, strict=True)):
            frames = ds.isel(sample=int(run), time=slice(start, start + drawn.length))
            true = torch.from_numpy(frames[batch.names[0]].values)
            torch.testing.assert_close(batch.values[sample, :, 0].double(), true.double())
    assert seen == set(data.systems)
