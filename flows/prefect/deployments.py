"""The flows that Prefect starts by itself: after an acquisition, to compare filters, as a canary.

What they are given comes from outside. Paths must lie under the roots that the environment names,
options are checked as on the command line, and where a run is computed is said by the deployment,
not by the event.

The form on Prefect's page shows what docstrings in Google's style say of each field, and nothing of
others.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.context import get_run_context
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from orimap.flows.jobs.claim import claimed
from orimap.flows.jobs.job import Job
from orimap.flows.jobs.notify import perform_and_tell
from orimap.flows.jobs.outcome import Outcome, write_outcome
from orimap.flows.jobs.page import RESULTS_VARIABLE
from orimap.flows.jobs.perform import run_log
from orimap.flows.pipeline.pipeline import run_pipeline
from orimap.flows.pipeline.runtime.runner import Display, Lines
from orimap.flows.prefect.canary import WATCHED_VARIABLE
from orimap.flows.prefect.runner import PIECES_AT_ONCE, PrefectRunner, keep_report
from orimap.flows.prefect.submitter import DUPLICATE
from orimap.flows.request.allowed import allowed_roots, under_root
from orimap.flows.request.request import Request, with_files
from orimap.flows.request.sidecar import NOT_HERE
from orimap.tasks.errors import InputError
from orimap.tasks.lines import printable
from orimap.tasks.store.fingerprint import fingerprint as told_apart

HOURS = 12.0  # the longest that a run may take where its deployment says nothing else
AGAIN_S = 1.0  # after which a run is told again that its time is up


def _run_name() -> str:
    """Name a run after its file."""
    return Path(flow_run.parameters["path"]).name


@flow(
    name="after-acquisition",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=PIECES_AT_ONCE),
    persist_result=False,
)
def analyse(
    path: Path,
    results: Path | None = None,
    options: dict[str, Any] | None = None,
    hours: float = HOURS,
    where: dict[str, Any] | None = None,
    key: str | None = None,
    fingerprint: str | None = None,
    size: int | None = None,
    reader: str | None = None,
    scan_rows: int | None = None,
    scan_columns: int | None = None,
    detector_rows: int | None = None,
    detector_columns: int | None = None,
) -> State:
    """Analyse an acquisition that is complete: how many patterns it holds, and where each one is.

    Only the path is needed.

    Args:
        path: The acquisition, a file or a folder of images: its absolute path on the machine that
            analyses, in one of the folders that ORIMAP_ROOTS allows there.
        results: Folder for the results. Left empty, a folder of the acquisition's name in the
            results folder of the machine (ORIMAP_RESULTS).
        options: How it is analysed, with the names of the options of orimap run and underscores,
            such as {"k": "1:12", "crystals": ["/data/silicon.cif"]}. Files that they name must
            lie in the allowed folders, too.
        hours: The longest that it may take.
        where: Where it is computed, such as {"cluster": "local", "workers": 4}. Usually the
            deployment says it.
        key: Leave empty. The watcher names its job here.
        fingerprint: Leave empty. The watcher tells the content of the file here.
        size: Leave empty. Bytes on disk, as the watcher has seen them.
        reader: Leave empty. What the watcher has recognised the file as.
        scan_rows: Leave empty. Positions, as the watcher has seen them.
        scan_columns: Leave empty. Positions, as the watcher has seen them.
        detector_rows: Leave empty. Pixels, as the watcher has seen them.
        detector_columns: Leave empty. Pixels, as the watcher has seen them.

    Returns
    -------
        Completed, once the results have been looked at; by the name of ``DUPLICATE`` if another
        run has this job or has ended it.
    """
    logger = get_run_logger()
    folder = results or _usual_results(path)
    content = fingerprint or _content(path, folder)
    job = announced_job(path, folder, key, content, options or {}, where or {})
    with claimed(job, made=_asked_for()) as taken:
        if taken is not None:
            return Completed(name=DUPLICATE, message=f"Nothing to do: {taken}.")
        with run_log(job.output) as log, _at_most(hours, job):
            runner = PrefectRunner(Lines(log))
            outcome = perform_and_tell(
                job,
                lambda request: run_pipeline(request, runner),
                lambda text: logger.info(printable(text)),
            )
        keep_report(job.output)
    return Completed(message=_in_short(outcome))


def announced_job(
    path: Path,
    results: Path,
    key: str | None,
    fingerprint: str,
    options: dict[str, Any],
    where: dict[str, Any],
) -> Job:
    """Return the job that an event announces, or a person asks for, after checking all of it.

    A person gives no key.

    Raises
    ------
    InputError
        If a path leads out of the allowed roots, an option is unknown, out of bounds or not for
        an event, or the job is not the one that the key stands for.
    """
    request = allowed_request(path, results, options, where)
    job = Job(acquisition=fingerprint, request=request)
    if key is not None and job.key != key:
        raise InputError(
            f"the job {key}",
            f"a path and options that make it {job.key}",
            "have the watcher announce it again: the same version of orimap, a path without links",
        )
    return job


def _usual_results(path: Path) -> Path:
    """Return the folder where the watcher of this machine would put the results.

    Raises
    ------
    InputError
        If no folder for all results is known here.
    """
    root = os.environ.get(RESULTS_VARIABLE)
    if not root:
        raise InputError(
            "a folder for the results",
            f"none given, and {RESULTS_VARIABLE} does not name one where this run is computed",
            f"fill in the field results, or set {RESULTS_VARIABLE} for the worker",
        )
    watched = os.environ.get(WATCHED_VARIABLE)
    inside = watched is not None and path.is_relative_to(watched)
    return Path(root) / (path.relative_to(watched) if watched and inside else path.name)


def _content(path: Path, results: Path) -> str:
    """Return what tells this acquisition from another under the same name, for whom no one has."""
    with suppress(OSError):
        found = path.stat()
        facts = {"size": found.st_size, "written": found.st_mtime_ns}
        return told_apart(path=path, results=results, **facts)[:12]
    return told_apart(path=path, results=results)[:12]


def allowed_request(
    path: Path, results: Path, options: dict[str, Any], where: dict[str, Any]
) -> Request:
    """Return a request that comes from outside, after checking its paths and options.

    Raises
    ------
    InputError
        If a path leads out of the allowed roots, an option is unknown, out of bounds or not for
        others to choose.
    """
    roots = allowed_roots()
    for name in sorted(options.keys() & NOT_HERE):
        raise InputError(
            "options of the analysis from outside",
            name,
            f"set {name} in the parameter `where` of the deployment",
        )
    asked = with_files(options, lambda named: under_root(named, roots))
    return Request.read(
        file=under_root(path, roots), output=under_root(results, roots), **asked, **where
    )


def _asked_for() -> datetime | None:
    """Return when this run was asked for, None when somebody has it tried again."""
    run = get_run_context().flow_run
    return run.created if run.run_count <= 1 else None


class _TimeIsUpError(BaseException):
    """Ends a run wherever it is; no step takes it for a failure of its own and tries again."""


def _is_ending(error: BaseException | None) -> bool:
    """Return whether an exception, or one that it follows, ends a run whose time is up."""
    while error is not None:
        if isinstance(error, _TimeIsUpError):
            return True
        error = error.__context__
    return False


@contextmanager
def _at_most(hours: float, job: Job) -> Iterator[None]:
    """End what takes longer: workers and batch jobs are closed on the way out, as by Ctrl-C.

    The timer and its signal (SIGALRM) are those of the whole process, which is this run alone; the
    handler that was there is put back at the end. What is raised in a callback, of a library or of
    the garbage collection, is lost: the signal comes again until the run is on its way out.
    """

    def end(*_: object) -> None:
        if not _is_ending(sys.exception()):
            raise _TimeIsUpError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, hours * 3600, AGAIN_S)
    began = datetime.now(UTC)
    try:
        yield
    except _TimeIsUpError as error:
        reason = f"{job.request.file.name} took longer than {hours:g} hours"
        remedy = "raise `hours` of the deployment, or give it more workers; it goes on from there"
        write_outcome(
            job.output,
            Outcome(
                key=job.key,
                acquisition=job.acquisition,
                state="failed",
                kind="resources",
                reason=reason,
                remedy=remedy,
                started=began.isoformat(timespec="seconds"),
                ended=datetime.now(UTC).isoformat(timespec="seconds"),
            ),
        )
        raise TimeoutError(f"{reason}; {remedy}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _in_short(outcome: Outcome) -> str:
    if not outcome.countable:
        return f"too few positions to count, confidence {outcome.confidence}"
    if not outcome.crystal_found:
        return f"no crystal found, confidence {outcome.confidence}"
    return f"{outcome.decided_k} clusters, confidence {outcome.confidence}"


@flow(
    name="compare-filters",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=PIECES_AT_ONCE),
    persist_result=False,
)
def compare(
    path: Path,
    results: Path,
    options: dict[str, Any] | None = None,
    seeds: int = 3,
    where: dict[str, Any] | None = None,
) -> None:
    """Analyse an acquisition raw, averaged and with ePattern, and write one page about it.

    Args:
        path: The acquisition, a file or a folder of images: its absolute path on the machine that
            analyses, in one of the folders that ORIMAP_ROOTS allows there.
        results: Folder for the results, in one of these folders as well.
        options: How it is analysed, with the names of the options of orimap run and underscores,
            such as {"k": "1:12", "bin": 2}.
        seeds: How many seeds each filter is tried with; more than one shows what is chance.
        where: Where it is computed, such as {"cluster": "local", "workers": 4}. Usually the
            deployment says it.
    """
    from orimap.flows.pipeline.compare import compare_filters

    request = allowed_request(path, results, options or {}, where or {})

    def analyse_one(asked: Request, display: Display) -> Path:
        return run_pipeline(asked, PrefectRunner(display, prefix=asked.filter))

    with run_log(request.output) as log:
        page = compare_filters(request, Lines(log), analyse_one, seeds=seeds)
    keep_report(page.parent, page.name)
