"""Wait for worker processes that are starting, and go on without those that do not come."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orimap.tasks.errors import UnavailableError

if TYPE_CHECKING:
    from distributed import SpecCluster

# Starting takes seconds; a machine that is busy with other runs takes longer.
START_SECONDS = 120
# They start together: who comes so much later than the first has met with something.
LATE_SECONDS = 30
LOOK_SECONDS = 0.02
# What Dask says of each worker whose process has ended.
FAILED_START = "Nanny failed to start worker process"


def start_workers(
    cluster: "SpecCluster", workers: int, note: Callable[[str], None] = lambda _text: None
) -> None:
    """Start worker processes and wait for them; go on with those that are there.

    Parameters
    ----------
    cluster : SpecCluster
    workers : int
        How many.
    note : callable
        Takes a line about those that did not come: how many, and why.

    Raises
    ------
    UnavailableError
        If none of them comes.
    """
    cluster.sync(_say_nothing_of_failed_starts)
    cluster.scale(workers)
    began, first = time.monotonic(), None
    while True:
        there, ended = cluster.sync(_there_and_ended, cluster)
        waited = time.monotonic() - began
        if there >= workers:
            return
        if first is None and there:
            first = waited
        late = first is not None and waited - first > LATE_SECONDS
        if there + ended >= workers or late or waited > START_SECONDS:
            break
        time.sleep(LOOK_SECONDS)
    cluster.sync(_end_those_that_hang, cluster)
    how = f"{ended} ended while starting" if ended else f"not started within {waited:.0f} s"
    if not there:
        raise UnavailableError(
            f"worker processes on this machine ({workers})",
            f"none came: {how}",
            "find out what ends or delays processes here (often too little memory: the log of the "
            "system says so), or ask for fewer with --workers; --cluster threads needs none",
        )
    note(f"{workers - there} of {workers} workers did not come ({how}); going on with {there}")


async def _there_and_ended(cluster: "SpecCluster") -> tuple[int, int]:
    """Count the workers that the scheduler knows, and those whose start has failed."""
    from distributed.core import Status

    gone = (Status.failed, Status.closing, Status.closed)
    return (
        len(cluster.scheduler.workers),
        sum(each.status in gone for each in cluster._created),  # all that were ever started
    )


async def _end_those_that_hang(cluster: "SpecCluster") -> None:
    """End processes that have not come: until they do, Dask could not close the cluster."""
    from distributed.core import Status

    # Who has just come may not know of it itself yet.
    there = {worker.nanny for worker in cluster.scheduler.workers.values()}
    for each in list(cluster._created):
        started = each.process.process if each.process is not None else None
        waiting = each.status in (Status.init, Status.starting) and each.address not in there
        if waiting and started is not None:
            await started.kill()


async def _say_nothing_of_failed_starts() -> None:
    """Have the loop of a cluster keep to itself what is told of in words of our own."""
    loop = asyncio.get_running_loop()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if FAILED_START not in str(context.get("exception")):
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
