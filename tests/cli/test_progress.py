"""Laws of the bar: the end shows where nobody watches, a failure leaves its own line alone."""

import pytest

from mpp.cli.progress import progress


def test_the_end_is_told_where_nobody_watches(capsys):
    with progress("count", 3) as advance:
        for done in (1, 2, 3):
            advance(done)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "count" in shown.err
    assert "3/3" in shown.err


def test_a_total_may_come_later(capsys):
    with progress("read") as advance:
        advance(2, 5)
        advance(4)
    assert "4/5" in capsys.readouterr().err


def test_a_failure_leaves_nothing(capsys):
    def fail():
        with progress("read", 3) as advance:
            advance(1)
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        fail()
    assert capsys.readouterr().err == ""


def test_a_bar_that_does_not_stay_leaves_nothing(capsys):
    with progress("open", 1, stays=False) as advance:
        advance(1)
    assert capsys.readouterr().err == ""
