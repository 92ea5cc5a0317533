"""Laws of the picture of a training: every error on held-out runs is a line where it belongs."""

import numpy as np
import pytest

from mpp.errors import InputError
from mpp.viz.training import training_curve


def lines(axes):
    return {line.get_label(): line.get_xydata() for line in axes.get_lines()}


@pytest.fixture
def log(tmp_path):
    file = tmp_path / "metrics.csv"

    def write(text: str):
        file.write_text(text)
        return training_curve(file)

    return write


def test_loss_and_mean_come_first_then_each_system_by_lead_time(log):
    figure = log(
        "epoch,loss,step,val,val/euler,val/euler/5,val/euler/height/1,val/waves,val/waves/5\n"
        "0,2.0,0,,,,,,\n0,1.0,9,,,,,,\n0,,9,1.5,1.6,0.9,1.6,1.4,0.8\n"
    )
    means, one, five = figure.axes
    assert lines(means).keys() >= {"loss", "val"}
    np.testing.assert_allclose(lines(means)["loss"], [[0, 2], [9, 1]])
    np.testing.assert_allclose(lines(means)["val"], [[9, 1.5]])
    assert one.get_title() == "error of 1 step"
    assert {name: float(at[0, 1]) for name, at in lines(one).items()} == {
        "euler": 1.6,
        "waves": 1.4,
    }
    assert five.get_title() == "error of 5 steps"
    assert {name: float(at[0, 1]) for name, at in lines(five).items()} == {
        "euler": 0.9,
        "waves": 0.8,
    }
    figure.draw_without_rendering()


def test_of_one_system_each_field_is_a_line(log):
    figure = log(
        "loss,step,val,val/euler,val/euler/5,val/euler/density/1,val/euler/height/1,"
        "val/euler/height/5\n,9,1.5,1.6,0.9,1.7,1.5,0.9\n"
    )
    _, one, five = figure.axes
    assert lines(one).keys() == {"density", "height"}
    assert lines(five).keys() == {"height"}


def test_a_log_without_validation_is_one_panel(log):
    assert len(log("loss,step\n2.0,0\n1.0,9\n").axes) == 1


def test_a_diverged_training_is_drawn(log):
    log("loss,step,val\nnan,0,\ninf,9,\n,9,nan\n").draw_without_rendering()


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "step\n1\n"])
def test_a_table_that_is_no_training_log_is_refused(tmp_path, text):
    log = tmp_path / "metrics.csv"
    log.write_text(text)
    with pytest.raises(InputError, match="training log"):
        training_curve(log)
