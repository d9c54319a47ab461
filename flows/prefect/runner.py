"""Record a run with Prefect: every step a task, every k a task, decisions and maps as artifacts.

Only a run that is recorded imports this module: Prefect takes seconds to load. Prefect watches
from the side of the flow; the workers know only Dask.
"""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeVar

from prefect import Task, flow, get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import as_completed
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from orimap.flows.jobs.page import page_of
from orimap.flows.pipeline.pipeline import run_pipeline
from orimap.flows.pipeline.runtime.runner import Display, NoDisplay
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError
from orimap.tasks.lines import printable
from orimap.tasks.store.groups import complete_mark, open_group
from orimap.tasks.stream.blocks import Progress

T = TypeVar("T")

RETRY_DELAYS_SECONDS = [2, 10]
PROGRESS_AFTER_SECONDS = 2  # shorter steps need no progress
PIECES_AT_ONCE = 128  # threads that only wait for Dask
IMAGE_PIXELS = 800  # longer side of a figure on Prefect's page; the report has the whole

DESCRIBED = {
    "decision": "Why this number of components: for every k the mean error of the fit (loss), what "
    "the held-out half of the counts gains over smaller k, the distinct patterns after merging, "
    "components that are background, whether k lies in the range of interest, which fit is used",
    "orientations": "Which crystal each cluster is and how it lies: its direction against the "
    "beam, how much better that explains the pattern than any other orientation (reliability), "
    "and what is doubtful",
}

_display: ContextVar[Display | None] = ContextVar("display", default=None)


def _run_name() -> str:
    """Name a run after its file."""
    request = flow_run.parameters["request"]
    file = request["file"] if isinstance(request, Mapping) else request.file
    return Path(file).name


@flow(
    name="analyse-acquisition",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=PIECES_AT_ONCE),
    validate_parameters=True,
    persist_result=False,
)
def analyse_acquisition(request: Request) -> Path:
    """Take one acquisition from file to report, recorded with Prefect.

    Parameters
    ----------
    request : Request
        What ``orimap run`` takes.

    Returns
    -------
    Path
        The folder with the results, the same as of a run that is not recorded.
    """
    output = run_pipeline(request, PrefectRunner(_display.get() or NoDisplay()))
    keep_orientations(output)
    keep_report(output)
    return output


def keep_orientations(output: Path) -> None:
    """Show on the page of a run which crystal each cluster is, where clusters were indexed."""
    from orimap.tasks.report.orientations.words import orientation_rows

    analysis = output / "analysis.zarr"
    if complete_mark(analysis, "orientations") is None:
        return
    found = open_group(analysis, "orientations")
    if found.attrs.get("of") == complete_mark(analysis, "clusters"):
        rows = [
            {key: _plain(value) for key, value in row.items()} for row in orientation_rows(found)
        ]
        create_table_artifact(rows, key="orientations", description=DESCRIBED["orientations"])


def keep_report(output: Path, name: str = "report.html") -> None:
    """Tell on the page of a run where its report is.

    Where a viewer shows the run, its page has a link that works. A page that comes from a server
    cannot open files: browsers refuse such links, and the server may be another machine. So the
    path is there to be copied, besides the link.
    """
    report, page = (output / name).resolve(), page_of(output)
    to_page = f"[Look at it]({page}): maps, patterns, corrections by hand.\n\n" if page else ""
    create_markdown_artifact(
        f"{to_page}[{name}]({report.as_uri()})\n\n"
        "Browsers do not follow links from this page to files: open the link in a new tab, or "
        f"copy the path.\n\n```\n{report}\n```",
        key="report",
        description="The report of this run",
    )


def analyse_recorded(request: Request, display: Display) -> Path:
    """Run the flow in this process, showing its steps on ``display`` as well."""
    token = _display.set(display)
    try:
        return analyse_acquisition(request)
    finally:
        _display.reset(token)


