import time

import pytest

from orimap.flows.pipeline.runtime.outlook import Outlook


@pytest.fixture
def wait(monkeypatch):
    """Let seconds pass."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def pass_by(seconds):
        now[0] += seconds

    return pass_by


def _took(outlook, wait, name, seconds):
    outlook.begin(name)
    wait(seconds)
    outlook.end()


def test_before_anything_the_rest_is_what_was_predicted():
    assert Outlook({"ingest": 10, "fit": 20, "report": 5}).left() == 35


def test_steps_that_took_longer_make_the_rest_longer(wait):
    outlook = Outlook({"ingest": 10, "fit": 20, "report": 5})
    _took(outlook, wait, "ingest", 30)
    assert (outlook.number, outlook.count, outlook.finished) == (1, 3, 1)
    # Three times as long; the prediction still has a say.
    assert outlook.left() == pytest.approx(75, rel=0.15)
    _took(outlook, wait, "fit", 60)
    assert outlook.left() == pytest.approx(15, rel=0.1)


def test_results_that_were_there_already_say_nothing_of_the_pace(wait):
    outlook = Outlook({"ingest": 10, "fit": 20, "report": 5})
    _took(outlook, wait, "ingest", 0.1)
    assert outlook.left() == 25


def test_a_step_that_was_left_out_is_over(wait):
    outlook = Outlook({"ingest": 10, "fit": 20, "report": 5})
    _took(outlook, wait, "ingest", 10)
    outlook.begin("report")
    assert outlook.left() == pytest.approx(5)


def test_while_a_step_runs_the_rest_of_it_counts(wait):
    outlook = Outlook({"ingest": 10, "fit": 20})
    outlook.begin("ingest")
    wait(4)
    assert outlook.left() == pytest.approx(26)
    # Parts that go on more slowly than predicted: 5 of 20 in 10 s.
    wait(6)
    outlook.progress(5, 20)
    assert outlook.left() > 30 + 20


def test_a_step_that_takes_longer_than_predicted_is_never_about_to_end_at_once(wait):
    outlook = Outlook({"ingest": 10, "fit": 20})
    outlook.begin("ingest")
    wait(60)
    assert outlook.left() > 12 + 4 * 20


def test_a_wider_range_of_k_has_its_steps_to_come_again(wait):
    outlook = Outlook({"sketch": 2, "fit": 4, "decide": 6, "report": 1})
    for name, seconds in (("sketch", 2), ("fit", 4), ("decide", 6)):
        _took(outlook, wait, name, seconds)
    assert outlook.left() == pytest.approx(1)
    outlook.begin("fit")
    assert outlook.left() == pytest.approx(11)


def test_without_a_prediction_the_parts_of_a_step_tell(wait):
    outlook = Outlook({"simulate": 0.0})
    outlook.begin("simulate")
    wait(30)
    assert outlook.left() is None
    outlook.progress(1, 9)
    assert outlook.left() is None
    outlook.progress(3, 9)
    assert outlook.left() == pytest.approx(60)
    assert "simulate" in outlook
    assert "fit" not in outlook
