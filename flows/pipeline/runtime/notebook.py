"""Show in a notebook how far a run is: a few lines that change in their place."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from orimap.flows.pipeline.runtime.outlook import Outlook, left_text, seconds_text
from orimap.tasks.lines import printable
from orimap.tasks.stream.blocks import Progress

# Between two changes of the line: often enough to see it move, and no load for the browser.
EVERY_SECONDS = 0.5
BAR_LETTERS = 20

# Shows a text, and returns what replaces it by another.
Show = Callable[[str], Callable[[str], None]]


def notebook() -> Show | None:
    """Return how a text is shown in the notebook that this process belongs to; None outside one.

    IPython is not needed by us: in a notebook it has been loaded.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if ipython is None or getattr(shell, "kernel", None) is None:
        return None
    display: Any = ipython.display.display

    def show(text: str) -> Callable[[str], None]:
        handle = display({"text/plain": text}, raw=True, display_id=True)
        return lambda other: handle.update({"text/plain": other}, raw=True)

    return show


class NotebookLines:
    """Shows notes, the steps that are done, and a bar for the one that runs, with the time left.

    Parameters
    ----------
    show : callable
        Shows a text, and returns what replaces it by another.
    every_seconds : float
        Between two changes while a step runs.
    """

    def __init__(self, show: Show, every_seconds: float = EVERY_SECONDS) -> None:
        self._show = show
        self._every_seconds = every_seconds
        self._replace: Callable[[str], None] | None = None
        self._busy = threading.RLock()
        self._outlook = Outlook({})
        self._notes: list[str] = []
        self._done: list[str] = []

    @contextmanager
    def run(self, first: str) -> Iterator[None]:
        """Say what is done until the first step."""
        self._draw(f"{first} …")
        try:
            yield
        finally:
            self._outlook = Outlook({})

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Take what is known of the steps of the run."""
        self._outlook = Outlook(seconds)

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Show a bar, and in its place how long the step took."""
        outlook = self._outlook if name in self._outlook else Outlook({name: 0.0})
        outlook.begin(name)
        started = last = time.monotonic()
        self._draw(f"{name} …{left_text(outlook)}")

        def progress(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            with self._busy:
                if now - last < self._every_seconds or not total:
                    return
                last = now
                outlook.progress(done, total)
                filled = BAR_LETTERS * done // total
                bar = "█" * filled + "░" * (BAR_LETTERS - filled)
                passed = seconds_text(now - started)
                self._draw(f"{name} {bar} {done} of {total}, {passed}{left_text(outlook)}")

        try:
            yield progress
        except BaseException:
            self._draw(f"{name}: stopped")
            raise
        outlook.end()
        self._done.append(f"{name} {seconds_text(time.monotonic() - started)}")
        self._draw("")

    def note(self, text: str) -> None:
        """Add a line above the steps."""
        self._notes.append(printable(text))
        self._draw("")

    def _draw(self, line: str) -> None:
        """Put everything in place of what was shown before."""
        with self._busy:
            line = printable(line)
            parts = [*self._notes, "done: " + ", ".join(self._done) if self._done else "", line]
            text = "\n".join(filter(None, parts))
            if self._replace is None:
                self._replace = self._show(text)
            else:
                self._replace(text)