class PrefectRunner:
    """Calls every step as a Prefect task; to be used inside a flow.

    Parameters
    ----------
    display : Display
    prefix : str
        Comes before the names of steps and artifacts, where one flow has several analyses.
    """

    def __init__(self, display: Display, *, prefix: str = "") -> None:
        self.display = display
        self.prefix = f"{prefix}: " if prefix else ""

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Have the time left shown where the run was started."""
        self.display.expect(seconds)

    def step(self, name: str, work: Callable[[Progress], T]) -> T:
        """Run one step as a task, again where a disk or a network failed for a moment."""
        full = self.prefix + name

        def call() -> T:
            with self.display.step(name) as shown, _progress_artifact(full) as recorded:

                def progress(done: int, total: int) -> None:
                    shown(done, total)
                    recorded(done, total)

                return work(progress)

        return _task(call, full, full, _is_transient)()

    def each(self, name: str, works: Mapping[str, Callable[[], T]]) -> dict[str, T]:
        """Run every piece as a task of its own, all at once.

        A piece that fails is tried again, and submits its Dask task anew. The first that fails
        for good ends the step.
        """
        ended, full = Event(), self.prefix + name

        def again(error: object) -> bool:
            return not ended.is_set() and not isinstance(error, InputError)

        with self.display.step(name) as shown, _progress_artifact(full) as recorded:
            try:
                futures = {
                    key: _task(work, full, f"{full} {key}", again).submit()
                    for key, work in works.items()
                }
                for done, future in enumerate(as_completed(list(futures.values())), start=1):
                    future.result()
                    shown(done, len(futures))
                    recorded(done, len(futures))
                return {key: future.result() for key, future in futures.items()}
            finally:
                ended.set()

    def note(self, text: str) -> None:
        """Log a line; an address in it becomes a link."""
        text = printable(text)
        self.display.note(text)
        get_run_logger().info(text)
        for address in re.findall(r"https?://[^\s,;)]+", text):
            create_link_artifact(address, key="link", description=text)

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Keep a table as an artifact."""
        plain = [{key: _plain(value) for key, value in row.items()} for row in rows]
        create_table_artifact(
            plain, key=_key(self.prefix + name), description=self._described(name)
        )

    def image(self, name: str, path: Path) -> None:
        """Keep a figure as an artifact that holds the image itself: no address to serve it at."""
        from orimap.tasks.report.figures.thumbnail import thumbnail
        from orimap.tasks.report.page import data_address

        create_markdown_artifact(
            f"![{name}]({data_address(thumbnail(path, IMAGE_PIXELS))})",
            key=_key(self.prefix + name),
            description=self._described(name),
        )

    def _described(self, name: str) -> str:
        """Return what an artifact shows, in words."""
        return self.prefix + DESCRIBED.get(name, f"{name.replace('_', ' ')}, from the report")


def _task(
    work: Callable[[], T], name: str, run_name: str, worth_retrying: Callable[[object], bool]
) -> Task[[], T]:
    """Make a task of a callable; nothing of what it returns is stored with Prefect."""

    def retry(_task: Task, _run: TaskRun, state: State) -> bool:
        return worth_retrying(state.data)

    def call() -> T:
        return work()

    return Task(
        fn=call,
        name=name,
        task_run_name=run_name.replace("{", "{{").replace("}", "}}"),
        retries=len(RETRY_DELAYS_SECONDS),
        retry_delay_seconds=RETRY_DELAYS_SECONDS,
        retry_condition_fn=retry,
        cache_policy=NO_CACHE,
        persist_result=False,
        log_prints=False,
    )


def _is_transient(error: object) -> bool:
    """Tell whether trying again can help: reading or writing failed, and not for good."""
    for_good = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError)
    return isinstance(error, OSError) and not isinstance(error, for_good)


@contextmanager
def _progress_artifact(name: str) -> Iterator[Progress]:
    """Keep the progress of a step as an artifact, if the step takes long enough to have one."""
    artifact = None
    last = time.monotonic()
    busy = Lock()

    def progress(done: int, total: int) -> None:
        nonlocal artifact, last
        with busy:
            if time.monotonic() - last < PROGRESS_AFTER_SECONDS:
                return
            percent = 100 * done / max(total, 1)
            if artifact is None:
                artifact = create_progress_artifact(percent, _key(f"{name} progress"), name)
            else:
                update_progress_artifact(artifact, percent)
            last = time.monotonic()

    yield progress
    if artifact is not None:
        update_progress_artifact(artifact, 100.0)


def _key(name: str) -> str:
    """Return a name as Prefect wants keys: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"


def _plain(value: Any) -> Any:
    """Return a NumPy number as a plain one, with no more digits than people compare."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value
