"""What a run would need, before it starts."""

from dataclasses import dataclass

from orimap.cluster.local import available_cores
from orimap.flows.pipeline.extent import predicted_bytes, range_of_k, reduced_shapes
from orimap.flows.request.request import Request
from orimap.tasks.acquire.acquisition import Acquisition
from orimap.tasks.acquire.ingest.reduction import stored_dtype
from orimap.tasks.stream.duration import predict_seconds
from orimap.tasks.stream.memory import predict_disk_bytes


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
