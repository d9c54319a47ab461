"""Open the workers that a request asks for."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from orimap.flows.request.request import WORKERS_FIELDS, Request

if TYPE_CHECKING:
    from distributed import Client

    from orimap.cluster.batch.profiles import Profile

# "off": runs have no Dask dashboard. What services start has none unless this says "on".
DASHBOARD_VARIABLE = "ORIMAP_DASHBOARD"
# In the folder of the results, which workers see and which one run alone writes.
WORKERS_FOLDER = ".workers"
# What worker processes on this machine load before they are forked, all that a run will need.
PRELOAD = (
    *("distributed", "distributed.nanny", "dask.array", "hdf5plugin"),
    *("orimap.tasks.acquire.ingest.ingest", "orimap.tasks.patterns.beam.shift"),
    *("orimap.tasks.factorise.sketch", "orimap.tasks.factorise.fit_k"),
    *("orimap.tasks.factorise.exact_pass", "orimap.flows.pipeline.steps.decide"),
    *("orimap.tasks.decide.evidence.compare_components", "orimap.tasks.decide.evidence.spectrum"),
    *("orimap.tasks.decide.evidence.stability", "orimap.tasks.maps.clusters"),
    *("kneed", "pymcdm.methods", "dask_ml.cluster", "dask_ml.decomposition"),
    "orimap.tasks.report.drawings.catalogue",
)
# What a request says of workers when it says nothing.
NOTHING_ASKED = {name: Request.model_fields[name].default for name in WORKERS_FIELDS}
# Scans of up to this size, as an array, are analysed by threads of this process. Starting worker
# processes takes longer than they save: measured in tests/benchmarks/start.md.
SMALL_SCAN_BYTES = 64 * 2**20


def are_threads(request: Request, scan_bytes: int) -> bool:
    """Return whether the workers of a run are threads of this process.

    Parameters
    ----------
    request : Request
    scan_bytes : int
        Size of the patterns that are analysed, as an array.
    """
    if request.profile is not None or request.cluster != "local":
        return request.cluster == "threads"
    # Only processes can be held to a limit of their own.
    return request.worker_memory is None and scan_bytes <= SMALL_SCAN_BYTES


def open_workers(
    request: Request, note: Callable[[str], None], *, threads: bool = False
) -> AbstractContextManager["Client"]:
    """Return a context with a client of the workers that a request asks for.

    Parameters
    ----------
    request : Request
        Its folder is held for this run alone.
    note : callable
        Takes lines about workers that come and go.
    threads : bool
        Whether workers on this machine are threads of this process (see `are_threads`).

    Raises
    ------
    InputError
        If what is asked for is not there.
    """
    from orimap.cluster.client import open_client

    return open_client(
        "threads" if threads else request.cluster,
        workers=request.workers,
        adapt=request.adapt,
        profile=request.profile,
        memory_limit=request.worker_memory,
        folder=request.output / WORKERS_FOLDER,
        # Where only results are looked at again, the acquisition may be gone.
        shared=[path for path in (request.file, request.output) if path.exists()],
        preload=PRELOAD,
        first_worker_minutes=request.first_worker_minutes,
        dashboard=os.environ.get(DASHBOARD_VARIABLE, "on") != "off",
        note=note,
    )


def prepare_processes() -> None:
    """Have worker processes of this machine load what they will need, while this process works.

    For whoever knows that a larger scan will be analysed: workers then start at once.
    """
    from orimap.cluster import local

    local.prepare_processes(PRELOAD)


def check_workers(request: Request) -> "Profile | None":
    """Check what a request says of workers before anything is started; return the site profile.

    Raises
    ------
    InputError
        If it does not go together, or is not there.
    """
    from orimap.cluster.client import check_cluster

    return check_cluster(
        request.cluster, workers=request.workers, adapt=request.adapt, profile=request.profile
    )
