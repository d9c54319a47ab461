"""Run the steps of the pipeline plainly, and show how far they are.

The pipeline names its steps; a *step runner* decides how each is called. The one here calls them
at once. What people see of it is a *display*: bars on a terminal, lines in a log, or nothing.
Both write to standard error: standard output is for results.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeVar

from orimap.flows.pipeline.runtime.notebook import NotebookLines, notebook
from orimap.tasks.stream.blocks import Progress, silent

T = TypeVar("T")

LINE_SECONDS = 10  # between two lines about one step in a log


class StepRunner(Protocol):
    """What the pipeline asks of whoever runs its steps."""

    def step(self, name: str, work: Callable[[Progress], T]) -> T:
        """Run one step; ``work`` gets what to call with the parts done and the parts in all."""

    def each(self, name: str, works: Mapping[str, Callable[[], T]]) -> dict[str, T]:
        """Run independent pieces of one step at the same time; return their results by name."""

    def note(self, text: str) -> None:
        """Tell something worth one line: a decision, an address, what is used again."""

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Hand over a table that explains a decision."""

    def image(self, name: str, path: Path) -> None:
        """Hand over a figure that was made."""


class Display(Protocol):
    """How the progress of steps is shown to people."""

    def step(self, name: str) -> AbstractContextManager[Progress]:
        """Show one step while the context lasts; gives what to call with its progress."""

    def note(self, text: str) -> None:
        """Show a line."""


class PlainRunner:
    """Calls every step at once, in this process; tables and figures are in the report."""

    def __init__(self, display: Display) -> None:
        self.display = display

    def step(self, name: str, work: Callable[[Progress], T]) -> T:
        """Run one step."""
        with self.display.step(name) as progress:
            return work(progress)

    def each(self, name: str, works: Mapping[str, Callable[[], T]]) -> dict[str, T]:
        """Run all pieces at the same time, a thread each: they wait for Dask, they do not compute.

        The first piece that fails ends the step; pieces not yet running are dropped, those that
        wait for Dask end when the client closes.
        """
        pool = ThreadPoolExecutor(max_workers=max(1, len(works)))
        try:
            with self.display.step(name) as progress:
                futures = {key: pool.submit(work) for key, work in works.items()}
                for done, future in enumerate(as_completed(futures.values()), start=1):
                    future.result()
                    progress(done, len(futures))
                return {key: future.result() for key, future in futures.items()}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def note(self, text: str) -> None:
        """Show a line."""
        self.display.note(text)

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Leave the table to the report."""

    def image(self, name: str, path: Path) -> None:
        """Leave the figure to the report."""


def choose_display(*, quiet: bool = False, stream: TextIO | None = None) -> Display:
    """Return bars where ``stream`` (standard error) is a terminal, lines elsewhere.

    In a notebook, lines that change in their place.
    """
    if quiet:
        return NoDisplay()
    show = notebook() if stream is None else None
    if show is not None:
        return NotebookLines(show)
    stream = stream or sys.stderr
    return Bars(stream) if stream.isatty() else Lines(stream)


# So many parts of a step tell how long the rest will take.
FEWEST_PARTS = 3


class NoDisplay:
    """Shows nothing."""

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Run without a word."""
        yield silent

    def note(self, text: str) -> None:
        """Keep it to oneself."""


class Lines:
    """Writes a line when a step ends, and every few seconds while it lasts.

    Parameters
    ----------
    stream : text file
    every_seconds : float
        Between two lines about one step.
    """

    def __init__(self, stream: TextIO, every_seconds: float = LINE_SECONDS) -> None:
        self.stream = stream
        self.every_seconds = every_seconds

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Write how far the step is, how long it will take, and how long it took."""
        started = last = time.monotonic()
        busy = threading.Lock()

        def progress(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            with busy:
                if now - last < self.every_seconds or done >= total:
                    return
                last = now
            # The first parts wait for what is loaded once: no time can be told from them.
            telling = done >= min(FEWEST_PARTS, total // 2) and done > 0
            left = (now - started) / done * (total - done) if telling else None
            when = "" if left is None else f", about {_seconds(left)} left"
            self.note(f"{name}: {done} of {total}{when}")

        yield progress
        self.note(f"{name}: done in {_seconds(time.monotonic() - started)}")

    def note(self, text: str) -> None:
        """Write a line."""
        print(text, file=self.stream, flush=True)


class Bars:
    """Shows a bar with the time left for the step that runs, and a line for each that is done."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self.console = Console(file=stream, highlight=False)

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Show a bar; leave a line."""
        from rich import progress as bars

        started = time.monotonic()
        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TimeElapsedColumn(),
            bars.TimeRemainingColumn(elapsed_when_finished=True),
        )
        with bars.Progress(*columns, console=self.console, transient=True) as shown:
            bar = shown.add_task(name, total=None)

            def progress(done: int, total: int) -> None:
                shown.update(bar, completed=done, total=total)

            yield progress
        self.note(f"{name}: done in {_seconds(time.monotonic() - started)}")

    def note(self, text: str) -> None:
        """Show a line above the bar."""
        self.console.print(text, markup=False, soft_wrap=True)


def _seconds(seconds: float) -> str:
    """Return a time in words."""
    from orimap.tasks.report.words import seconds_text

    return seconds_text(seconds)
