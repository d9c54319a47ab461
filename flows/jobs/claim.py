"""Claim a job for one run, so that a second run of the same job ends before it touches anything.

Two runs of one job can come about with nobody at fault: an acquisition is announced by an event,
and if the event has led to no run for a minute, a run is made without it. An event that was only
late then leads to a second one. Whichever starts first has the claim.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta

from orimap.flows.jobs.job import Job
from orimap.flows.jobs.outcome import read_outcome
from orimap.tasks.store.locks import HeldError, held

# In the folder of the results: all machines that may run the job see it.
CLAIM = ".claim"
# Outcomes say when a job ended in whole seconds.
WHOLE_SECOND = timedelta(seconds=1)


@contextmanager
def claimed(job: Job, *, made: datetime | None = None) -> Iterator[str | None]:
    """Claim a job while the context lasts; the system lets go of it however this process ends.

    Parameters
    ----------
    job : Job
    made : datetime, optional
        When this run was asked for, with its time zone. If the job has failed since, this run is
        the second half of a pair and not another try; without it, a failed job is tried again.

    Yields
    ------
    str or None
        Why there is nothing to do for this run; None if the job is now its own.

    Raises
    ------
    OSError
        If the folder of the results cannot be written.
    """
    job.output.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(held(job.output / CLAIM))
        except HeldError as error:
            taken = f"another run (process {error.owner or 'unknown'}) is at work on this job"
        else:
            taken = _has_ended(job, made)
        yield taken


def _has_ended(job: Job, made: datetime | None) -> str | None:
    """Return how another run of this job has ended, None where there is still something to do."""
    outcome = read_outcome(job.output)
    if outcome is None or outcome.key != job.key:
        return None
    if outcome.state == "done":
        return "another run has done this job" if outcome.checked else None
    ended = datetime.fromisoformat(outcome.ended)
    if made is not None and made < ended + WHOLE_SECOND:
        return f"another run of this job has failed meanwhile: {outcome.reason}"
    return None
