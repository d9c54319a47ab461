"""Open the workers that a request asks for."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from orimap.flows.request.request import WORKERS_FIELDS, Request

if TYPE_CHECKING:
    from distributed import Client

    from orimap.cluster.batch.profiles import Profile

# In the folder of the results, which workers see and which one run alone writes.
WORKERS_FOLDER = ".workers"
# What a request says of workers when it says nothing.
NOTHING_ASKED = {name: Request.model_fields[name].default for name in WORKERS_FIELDS}


def open_workers(request: Request, note: Callable[[str], None]) -> AbstractContextManager["Client"]:
    """Return a context with a client of the workers that a request asks for.

    Parameters
    ----------
    request : Request
        Its folder is held for this run alone.
    note : callable
        Takes lines about workers that come and go.

    Raises
    ------
    InputError
        If what is asked for is not there.
    """
    from orimap.cluster.client import open_client

    return open_client(
        request.cluster,
        workers=request.workers,
        adapt=request.adapt,
        profile=request.profile,
        memory_limit=request.worker_memory,
        folder=request.output / WORKERS_FOLDER,
        # Where only results are looked at again, the acquisition may be gone.
        shared=[path for path in (request.file, request.output) if path.exists()],
        first_worker_minutes=request.first_worker_minutes,
        note=note,
    )


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


def at_scheduler(request: Request, address: str) -> Request:
    """Return a request for workers that another one has opened."""
    return request.model_copy(update={**NOTHING_ASKED, "cluster": address})
