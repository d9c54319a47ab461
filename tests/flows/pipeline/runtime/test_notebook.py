import sys
from types import SimpleNamespace

import pytest

from orimap.flows.pipeline.runtime.notebook import NotebookLines, notebook
from orimap.flows.pipeline.runtime.runner import NoDisplay, choose_display


class Page:
    """One output of a cell: what it showed, and what it was replaced by."""

    def __init__(self):
        self.texts = []

    def show(self, text):
        self.texts.append(text)
        return self.texts.append


@pytest.fixture
def page():
    return Page()


def test_a_step_shows_a_bar_and_then_how_long_it_took(page):
    lines = NotebookLines(page.show, every_seconds=0)
    with lines.step("fit") as progress:
        progress(5, 20)
    began, moved, ended = page.texts
    assert began == "fit …"
    assert moved.startswith("fit █████░░░░░░░░░░░░░░░ 5 of 20, ")
    assert ended.startswith("done: fit ")


def test_the_time_left_is_that_of_the_whole_run(page):
    lines = NotebookLines(page.show, every_seconds=0)
    with lines.run("opening scan.hspy"):
        lines.expect({"ingest": 10.0, "fit": 100.0})
        with lines.step("ingest"):
            pass
        with lines.step("fit"):
            pass
    opening, ingest, _, fit, _ = page.texts
    assert opening == "opening scan.hspy …"
    assert ingest == "ingest …, about 1 min 50 s left"
    # A step that took no time had its results already: it tells nothing of how fast this goes.
    assert fit.endswith("fit …, about 1 min 40 s left")


def test_notes_stay_above_the_steps_that_are_done(page):
    lines = NotebookLines(page.show)
    with lines.step("ingest"):
        lines.note("Dask dashboard: here")
    with lines.step("centre"):
        pass
    note, done = page.texts[-1].splitlines()
    assert note == "Dask dashboard: here"
    assert done.startswith("done: ingest ")
    assert ", centre " in done


def test_it_changes_only_every_now_and_then(page):
    with NotebookLines(page.show, every_seconds=60).step("sketch") as progress:
        for done in range(1000):
            progress(done, 1000)
    assert len(page.texts) == 2


def test_a_step_that_fails_is_not_shown_as_done(page):
    def failing():
        with NotebookLines(page.show).step("fit"):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        failing()
    assert page.texts[-1] == "fit: stopped"


def test_it_is_chosen_in_a_notebook_alone(page, monkeypatch):
    """The parts of IPython that are asked for, which need not be installed."""

    def display(bundle, *, raw, display_id):
        assert raw
        assert display_id
        page.texts.append(bundle["text/plain"])
        return SimpleNamespace(update=lambda other, raw: page.texts.append(other["text/plain"]))

    def inside(shell):
        return SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))

    monkeypatch.setitem(sys.modules, "IPython", inside(SimpleNamespace()))  # in a terminal
    assert notebook() is None
    monkeypatch.setitem(sys.modules, "IPython", inside(SimpleNamespace(kernel=object())))
    assert isinstance(choose_display(quiet=True), NoDisplay)
    choose_display().note("one")
    assert page.texts == ["one"]
    monkeypatch.delitem(sys.modules, "IPython")
    assert not isinstance(choose_display(), NotebookLines)
