import io
import threading
import time

import pytest

from orimap.flows.pipeline.runtime.runner import Bars, Lines, NoDisplay, PlainRunner, choose_display


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_step_gets_its_progress_and_returns_its_result():
    said = io.StringIO()
    runner = PlainRunner(Lines(said, every_seconds=0))

    def work(progress):
        progress(1, 4)
        progress(4, 4)
        return "made"

    assert runner.step("ingest", work) == "made"
    first, last = said.getvalue().splitlines()
    assert first == "ingest: 1 of 4"
    assert last.startswith("ingest: done in ")


def test_lines_come_only_every_few_seconds():
    said = io.StringIO()
    with Lines(said, every_seconds=60).step("sketch") as progress:
        for done in range(1, 1000):
            progress(done, 1000)
    assert len(said.getvalue().splitlines()) == 1


@pytest.mark.parametrize(
    ("done", "total", "line"),
    [
        (3, 9, "fit: 3 of 9, about 1 min 0 s left"),
        # The first part waits for what is loaded once.
        (1, 21, "fit: 1 of 21"),
    ],
)
def test_time_left_follows_from_the_time_so_far(monkeypatch, done, total, line):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    said = io.StringIO()
    with Lines(said).step("fit") as progress:
        now[0] += 30
        progress(done, total)
    assert said.getvalue().splitlines()[0] == line


def test_nothing_done_yet_has_no_time_left():
    said = io.StringIO()
    with Lines(said, every_seconds=0).step("fit") as progress:
        progress(0, 9)
    assert said.getvalue().splitlines()[0] == "fit: 0 of 9"


def test_pieces_run_all_at_the_same_time():
    together = threading.Barrier(5, timeout=10)
    works = {f"k={k}": lambda k=k: (together.wait(), k)[1] for k in range(5)}
    assert PlainRunner(NoDisplay()).each("fit", works) == {f"k={k}": k for k in range(5)}


def test_no_pieces_are_no_results():
    assert PlainRunner(NoDisplay()).each("fit", {}) == {}


def test_the_first_piece_that_fails_ends_the_step_at_once():
    release = threading.Event()

    def fail():
        raise ZeroDivisionError("k=3")

    works = {"k=2": lambda: release.wait(30), "k=3": fail}
    started = time.monotonic()
    with pytest.raises(ZeroDivisionError, match="k=3"):
        PlainRunner(NoDisplay()).each("fit", works)
    assert time.monotonic() - started < 10
    release.set()


def test_a_step_that_fails_is_not_called_done():
    said = io.StringIO()

    def fail(_progress):
        raise ValueError

    with pytest.raises(ValueError):
        PlainRunner(Lines(said)).step("ingest", fail)
    assert "done" not in said.getvalue()


def test_a_terminal_gets_a_bar_and_then_a_line():
    screen = Terminal()
    display = choose_display(stream=screen)
    assert isinstance(display, Bars)
    with display.step("sketch") as progress:
        progress(3, 8)
        display.note("[Dask] dashboard: http://127.0.0.1:8787/status")
        time.sleep(0.3)
    shown = screen.getvalue()
    assert "3/8" in shown
    assert "[Dask] dashboard: http://127.0.0.1:8787/status" in shown
    assert "sketch: done in" in shown


def test_a_log_gets_lines_and_quiet_gets_nothing():
    assert isinstance(choose_display(stream=io.StringIO()), Lines)
    assert isinstance(choose_display(quiet=True, stream=Terminal()), NoDisplay)
