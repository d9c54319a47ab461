"""Open a Dask client of workers on this machine, or of a scheduler that runs already."""

import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orimap.cluster.dashboard import (
    OF_WORKERS,
    add_dashboard,
    link_of_dashboard,
    scheduler_options,
    without_pages,
)
from orimap.cluster.environment import (
    PROFILE,
    WORKER_ENVIRONMENT,
    environment_restored,
    one_thread_for_blas,
)
from orimap.cluster.processes.arrival import START_SECONDS, start_workers
from orimap.cluster.processes.fork_server import main_script_left_alone, start_fork_server
from orimap.cluster.processes.leftovers import name_what_is_shared, temporary_folder
from orimap.tasks.errors import UnavailableError

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

# A scheduler on the same network answers within milliseconds; one that is starting, in seconds.
ANSWER_SECONDS = 10
# An adaptive cluster starts its first worker only when there is a task for it.
FIRST_WORKER_SECONDS = 60
ADDRESSES = ("tcp://", "tls://")
# What goes wrong in a task reaches us with its result; the rest is noise as workers close.
PROCESS_ENVIRONMENT = {**WORKER_ENVIRONMENT, "DASK_LOGGING__DISTRIBUTED": "critical"}
# Dask gives all workers the same, so that they agree about the hashes of strings.
HASH_SEED = "PYTHONHASHSEED"
# What "cluster" may be for workers that this process starts on its own machine.
ON_THIS_MACHINE = ("local", "threads", "processes")
# Of a scheduler whose workers are threads of its own process.
THREADS_ADDRESS = "inproc://"


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def is_on_this_machine(address: str) -> bool:
    """Return whether the worker of this address is on this machine."""
    return address.startswith(("tls://127.0.0.1", "tcp://127.0.0.1", THREADS_ADDRESS))


def prepare_processes(preload: Sequence[str]) -> None:
    """Load what worker processes of this process will need, in another process and ahead of them.

    Parameters
    ----------
    preload : sequence of str
        Modules.
    """
    name_what_is_shared()
    start_fork_server(PROCESS_ENVIRONMENT, preload)


@contextmanager
def process_client(
    workers: int,
    memory_limit: str | int | None = None,
    preload: Sequence[str] = (),
    *,
    dashboard: bool = True,
    note: Callable[[str], None] = lambda _text: None,
) -> Iterator["Client"]:
    """Start worker processes of one thread each; nothing of them is left afterwards.

    They and their scheduler know each other by credentials that are made for them and never
    written down: other accounts of the machine reach the same ports, and who is let in runs code.

    Parameters
    ----------
    workers : int
    memory_limit : str or int, optional
        Of each worker, "2 GiB" or bytes; by default an equal part of the machine's memory.
    preload : sequence of str
        Modules that are imported once, before workers are forked.
    dashboard : bool
        Whether there is a Dask dashboard.
    note : callable
        Takes a line about workers that did not start.

    Raises
    ------
    UnavailableError
        If no worker starts.
    """
    import dask
    from distributed.system import MEMORY_LIMIT

    usual = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    # An earlier cluster of this process leaves Dask's own settings in its environment, where they
    # come before ours; what somebody else has set there stays.
    for name, value in usual.items():
        if os.environ.get(name) == str(value):
            del os.environ[name]
    prepare_processes(preload)
    settings = {
        "distributed.nanny.pre-spawn-environ": {**usual, **PROCESS_ENVIRONMENT},
        "distributed.worker.multiprocessing-method": "forkserver",
        "distributed.worker.http.routes": [],  # a worker tells nothing of itself
    }
    limit = memory_limit or MEMORY_LIMIT // workers
    # Dask sets what its workers are to find in this process's own environment, and leaves it there:
    # what the user starts or compiles afterwards would have one thread as well.
    left_behind = [*usual, *PROCESS_ENVIRONMENT, HASH_SEED]
    with (
        environment_restored(left_behind),
        _cluster(settings, processes=True, memory_limit=limit, dashboard=dashboard) as cluster,
    ):
        with main_script_left_alone():
            start_workers(cluster, workers, note)
        with _client(cluster) as client:
            yield client


@contextmanager
def thread_client(workers: int, *, dashboard: bool = True) -> Iterator["Client"]:
    """Start workers that are threads of this process.

    They start at once, and nobody else can reach them. Their results are those of worker
    processes, to the last bit. Their memory has no limit of its own.

    Parameters
    ----------
    workers : int
    dashboard : bool
        Whether there is a Dask dashboard; without one, nothing listens at all.
    """
    with (
        one_thread_for_blas(),
        _cluster({}, processes=False, memory_limit=0, dashboard=dashboard) as cluster,
    ):
        cluster.scale(workers)
        with _client(cluster) as client:
            client.wait_for_workers(workers, timeout=START_SECONDS)
            yield client


@contextmanager
def _cluster(
    settings: Mapping[str, Any], *, processes: bool, memory_limit: int | str, dashboard: bool
) -> Iterator["SpecCluster"]:
    """Start a scheduler on loopback, or in this process alone, without workers yet."""
    import dask
    from distributed import Nanny, Scheduler, Security, SpecCluster, Worker  # before its settings

    token = secrets.token_hex(16)
    always = {"distributed.dashboard.link": link_of_dashboard(token), PROFILE: False}
    place: dict[str, Any] = {"host": "127.0.0.1", "protocol": "tls://"}
    if not processes:
        place = {"host": None, "protocol": THREADS_ADDRESS}
    place["security"] = security = Security.temporary() if processes else Security()
    with (
        temporary_folder() as folder,
        # The scheduler would leave a folder of its own among the temporary ones.
        dask.config.set({**always, **settings, "temporary-directory": str(folder)}),
        SpecCluster(
            scheduler={
                "cls": Scheduler if dashboard else without_pages(Scheduler),
                "options": {**place, **scheduler_options(token)},
            },
            worker={
                "cls": Nanny if processes else without_pages(Worker),
                "options": {
                    **place,
                    "nthreads": 1,
                    "memory_limit": memory_limit,
                    "local_directory": str(folder),
                    "silence_logs": logging.CRITICAL,
                    **OF_WORKERS,
                },
            },
            security=security,
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        if dashboard:
            cluster.sync(_add_dashboard, cluster, token)
        try:
            yield cluster
        finally:
            # Dask has this process look for modules there; nothing of them will be left.
            sys.path[:] = [place for place in sys.path if not place.startswith(str(folder))]


async def _add_dashboard(cluster: "SpecCluster", token: str) -> None:
    """Call `add_dashboard` in the thread of the scheduler."""
    add_dashboard(cluster.scheduler, token)


@contextmanager
def _client(cluster: "SpecCluster") -> Iterator["Client"]:
    """Open a client of a cluster."""
    from distributed import Client

    with Client(cluster) as client:
        yield client


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
            "check the address and that the scheduler runs, or leave out --cluster to compute "
            "on this machine",
        ) from error
    with client:
        try:
            client.submit(os.getpid, pure=False).result(timeout=FIRST_WORKER_SECONDS)
        except TimeoutError as error:
            raise UnavailableError(
                f"workers that compute for the scheduler at {address}",
                f"none answers within {FIRST_WORKER_SECONDS} s",
                f"start some (dask worker {address}), or leave out --cluster",
            ) from error
        yield client
