"""Laws of films: a frame a time, all of one size, in the colours of the scale."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from mpp.errors import InputError
from mpp.viz.animate import _Film, animate
from mpp.viz.figures import figures
from mpp.viz.strips import strips

HERE = importlib.util.find_spec("imageio_ffmpeg")


def one(rollout, shape, frames=4):
    return rollout(shape=shape, frames=frames, samples=1).drop_vars(
        ["velocity_x", "truth_velocity_x"]
    )


@pytest.mark.parametrize("shape", [(8,), (8, 6), (24, 2), (4, 6, 5)])
def test_a_film_has_a_frame_a_time_and_they_differ(tmp_path, rollout, shape):
    calls = []
    path = animate(
        one(rollout, shape), "tracer", tmp_path / "a.gif", progress=lambda *d: calls.append(d)
    )
    with Image.open(path) as film:
        assert film.n_frames == 3
        images = []
        for frame in range(3):
            film.seek(frame)
            images.append(np.asarray(film.convert("RGB")))
    assert len({image.shape for image in images}) == 1
    assert all(size % 2 == 0 for size in images[0].shape[:2])
    assert not np.array_equal(images[0], images[2])
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


def test_each_frame_shows_its_time_on_one_scale(rollout):
    ds = one(rollout, (8, 6))
    film = _Film(ds, "tracer", 0)
    for frame in (0, 2):
        film.show(frame)
        for axes, strip in zip(film.picture.grid.flat, strips(ds, "tracer", 0), strict=True):
            (image,) = axes.images
            expected = strip.values.isel(time=frame).transpose("y", "x").values
            assert np.array_equal(image.get_array(), expected)
            assert image.get_clim() == (strip.scale.low, strip.scale.high)
        assert film.figure.get_suptitle().endswith(f"lead {frame + 1} s")


def test_a_line_moves_its_marker_and_its_profile(rollout):
    ds = one(rollout, (8,))
    film = _Film(ds, "tracer", 0)
    film.show(2)
    assert [list(m.get_xdata()) for m in film.markers] == [[float(ds["time"][2])] * 2] * 3
    truth, predicted = film.profile.lines
    assert np.array_equal(truth.get_ydata(), ds["truth_tracer"][0, 2])
    assert np.array_equal(predicted.get_ydata(), ds["tracer"][0, 2])


def test_the_palette_keeps_the_colours_of_the_scales(rollout):
    film = _Film(one(rollout, (8, 6)), "tracer", 0)
    palette = film.palette().astype(int)
    assert palette.shape == (256, 3)
    for strip in film.strips:
        wanted = strip.scale.colours(np.linspace(0, 1, 254), bytes=True)[:, :3].astype(int)
        off = np.abs(wanted[:, None] - palette[None]).max(-1).min(-1)
        assert off.max() <= 4


def test_a_long_rollout_is_thinned_evenly_to_its_end(tmp_path, rollout, monkeypatch):
    monkeypatch.setattr("mpp.viz.animate.FRAMES", 3)
    calls = []
    ds = one(rollout, (4, 4), frames=9)
    animate(ds, "tracer", tmp_path / "a.gif", progress=lambda *done: calls.append(done))
    assert calls == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.skipif(HERE is None, reason="imageio-ffmpeg is not installed")
def test_mp4_is_written_where_ffmpeg_is_there(tmp_path, rollout):
    import imageio_ffmpeg

    paths = figures(one(rollout, (8, 6)), tmp_path, film="mp4")
    assert [path.name for path in paths if path.suffix == ".mp4"] == ["rollout_tracer_run0.mp4"]
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(paths[-1]))
    assert count == 3
    assert seconds == pytest.approx(3 / 8, abs=0.05)


def test_mistakes_leave_nothing(tmp_path, rollout, scores, monkeypatch):
    ds = one(rollout, (8, 6))
    with pytest.raises(InputError, match=r"ending in \.mp4 or \.gif"):
        animate(ds, "tracer", tmp_path / "a.avi")
    with pytest.raises(InputError, match="only a rollout"):
        figures(scores(), tmp_path / "out", film="gif")
    monkeypatch.setattr("mpp.viz.animate.importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="imageio-ffmpeg"):
        figures(ds, tmp_path / "out", film="mp4")
    assert list(tmp_path.iterdir()) == []
