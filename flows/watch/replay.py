"""Ask for another analysis of an acquisition that the journal knows."""

from collections.abc import Mapping
from typing import Any

from orimap.flows.jobs.job import Job
from orimap.flows.request.request import Request, laid_over
from orimap.flows.request.sidecar import read_sidecar
from orimap.flows.watch.journal import UNDER_WAY, Entry, Journal
from orimap.tasks.acquire.arrivals.sidecar_name import SIDECAR
from orimap.tasks.errors import InputError


def replay_entry(
    journal: Journal, entry: Entry, changes: Mapping[str, Any], *, dry_run: bool
) -> str:
    """Put an acquisition back in line; say in words what was, or would be, done.

    Parameters
    ----------
    journal : Journal
    entry : Entry
    changes : mapping
        Fields of the request that differ from its last analysis. They come before the side-car
        as it is now, which comes before the last analysis.
    dry_run : bool
        Change nothing.

    Raises
    ------
    InputError
        If it is being analysed or waits for it, its file is gone, or a change is at fault.
    """
    if entry.state in ("quarantined", "not a scan"):
        if changes:
            raise InputError(
                f"no options: {entry.title} was quarantined before it was analysed",
                f"--{next(iter(changes)).replace('_', '-')}",
                f"write them into {entry.name}{SIDECAR} beside it; it is then checked again",
            )
        if not dry_run:
            journal.move(entry, "seen", "checked again on request")
        return f"{entry.title}: checked again"
    if entry.state == "seen" or entry.state in UNDER_WAY:
        raise InputError(
            "an acquisition whose analysis has ended",
            f"{entry.title} is {entry.state}: {entry.reason or 'no more is known'}",
            "wait for its end",
        )
    last = journal.latest()[entry.name]
    if last.number != entry.number:
        raise InputError(
            "an acquisition whose files are still there",
            f"{entry.title} was replaced by revision {last.revision}",
            f"replay {last.id or last.name}",
        )
    job = _job(entry, changes)
    if not dry_run:
        journal.move(
            entry,
            "settled",
            "to be analysed again",
            job=job,
            analyses=entry.analyses + 1,
            reference="",
            handed_over=0,
        )
    asked = job.request.model_dump(mode="json", exclude_defaults=True, exclude={"file", "output"})
    words = ", ".join(f"{name} {value}" for name, value in asked.items()) or "no options"
    return f"{entry.title}: analysed again with {words}, into {job.output}"


def _job(entry: Entry, changes: Mapping[str, Any]) -> Job:
    """Return a job that nobody has taken before."""
    from orimap.flows.pipeline.plan import indexing_of

    before = entry.job.request
    if not before.file.exists():
        raise InputError(
            "the files of the acquisition",
            f"no file of that name ({before.file})",
            "put it back, and check that its disk is mounted",
        )
    stored = before.model_dump(exclude_unset=True, exclude={"restart"})
    root = before.file.parents[len(entry.name.split("/")) - 1]
    beside = laid_over(stored, read_sidecar(before.file, root=root))
    request = Request.read(**laid_over(beside, changes))
    indexing_of(request)
    # The same request has the same key: the number tells this analysis from the ones before.
    name = f"{entry.id}-{entry.analyses + 1}"
    return Job(acquisition=name, request=request)
