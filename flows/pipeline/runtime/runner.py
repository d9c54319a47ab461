"""Run the steps of the pipeline plainly, and show how far they are.

The pipeline names its steps; a *step runner* decides how each is called. The one here calls them
at once. What people see of it is a *display*: one line that moves on a terminal, lines in a log,
or nothing. Both write to standard error: standard output is for results.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

from orimap.flows.pipeline.runtime.notebook import NotebookLines, notebook
from orimap.flows.pipeline.runtime.outlook import (
    Outlook,
    about_text,
    left_text,
    seconds_text,
)
from orimap.tasks.lines import printable, say
from orimap.tasks.stream.blocks import Progress, silent

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

T = TypeVar("T")

LINE_SECONDS = 10  # between two lines about one step in a log
FIRST_SECONDS = 2.0  # a log says what is done first if nothing else comes so soon
SHORT_SECONDS = 3  # the end of a step of a run has no line of its own so soon after another
FRAMES_PER_SECOND = 4  # of the line on a terminal
NARROW, BAR = 70, 30  # columns of a terminal that has no room for a bar, and of the bar


class StepRunner(Protocol):
    """What the pipeline asks of whoever runs its steps."""

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Tell which steps will come, in their order, and about how long each will take."""

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

    def run(self, first: str) -> AbstractContextManager[None]:
        """Show one run while the context lasts; ``first`` says what is done until its steps."""

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Take what is known of the steps of the run: their order, and about how long each is."""

    def step(self, name: str) -> AbstractContextManager[Progress]:
        """Show one step while the context lasts; gives what to call with its progress."""

    def note(self, text: str) -> None:
        """Show a line."""


class PlainRunner:
    """Calls every step at once, in this process; tables and figures are in the report."""

    def __init__(self, display: Display) -> None:
        self.display = display

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Have the time left shown."""
        self.display.expect(seconds)

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
    """Return one moving line where ``stream`` (standard error) is a terminal, else lines.

    In a notebook, lines that change in their place.
    """
    if quiet:
        return NoDisplay()
    show = notebook() if stream is None else None
    if show is not None:
        return NotebookLines(show)
    stream = stream or sys.stderr
    return MovingLine(stream) if stream.isatty() else Lines(stream)


class NoDisplay:
    """Shows nothing."""

    def run(self, first: str) -> AbstractContextManager[None]:
        """Run without a word."""
        return nullcontext()

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Take no notice."""

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Run without a word."""
        yield silent

    def note(self, text: str) -> None:
        """Show nothing."""


class Lines:
    """Writes a few lines: what begins, what has ended, and how long the rest will take.

    Parameters
    ----------
    stream : text file
    every_seconds : float
        Between two lines about one step.
    """

    def __init__(self, stream: TextIO, every_seconds: float = LINE_SECONDS) -> None:
        self.stream = stream
        self.every_seconds = every_seconds
        self._outlook = Outlook({})
        self._last = -float(SHORT_SECONDS)
        self._first: threading.Timer | None = None

    @contextmanager
    def run(self, first: str) -> Iterator[None]:
        """Write what is done first, unless something else comes soon: what a refusal says is it."""
        self._first = threading.Timer(FIRST_SECONDS, self.note, [first])
        self._first.daemon = True
        self._first.start()
        try:
            yield
        finally:
            self._first.cancel()
            self._outlook = Outlook({})

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Take what is known of the steps of the run."""
        self._outlook = Outlook(seconds)

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Write how far the step is, and that it has ended."""
        outlook, part_of_run = self._outlook, name in self._outlook
        if not part_of_run:
            outlook = Outlook({name: 0.0})
        outlook.begin(name)
        started = last = time.monotonic()
        busy = threading.Lock()

        def progress(done: int, total: int) -> None:
            nonlocal last
            with busy:
                outlook.progress(done, total)
                now = time.monotonic()
                if now - last < self.every_seconds or done >= total:
                    return
                last = now
            self.note(f"{name}: {done} of {total}{left_text(outlook)}")

        yield progress
        outlook.end()
        now = time.monotonic()
        if not part_of_run or outlook.finished == 1 or now - self._last >= SHORT_SECONDS:
            which = f" (step {outlook.number} of {outlook.count})" if part_of_run else ""
            left = left_text(outlook) if part_of_run and outlook.number < outlook.count else ""
            self.note(f"{name}: done in {seconds_text(now - started)}{which}{left}")

    def note(self, text: str) -> None:
        """Write a line."""
        if self._first is not None:
            self._first.cancel()
        self._last = time.monotonic()
        say(text, stream=self.stream)


class MovingLine:
    """Shows one line for the whole run: what is done now, a bar, and the time left.

    Parameters
    ----------
    stream : text file
        A terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self.console = Console(file=stream, highlight=False)
        self._live: Live | None = None
        self._outlook = Outlook({})
        self._doing = ""
        self._started = time.monotonic()

    @contextmanager
    def run(self, first: str) -> Iterator[None]:
        """Show the line while the context lasts."""
        from rich.live import Live
        from rich.spinner import Spinner

        self._spinner = Spinner("dots")
        self._doing, self._started = first, time.monotonic()
        with Live(
            get_renderable=self._line,
            console=self.console,
            refresh_per_second=FRAMES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as self._live:
            try:
                yield
            finally:
                self._live, self._outlook = None, Outlook({})

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Take what is known of the steps of the run."""
        self._outlook = Outlook(seconds)

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Show the step in the line of the run; by itself, with a line of its own."""
        if self._live is None:
            started = time.monotonic()
            with self.run(name), self.step(name) as progress:
                yield progress
            self.note(f"{name}: done in {seconds_text(time.monotonic() - started)}")
            return
        if name not in self._outlook:
            self._outlook = Outlook({name: 0.0})
        self._outlook.begin(name)
        self._doing = name
        yield self._outlook.progress
        self._outlook.end()

    def note(self, text: str) -> None:
        """Show a line above the one that moves."""
        self.console.print(printable(text), markup=False, soft_wrap=True)

    def _line(self) -> "RenderableType":
        """Return the line as it is now."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        outlook, passed = self._outlook, time.monotonic() - self._started
        cells: list[RenderableType] = [self._spinner]
        if outlook.count > 1 and outlook.number:
            cells.append(f"step {outlook.number} of {outlook.count}:")
        cells.append(Text(printable(self._doing), overflow="ellipsis"))
        words = f"{about_text(passed)} so far"
        left = outlook.left() if outlook.number else None
        if left is not None:
            if self.console.width >= NARROW:
                cells.append(ProgressBar(passed + left, passed, width=BAR))
            words = f"about {about_text(left)} left"
        line = Table.grid(padding=(0, 1))
        for _ in (*cells, words):
            line.add_column(no_wrap=True)
        line.add_row(*cells, words)
        return line
