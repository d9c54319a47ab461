import io
import threading
import time

import pytest

from orimap.flows.pipeline.runtime import runner as runner_module
from orimap.flows.pipeline.runtime.runner import (
    Lines,
    MovingLine,
    NoDisplay,
    PlainRunner,
    choose_display,
)


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
    together = threading.Barrier(5, timeout=60)
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


STEPS = {"ingest": 10.0, "fit": 20.0, "report": 30.0}


def test_a_log_of_a_run_has_few_lines_with_the_time_left_of_all_of_it(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    said = io.StringIO()
    display = Lines(said)
    runner = PlainRunner(display)
    with display.run("opening scan.blo"):
        runner.expect(STEPS)
        for name, seconds in (("ingest", 10), ("fit", 1), ("report", 30)):

            def work(_progress, seconds=seconds):
                now[0] += seconds

            runner.step(name, work)
    # The fit ended too soon after the line before for one of its own.
    assert said.getvalue().splitlines() == [
        "ingest: done in 10 s (step 1 of 3), about 50 s left",
        "report: done in 30 s (step 3 of 3)",
    ]


def test_a_log_says_what_is_done_first_where_that_takes_long(monkeypatch):
    monkeypatch.setattr(runner_module, "FIRST_SECONDS", 0.05)
    said = io.StringIO()
    display = Lines(said)
    with display.run("opening scan.blo"):
        time.sleep(0.3)
        display.note("Dask dashboard")
    assert said.getvalue() == "opening scan.blo\nDask dashboard\n"
    with display.run("opening scan.blo"):
        display.note("needed: another file")
        time.sleep(0.3)
    assert said.getvalue().endswith("Dask dashboard\nneeded: another file\n")


def test_a_log_tells_of_a_long_step_how_long_the_whole_run_will_take(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    said = io.StringIO()
    display = Lines(said)
    display.expect(STEPS)
    with display.step("ingest") as progress:
        now[0] += 11
        progress(1, 1000)
    first, _ = said.getvalue().splitlines()
    assert first.startswith("ingest: 1 of 1000, about 1 min ")
    assert first.endswith(" s left")


def test_a_terminal_gets_one_line_for_the_whole_run():
    screen = Terminal()
    display = choose_display(stream=screen)
    assert isinstance(display, MovingLine)
    with display.run("opening [1].blo"):
        time.sleep(0.3)
        display.expect(STEPS)
        with display.step("ingest") as progress:
            progress(3, 8)
            display.note("[Dask] dashboard: http://127.0.0.1:8787/status")
            time.sleep(0.6)
        with display.step("fit"):
            time.sleep(0.3)
    shown = screen.getvalue()
    assert "opening [1].blo" in shown
    assert "step 1 of 3: ingest" in shown
    assert "step 2 of 3: fit" in shown
    assert "s left" in shown
    assert "[Dask] dashboard: http://127.0.0.1:8787/status" in shown
    assert "done in" not in shown


def test_a_step_by_itself_gets_a_line_that_stays_on_a_terminal():
    screen = Terminal()
    with choose_display(stream=screen).step("sketch") as progress:
        progress(3, 8)
        time.sleep(0.3)
    shown = screen.getvalue()
    assert "sketch" in shown
    assert "sketch: done in" in shown


def test_a_run_within_a_run_has_the_line_for_a_while():
    screen = Terminal()
    display = choose_display(stream=screen)
    with display.run("comparing"), display.run("mean: opening scan.blo"):
        time.sleep(0.3)
    assert "mean: opening scan.blo" in screen.getvalue()


def test_a_log_gets_lines_and_quiet_gets_nothing():
    assert isinstance(choose_display(stream=io.StringIO()), Lines)
    silent = choose_display(quiet=True, stream=Terminal())
    assert isinstance(silent, NoDisplay)
    with silent.run("opening"), silent.step("ingest") as progress:
        silent.expect(STEPS)
        progress(1, 2)
        silent.note("told")
    assert silent.__dict__ == {}
