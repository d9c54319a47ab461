"""Perform one job with nobody there: try again where that helps, and keep how it ended."""

import dataclasses
import json
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from orimap.flows.jobs.failures import Failure, classify, delay_seconds
from orimap.flows.jobs.job import Job
from orimap.flows.jobs.outcome import Attempt, Outcome, decided, what_is_missing, write_outcome
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError
from orimap.tasks.lines import say

LOG = "run.log"
TAIL_LINES = 200


class IncompleteError(RuntimeError):
    """An analysis ended without an error and without whole results."""


def perform(
    job: Job,
    analyse: Callable[[Request], Path],
    note: Callable[[str], None],
    *,
    wait: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Take one job to its end.

    Parameters
    ----------
    job : Job
    analyse : callable
        Takes a request from file to report.
    note : callable
        Gets a line about every try that failed.
    wait : callable
        Waits a number of seconds between tries.

    Returns
    -------
    Outcome
        Of a success that was checked by its output; also kept in ``outcome.json``.

    Raises
    ------
    Exception
        The last error, after it is kept in ``outcome.json``. An interruption leaves no outcome:
        the job goes on from its last complete step when it is performed again.
    """
    started, request = _now(), job.request
    failed: list[Attempt] = []
    while True:
        began = time.monotonic()
        try:
            analyse(request)
            missing = what_is_missing(job.output, request)
            if missing is not None:
                raise IncompleteError(missing)
        except Exception as error:
            failure = _in_words(error, job)
            lasted = time.monotonic() - began
            failed.append(Attempt(**vars(failure), ended=_now(), seconds=lasted))
            _log(job.output, error)
            delay, request = _next_try(failure, failed, request)
            if delay is None:
                bundle = _bundle(job, error) if failure.kind == "bug" else None
                ended = Outcome(
                    state="failed", **vars(failure), bundle=bundle, **_facts(job, failed, started)
                )
                write_outcome(_made(job.output), ended)
                raise
            note(f"{failure.reason}: {_again(failure, delay)}")
            wait(delay)
        else:
            ended = Outcome(
                state="done",
                **decided(job.output),
                report=str(job.output / "report.html"),
                checked=True,
                **_facts(job, failed, started),
            )
            write_outcome(job.output, ended)
            return ended


def _in_words(error: Exception, job: Job) -> Failure:
    """Return what kind of failure it is; a file that is gone may come back with its disk."""
    failure = classify(error)
    if failure.kind == "bad data" and not job.request.file.exists():
        return dataclasses.replace(failure, kind="transient")
    return failure


def _facts(job: Job, failed: list[Attempt], started: str) -> dict:
    """Return the fields that every outcome has."""
    return {
        "key": job.key,
        "acquisition": job.acquisition,
        "attempts": failed,
        "started": started,
        "ended": _now(),
    }


def _next_try(
    failure: Failure, failed: list[Attempt], request: Request
) -> tuple[float | None, Request]:
    """Return how long to wait before the next try, None for never, and what it asks for."""
    if failure.kind == "transient":
        return delay_seconds(sum(each.kind == "transient" for each in failed)), request
    more = with_more_memory(request)
    first = sum(each.kind == "resources" for each in failed) == 1
    if failure.kind == "resources" and first and more is not None:
        return 0.0, more
    return None, request


def with_more_memory(request: Request) -> Request | None:
    """Return a request whose workers each have twice the memory, None where there is no more.

    Workers on this machine share its memory: half as many have twice as much each. A batch system
    is asked for twice as much. A scheduler that runs already keeps the workers it has.
    """
    from dask.utils import parse_bytes

    from orimap.cluster.queue.commands import BATCH_SYSTEMS
    from orimap.flows.pipeline.runtime.workers import check_workers

    site = check_workers(request)
    system = site.system if site is not None else request.cluster
    if system in BATCH_SYSTEMS:
        from orimap.cluster.batch.settings import process_memory_bytes

        given = request.worker_memory
        now = parse_bytes(given) if given else process_memory_bytes(system, site)
        return request.model_copy(update={"worker_memory": f"{2 * now} B"})
    from orimap.cluster.local import ON_THIS_MACHINE, available_cores

    if system not in ON_THIS_MACHINE:
        return None

    workers = request.workers or (site.workers if site is not None else None) or available_cores()
    return request.model_copy(update={"workers": workers // 2}) if workers > 1 else None


def _again(failure: Failure, delay: float) -> str:
    """Say what comes next."""
    if failure.kind == "resources":
        return "once more, with twice the memory for each worker"
    return f"trying again in {delay:.0f} s"


@contextmanager
def run_log(output: Path) -> Iterator[TextIO]:
    """Open the log of a job in its folder, to write lines at its end."""
    with (_made(output) / LOG).open("a", encoding="utf-8", buffering=1) as log:
        yield log


def log_tail(output: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of the log of a job, nothing where there is no log."""
    try:
        text = (output / LOG).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _log(output: Path, error: Exception) -> None:
    """Write where an error comes from; what is at fault in the input needs no traceback."""
    with run_log(output) as log:
        if isinstance(error, InputError):
            log.write(f"{error}\n")
        else:
            say(*"".join(traceback.format_exception(error)).splitlines(), stream=log)


def _bundle(job: Job, error: Exception) -> str:
    """Put what is needed to find a bug into one file; no patterns, no maps, no environment."""
    from orimap.flows.pipeline.runtime.measure import machine, versions

    path = job.output / f"bundle-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.zip"
    facts = {"job": job.model_dump(mode="json"), "versions": versions(), "machine": machine()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("job.json", json.dumps(facts, indent=2))
        bundle.writestr("error.txt", "".join(traceback.format_exception(error)))
        bundle.writestr("log.txt", log_tail(job.output))
        for root in (job.output / ".unfinished" / "analysis.zarr", job.output / "analysis.zarr"):
            for group in sorted(root.rglob("zarr.json")):
                name = f"{root.parent.name}/{group.relative_to(root)}"
                bundle.write(group, f"groups/{name}")
    return str(path)


def _made(output: Path) -> Path:
    output.mkdir(parents=True, exist_ok=True)
    return output


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
