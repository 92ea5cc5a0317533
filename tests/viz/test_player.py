"""Laws of the moving rollout: what a script reads is what the file holds, and it is bounded."""

import base64
import zlib

import numpy as np
import pytest

from mpp import schema
from mpp.errors import InputError
from mpp.viz import player as module
from mpp.viz.player import MASKED, MISSING, choose, evenly, levels, packed, player, ticks
from mpp.viz.strips import strips
from mpp.viz.style import ERROR, Scale

SCALE = Scale(-1.0, 1.0, ERROR)


def unpack(text, frames):
    """The inverse of `packed`, as the page's script does it."""
    steps = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
    return steps.reshape(-1, frames).cumsum(-1, dtype=np.uint8)


def test_levels_are_values_to_half_a_level():
    values = np.linspace(-1, 1, 1000)
    found = levels(values, np.ones(1000, bool), SCALE).astype(float)
    # 253 steps over a width of 2: at most half of 2/253 off.
    assert np.abs(-1 + 2 * found / 253 - values).max() <= 1 / 253 + 1e-12


def test_levels_say_why_there_is_no_value():
    values = np.array([-5.0, 5.0, np.nan, np.inf, 0.0, np.nan])
    defined = np.array([True, True, True, True, False, False])
    assert levels(values, defined, SCALE).tolist() == [0, 253, MISSING, MISSING, MASKED, MASKED]


def test_packing_has_an_inverse():
    found = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    assert np.array_equal(unpack(packed(found), 3), found.reshape(-1, 3))


@pytest.mark.parametrize("shape", [(8,), (8, 6), (4, 6, 5)])
def test_the_page_holds_the_rollout(rollout, shape):
    ds = rollout(shape=shape, frames=5)
    data = player(ds).data
    frames, axes = ds.sizes["time"], schema.space_axes(ds)
    cuts = {1: [("x",)], 2: [("y", "x")], 3: [("y", "x"), ("z", "x"), ("z", "y")]}[len(shape)]
    for i, name in enumerate(schema.names(ds)):
        for run in range(ds.sizes["sample"]):
            part = data["parts"][i][run]
            for strip, scale, planes in zip(
                strips(ds, name, run), part["scales"], part["planes"], strict=True
            ):
                for dims, text in zip(cuts, planes, strict=True):
                    middle = {a: ds.sizes[a] // 2 for a in axes if a not in dims}
                    values = strip.values.isel(middle).transpose(*dims, "time").values
                    width = scale["high"] - scale["low"]
                    shown = scale["low"] + width * unpack(text, frames) / 253
                    inside = np.clip(values, scale["low"], scale["high"]).reshape(-1, frames)
                    assert np.abs(shown - inside).max() <= 0.5001 * width / 253


def test_truth_and_prediction_share_a_scale(rollout):
    first, second, error = player(rollout()).data["parts"][0][0]["scales"]
    assert {k: first[k] for k in ("low", "high", "map")} == {
        k: second[k] for k in ("low", "high", "map")
    }
    # The prediction is a tenth too large, so that it alone goes beyond the shared scale.
    assert (first["extend"], second["extend"]) == ("neither", "max")
    assert error["low"] == -error["high"]


def test_a_rollout_without_truth_is_its_prediction(rollout):
    ds = rollout()
    ds = ds.drop_vars([name for name in ds if str(name).startswith("truth_")])
    data = player(ds).data
    assert data["strips"] == ["prediction"]
    assert data["parts"][0][0]["scores"] == []


def test_a_player_is_bounded(rollout, monkeypatch):
    ds = rollout(shape=(8, 6), frames=31, samples=6)
    # A frame of one run is 48 points of two fields, three times.
    monkeypatch.setattr(module, "LARGEST", 48 * 2 * 3 * 10)
    monkeypatch.setattr(module, "FEW_FRAMES", 5)
    cuts = choose(ds)
    assert len(cuts.runs) == 2
    assert cuts.ds.sizes["time"] * len(cuts.runs) <= 10
    assert float(cuts.ds["time"][-1]) == float(ds["time"][-1])
    assert schema.is_even(cuts.ds["time"].values)
    assert cuts.note == "5 of 30 frames, 2 of 6 runs"
    monkeypatch.setattr(module, "POINTS", 4)
    assert choose(ds).ds.sizes["x"] == 4
    assert "one point in 2 along x" in choose(ds).note


def test_an_unknown_run_is_told(rollout):
    with pytest.raises(InputError, match="runs 0 to 1"):
        player(rollout(), runs=[0, 7])


def test_uneven_axes_are_shown_to_scale():
    points = np.array([0.0, 1.0, 3.0, 7.0])
    # Cells from -0.5, 0.5, 2, 5 to 9: the last takes four of the nine and a half.
    share = np.bincount(evenly(points)) / evenly(points).size
    assert np.allclose(share, np.array([1, 1.5, 3, 4]) / 9.5, atol=1 / 8)
    assert evenly(np.array([0.0, 1.0, 2.0])).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0, 1.0, ["0.00", "0.25", "0.50", "0.75", "1.00"]),
        (-1.0, 1.0, ["−1.0", "−0.5", "0.0", "0.5", "1.0"]),
        (0.0, 4e-5, ["0", "1×10⁻⁵", "2×10⁻⁵", "3×10⁻⁵", "4×10⁻⁵"]),
    ],
)
def test_ticks_are_round_and_in_place(low, high, words):
    found = ticks(low, high, 4)
    assert [text for _, text in found] == words
    assert np.allclose([place for place, _ in found], np.linspace(0, 1, 5))
