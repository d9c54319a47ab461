"""What a run would need, before it starts."""

from dataclasses import dataclass, replace
from typing import Any

from orimap.cluster.local import available_cores
from orimap.flows.pipeline.extent import predicted_bytes, range_of_k, reduced_shapes
from orimap.flows.request.request import Request
from orimap.tasks.acquire.acquisition import Acquisition
from orimap.tasks.acquire.ingest.reduction import stored_dtype
from orimap.tasks.stream.duration import predict_seconds
from orimap.tasks.stream.memory import Workload, largest_chunk_bytes, predict_disk_bytes

# A worker stops taking tasks at this share of its limit (Dask's distributed.worker.memory.pause).
USABLE_SHARE = 0.8
# Prefix of the addresses of workers on this machine.
HERE = ("tcp://127.0.0.1", "inproc://")


@dataclass(frozen=True)
class Estimate:
    """What a run would need.

    Parameters
    ----------
    range_of_k : (int, int)
        First and last number of components.
    workers : int
    memory_bytes : int
        Over all processes, within three tenths.
    disk_bytes : int
        An upper bound for everything that stays.
    seconds : float
        Within a factor of three.
    """

    range_of_k: tuple[int, int]
    workers: int
    memory_bytes: int
    disk_bytes: int
    seconds: float


def estimate(request: Request, acquisition: Acquisition) -> Estimate:
    """Return what a run on this machine would need."""
    workers = request.workers or available_cores()
    ks = range_of_k(request, acquisition)
    scan, detector = reduced_shapes(request, acquisition)
    dtype = stored_dtype(acquisition.dtype, request.bin)
    return Estimate(
        range_of_k=(ks[0], ks[-1]),
        workers=workers,
        memory_bytes=predicted_bytes(request, acquisition, workers),
        disk_bytes=predict_disk_bytes(scan, detector[0] * detector[1] * dtype.itemsize, ks[-1]),
        seconds=predict_seconds(
            scan,
            detector,
            workers=min(workers, available_cores()),
            registered=request.filter == "epattern",
            published=request.strategy == "published",
        ),
    )


def load_that_fits(request: Request, load: Workload, client: Any = None) -> Workload:
    """Return the workload with chunks small enough for every step.

    Parameters
    ----------
    request : Request
    load : Workload
    client : distributed.Client, optional
        Of workers that are there; otherwise those that would be started on this machine.

    Raises
    ------
    InputError
        If no chunk is small enough, with what would need less.
    """
    import psutil

    free = psutil.virtual_memory().available
    if client is None:
        workers = request.workers or available_cores()
        limit, total = _asked(request, psutil.virtual_memory().total // workers), free
    else:
        known = client.scheduler_info(n_workers=-1)["workers"]
        workers = len(known)
        limit = min((one["memory_limit"] or free for one in known.values()), default=free)
        # Elsewhere workers have their limits, and the command this machine's memory.
        elsewhere = not all(address.startswith(HERE) for address in known)
        total = limit * workers + free if elsewhere else free + _held(known)
    chunk = largest_chunk_bytes(
        load, workers, worker_bytes=int(USABLE_SHARE * limit), total_bytes=total
    )
    return replace(load, chunk_bytes=chunk)


def _asked(request: Request, otherwise: int) -> int:
    """Return the memory of a worker in bytes, as asked for."""
    if request.worker_memory is None:
        return otherwise
    from dask.utils import parse_bytes

    return parse_bytes(request.worker_memory)


def _held(known: dict[str, Any]) -> int:
    """Return what workers hold already: it is no longer free, but theirs."""
    return sum(one.get("metrics", {}).get("memory", 0) for one in known.values())
