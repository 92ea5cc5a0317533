"""Laws of the learning curves: what is drawn is what the comparison says."""

import numpy as np
import pytest
import xarray as xr

from mpp.errors import InputError
from mpp.schema import example
from mpp.viz.figures import figures
from mpp.viz.transfer import learning_curves
from mpp.viz.transfer_report import markdown, transfer_report


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines() if line.get_label()[0] != "_"}


def test_a_row_a_field_and_a_column_a_lead_time(study_result):
    figure = learning_curves(study_result(), lead_steps=(1, 5))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        f"{field} · step {step}" for field in ("height", "velocity_x")
        for step in ("1 (0.5 s)", "5 (2.5 s)")
    ]  # fmt: skip
    assert {axes.get_xscale() for axes in figure.axes} == {"log"}
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}
    assert "shallow_water" in figure.get_suptitle()
    assert "300 steps" in figure.get_suptitle()


def test_lines_are_means_over_seeds_and_persistence_is_level(study_result):
    axes = learning_curves(study_result(), lead_steps=(1,)).axes[0]
    drawn = lines(axes)
    assert list(drawn) == ["finetuned", "scratch", "persistence"]
    # 0.2 n^-1/2 times the mean of 1, 1.1 and 1.2.
    np.testing.assert_allclose(drawn["scratch"].get_xdata(), [1, 2, 4, 8, 16, 32, 64])
    np.testing.assert_allclose(
        drawn["scratch"].get_ydata(), 0.22 * np.array([1, 2, 4, 8, 16, 32, 64]) ** -0.5
    )
    np.testing.assert_allclose(drawn["persistence"].get_ydata(), 0.3)
    band = axes.collections[1].get_paths()[0].vertices
    first = band[band[:, 0] == 1][:, 1]
    np.testing.assert_allclose([first.min(), first.max()], [0.2, 0.24])
    # From where the finetuned curve reaches scratch on 64 runs, which is at 16.
    way = next(line for line in axes.get_lines() if line.get_linestyle() == ":")
    np.testing.assert_allclose(way.get_xdata(), [16, 64])
    assert axes.texts[0].get_text() == "EG 4"


def test_negative_transfer_and_divergence_are_marked(study_result):
    ds = study_result()
    ds["vrmse"].loc[{"arm": "finetuned", "size": 64}] *= 3
    ds["vrmse"].loc[{"arm": "scratch", "size": 1, "seed": 0}] = np.nan
    drawn = lines(learning_curves(ds, lead_steps=(1,)).axes[0])
    assert drawn["negative transfer"].get_xdata().tolist() == [64]
    assert drawn["scratch, diverged"].get_xdata().tolist() == [1]


def test_further_arms_have_lines_and_tables_of_their_own(study_result, tmp_path):
    ds = study_result()
    lora = ds.sel(arm=["finetuned"]).assign_coords(arm=["lora"])
    lora["vrmse"] = 2.5 * lora["vrmse"]
    ds = xr.concat([ds, lora], "arm", data_vars="minimal").assign_attrs(ds.attrs, rates_lora=0.004)
    axes = learning_curves(ds, lead_steps=(1,)).axes[0]
    drawn = lines(axes)
    assert not axes.texts  # gains would lie over the further lines
    assert list(drawn) == ["finetuned", "lora", "scratch", "persistence", "negative transfer"]
    np.testing.assert_allclose(drawn["lora"].get_ydata(), 2.5 * drawn["finetuned"].get_ydata())
    assert len({line.get_color() for line in list(drawn.values())[:4]}) == 4
    page = transfer_report({"shallow_water": ds}, tmp_path, (1,)).read_text()
    assert "| field | lead time | runs | lora | scratch | AG | EG |" in page
    assert "lora is worse than scratch with 1 runs" in page


def test_one_size_and_one_seed_are_drawn(study_result):
    ds = study_result(sizes=(4,), seeds=1, fields=("height",))
    figure = learning_curves(ds)
    figure.draw_without_rendering()
    assert "one seed" in figure.get_suptitle()


def test_the_figures_of_a_study_are_its_curves(study_result, tmp_path):
    assert [path.name for path in figures(study_result(), tmp_path)] == ["transfer.png"]


def test_another_file_is_refused():
    with pytest.raises(InputError, match="mpp transfer wrote"):
        learning_curves(example())


def test_the_report_holds_tables_verdict_and_pictures(study_result, tmp_path):
    ds = study_result(sizes=(1, 64))
    ds["vrmse"].loc[{"arm": "finetuned", "size": 64}] *= 3
    page = transfer_report({"shallow_water": ds, "a b": study_result()}, tmp_path, (1,)).read_text()
    assert (tmp_path / "shallow_water.png").is_file()
    assert "![error against training runs](a-b.png)" in page
    assert "| height | step 1 (0.5 s) | 1 | 0.110 ± 0.010 | 0.220 ± 0.020 | 2 | ≥ 1 |" in page
    assert page.count("- Negative transfer: ") == 2
    rates = "0.002 finetuned and 0.005 scratch (the best of 0.005, 0.01)"
    assert f"300 steps of 2 windows, at rates of {rates}" in page
    assert "The best rate is the one that validates best with 8 training runs." in page
    assert "40 s finetuned (39 s of processors)" in page
    assert "2 runs to choose its weights by; errors are on 2 test runs" in page


def test_a_table_keeps_its_columns_whatever_a_name_holds():
    assert markdown(["a", "b"], [["x|y", "1"]]).splitlines()[-1] == "| x/y | 1 |"
