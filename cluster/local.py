"""Open a Dask client of workers on this machine, or of a scheduler that runs already."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orimap.cluster.dashboard import WITHOUT_DASHBOARD, add_dashboard
from orimap.cluster.environment import (
    PROFILE,
    WORKER_ENVIRONMENT,
    environment_restored,
    one_thread_for_blas,
)
from orimap.cluster.fork_server import main_script_left_alone, start_fork_server
from orimap.tasks.errors import UnavailableError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

# A scheduler on the same network answers within milliseconds; one that is starting, in seconds.
ANSWER_SECONDS = 10
# An adaptive cluster starts its first worker only when there is a task for it.
FIRST_WORKER_SECONDS = 60
# Starting takes seconds; a machine that is busy with other runs takes longer.
START_SECONDS = 120
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
    return address.startswith(("tcp://127.0.0.1", THREADS_ADDRESS))


def prepare_processes(preload: Sequence[str]) -> None:
    """Load what worker processes of this process will need, in another process and ahead of them.

    Parameters
    ----------
    preload : sequence of str
        Modules.
    """
    start_fork_server(PROCESS_ENVIRONMENT, preload)


@contextmanager
def process_client(
    workers: int, memory_limit: str | int | None = None, preload: Sequence[str] = ()
) -> Iterator["Client"]:
    """Start worker processes of one thread each; nothing of them is left afterwards.

    Parameters
    ----------
    workers : int
    memory_limit : str or int, optional
        Of each worker, "2 GiB" or bytes; by default an equal part of the machine's memory.
    preload : sequence of str
        Modules that are imported once, before workers are forked.
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
    }
    limit = memory_limit or MEMORY_LIMIT // workers
    # Dask sets what its workers are to find in this process's own environment, and leaves it there:
    # what the user starts or compiles afterwards would have one thread as well.
    left_behind = [*usual, *PROCESS_ENVIRONMENT, HASH_SEED]
    with (
        environment_restored(left_behind),
        _cluster(settings, processes=True, memory_limit=limit) as cluster,
    ):
        with main_script_left_alone():
            cluster.scale(workers)
            cluster.wait_for_workers(workers, timeout=START_SECONDS)
        yield from _client(cluster, workers)


@contextmanager
def thread_client(workers: int) -> Iterator["Client"]:
    """Start workers that are threads of this process.

    They start at once, and nobody else can reach them. Their results are those of worker
    processes, to the last bit. Their memory has no limit of its own.

    Parameters
    ----------
    workers : int
    """
    with one_thread_for_blas(), _cluster({}, processes=False, memory_limit=0) as cluster:
        cluster.scale(workers)
        yield from _client(cluster, workers)


@contextmanager
def _cluster(
    settings: Mapping[str, Any], *, processes: bool, memory_limit: int | str
) -> Iterator["LocalCluster"]:
    """Start a scheduler on loopback, or in this process alone, without workers yet."""
    import dask
    from distributed import LocalCluster  # before its settings: Dask would drop them all afterwards

    always = {"distributed.dashboard.link": "{scheme}://127.0.0.1:{port}/status", PROFILE: False}
    with (
        tempfile.TemporaryDirectory(prefix="orimap-", ignore_cleanup_errors=True) as folder,
        # The scheduler would leave a folder of its own among the temporary ones.
        dask.config.set({**always, **settings, "temporary-directory": folder}),
        LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            processes=processes,
            host="127.0.0.1" if processes else None,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            memory_limit=memory_limit,
            local_directory=folder,
            silence_logs=logging.CRITICAL,
            scheduler_kwargs=WITHOUT_DASHBOARD,
        ) as cluster,
    ):
        cluster.new_spec["options"].update(WITHOUT_DASHBOARD)  # of each worker
        cluster.sync(_add_dashboard, cluster)
        try:
            yield cluster
        finally:
            # Dask has this process look for modules there; nothing of them will be left.
            sys.path[:] = [place for place in sys.path if not place.startswith(folder)]


async def _add_dashboard(cluster: "LocalCluster") -> None:
    """Call `add_dashboard` in the thread of the scheduler."""
    add_dashboard(cluster.scheduler)


def _client(cluster: "LocalCluster", workers: int) -> Iterator["Client"]:
    """Open a client of a cluster, with all its workers."""
    from distributed import Client

    with Client(cluster) as client:
        client.wait_for_workers(workers, timeout=START_SECONDS)
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
