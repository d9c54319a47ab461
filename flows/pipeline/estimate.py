"""What a run needs of memory, disk and time, and whether it fits, before any long work."""

from dataclasses import dataclass, replace
from typing import Any

from orimap.cluster.local import ON_THIS_MACHINE, available_cores, is_on_this_machine
from orimap.flows.pipeline.plan import Plan
from orimap.flows.request.request import Request
from orimap.tasks.stream.duration import START_SECONDS, predict_step_seconds
from orimap.tasks.stream.memory import (
    Workload,
    largest_chunk_bytes,
    predict_disk_bytes,
    predict_steps,
)

# A worker stops taking tasks at this share of its limit (Dask's distributed.worker.memory.pause).
USABLE_SHARE = 0.8


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


def estimate(plan: Plan) -> Estimate:
    """Return what a run on this machine would need."""
    request, load = plan.request, plan.load
    workers = request.workers or available_cores()
    return Estimate(
        range_of_k=(plan.ks[0], plan.ks[-1]),
        workers=workers,
        memory_bytes=max(predicted_steps(request, load, workers).values()),
        disk_bytes=predict_disk_bytes(load.scan_shape, load.pattern_bytes, plan.ks[-1]),
        seconds=START_SECONDS + sum(predicted_seconds(plan, workers).values()),
    )


def predicted_seconds(plan: Plan, workers: int) -> dict[str, float]:
    """Return about how long each step takes, by its name and in their order."""
    request, load = plan.request, plan.load
    on_this_machine = request.cluster in ON_THIS_MACHINE and request.profile is None
    return predict_step_seconds(
        load.scan_shape,
        load.detector_shape,
        workers=min(workers, available_cores()) if on_this_machine else workers,
        ks=range(plan.ks[0], plan.ks[-1] + 1),
        filled=load.filled,
        filtered=request.filter,
        published=request.strategy == "published",
        crystals=0 if plan.indexing is None else len(plan.indexing.crystals),
    )


def predicted_steps(request: Request, load: Workload, workers: int) -> dict[str, int]:
    """Return about how much memory all processes take in every step, bytes."""
    steps = {
        name: step.total(workers, threads=load.threads)
        for name, step in predict_steps(load).items()
    }
    if request.strategy == "published":
        from orimap.tasks.decide.evidence.published import predict_published_bytes

        steps["published"] = predict_published_bytes(load.scan_shape, workers=workers)
    return steps


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
        elsewhere = not all(map(is_on_this_machine, known))
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
    # Workers that are threads of one process all report the memory of that process.
    held = {one.get("pid", address): one.get("metrics", {}) for address, one in known.items()}
    return sum(metrics.get("memory", 0) for metrics in held.values())
