"""Open a Dask client of worker processes on this machine, or of a scheduler already running."""

import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from orimap.cluster.environment import WORKER_ENVIRONMENT
from orimap.tasks.errors import UnavailableError

if TYPE_CHECKING:
    from distributed import Client

# A scheduler on the same network answers within milliseconds; one that is starting, in seconds.
ANSWER_SECONDS = 10
# An adaptive cluster starts its first worker only when there is a task for it.
FIRST_WORKER_SECONDS = 60
# Starting takes seconds; a machine that is busy with other runs takes longer.
START_SECONDS = 120
ADDRESSES = ("tcp://", "tls://")


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def local_client(workers: int, memory_limit: str | int | None = None) -> Iterator["Client"]:
    """Start worker processes of one thread each; nothing of them is left afterwards.

    Parameters
    ----------
    workers : int
    memory_limit : str or int, optional
        Of each worker, "2 GiB" or bytes; by default an equal part of the machine's memory.
    """
    import dask
    from distributed import Client, LocalCluster
    from distributed.system import MEMORY_LIMIT

    # What goes wrong in a task reaches us with its result; the rest is noise as workers close.
    no_noise = {"DASK_LOGGING__DISTRIBUTED": "critical"}
    usual = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    environment = {**usual, **WORKER_ENVIRONMENT, **no_noise}
    # An earlier cluster of this process leaves Dask's own settings in its environment, where they
    # come before ours; what somebody else has set there stays.
    for name, value in usual.items():
        if os.environ.get(name) == str(value):
            del os.environ[name]
    with (
        tempfile.TemporaryDirectory(prefix="orimap-", ignore_cleanup_errors=True) as folder,
        dask.config.set({"distributed.nanny.pre-spawn-environ": environment}),
        LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=memory_limit or MEMORY_LIMIT // workers,
            local_directory=folder,
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        cluster.sync(_leave_interrupts_to_the_main_process)
        cluster.scale(workers)
        with Client(cluster) as client:
            client.wait_for_workers(workers, timeout=START_SECONDS)
            yield client


async def _leave_interrupts_to_the_main_process() -> None:
    """Block Ctrl-C in the thread that starts workers: they inherit it and print no traceback."""
    resource_tracker.ensure_running()  # would unblock it again when it starts with a worker
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


@contextmanager
def running_client(address: str) -> Iterator["Client"]:
    """Join a scheduler; it and its workers go on when the client closes.

    Parameters
    ----------
    address : str
        tcp://HOST:PORT, or tls://HOST:PORT with the certificates of Dask's own configuration.

    Raises
    ------
    UnavailableError
        If nobody answers at the address, or no worker does.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=ANSWER_SECONDS)
    except (OSError, ValueError, TypeError) as error:
        raise UnavailableError(
            f"a Dask scheduler at {address}",
            f"none answers within {ANSWER_SECONDS} s ({str(error).splitlines()[0]})",
            "check the address and that the scheduler runs, or leave --cluster away to compute "
            "on this machine",
        ) from error
    with client:
        try:
            client.submit(os.getpid, pure=False).result(timeout=FIRST_WORKER_SECONDS)
        except TimeoutError as error:
            raise UnavailableError(
                f"workers that compute for the scheduler at {address}",
                f"none answers within {FIRST_WORKER_SECONDS} s",
                f"start some (dask worker {address}), or leave --cluster away",
            ) from error
        yield client
