"""Laws of the report: one file with everything in it, whatever names the data has."""

import json
import re

import numpy as np
import pytest

from mpp.errors import InputError
from mpp.viz.report import report

EVIL = "</script><script>alert('x')</script>"


def small(rollout, **options):
    """One field, to draw as little as possible."""
    return rollout(shape=(6, 4), frames=4, **options).drop_vars(["velocity_x", "truth_velocity_x"])


def test_it_gathers_a_rollout_and_its_scores(tmp_path, rollout, scores, reader):
    small(rollout).to_netcdf(tmp_path / "r.nc")
    scores(fields=("height",)).drop_vars("rmse").to_netcdf(tmp_path / "s.nc")
    calls = []
    path = report(
        [tmp_path / "r.nc", tmp_path / "s.nc"],
        tmp_path / "new" / "r.html",
        progress=lambda *done: calls.append(done),
    )
    text = path.read_text()
    page = reader(text)
    assert calls == [(1, 2), (2, 2)]
    assert "Report: example, shallow_water" in page.words
    assert "VRMSE of shallow_water" in page.words
    # Panels and spectrum of the one field, the bands, the totals, the curves of the one score.
    assert page.tags.count("img") == 4 + 1
    assert page.tags.count("canvas") == 3 + 2
    addresses = [value for name, value in page.attributes if name in ("src", "href")]
    assert all(address.startswith("data:image/png") for address in addresses)
    assert not re.search(r"https?://|url\(|@import", text)
    alternatives = [value for name, value in page.attributes if name == "alt"]
    assert len(alternatives) == 5
    assert all(text and "$" not in text for text in alternatives)


def test_its_errors_are_those_of_the_file(tmp_path, rollout, reader):
    ds = small(rollout)
    words = reader(report(ds, tmp_path / "r.html").read_text()).words
    truth, predicted = (ds[name].values for name in ("truth_tracer", "tracer"))
    rmse = np.sqrt(((predicted - truth) ** 2).mean((2, 3)))
    values = rmse / truth.std((2, 3))
    mean, error = values.mean(0), values.std(0, ddof=1) / np.sqrt(2)
    for step in (0, 2):
        digits = max(2 - int(np.floor(np.log10(mean[step]))), 0)
        assert f"{mean[step]:.{digits}f} ± {error[step]:.{digits}f}" in words


def test_names_from_data_are_text_and_nothing_else(tmp_path, rollout, reader):
    ds = small(rollout).rename({"tracer": EVIL, "truth_tracer": f"truth_{EVIL}", "x": EVIL * 2})
    ds[EVIL].attrs["units"] = EVIL
    ds = ds.assign_attrs(system=EVIL, checkpoint=EVIL, model=EVIL)
    text = report(ds, tmp_path / "r.html").read_text()
    page = reader(text)
    # The data of the player and its script: nothing else is one.
    assert page.tags.count("script") == 2
    assert EVIL not in text
    assert "<script>alert" not in text
    data = json.loads(re.search(r'"application/json">(.*?)</script>', text, re.DOTALL)[1])
    assert data["fields"][0]["name"] == EVIL


def test_a_rollout_without_truth_says_so(tmp_path, rollout, reader):
    ds = small(rollout).drop_vars("truth_tracer")
    page = reader(report(ds, tmp_path / "r.html").read_text())
    assert "no truth to compare with" in page.words
    assert page.tags.count("canvas") == 2


def test_mistakes_are_told_and_leave_nothing(tmp_path, rollout):
    ds = small(rollout)
    with pytest.raises(InputError, match=r"ends in \.html"):
        report(ds, tmp_path / "r.pdf")
    with pytest.raises(InputError, match="no file"):
        report([], tmp_path / "r.html")
    with pytest.raises(InputError, match="no such file"):
        report(tmp_path / "none.nc", tmp_path / "r.html")
    with pytest.raises(InputError, match="runs 0 to 1"):
        report(ds, tmp_path / "r.html", runs=[5])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "r.html").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        report(ds, tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == "mine"
