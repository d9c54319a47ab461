"""How large a run is: what of scan and detector is analysed, which numbers of components, memory.

Asked before a run starts, so nothing that computes is imported here.
"""

import math
from typing import TYPE_CHECKING

from orimap.flows.request.request import Request
from orimap.tasks.acquire.ingest.reduction import stored_dtype
from orimap.tasks.errors import InputError
from orimap.tasks.stream.memory import Workload, predict_steps

if TYPE_CHECKING:
    from orimap.tasks.acquire.acquisition import Acquisition

# How full patterns are is told from so many, along the diagonal of the scan.
PATTERNS_TO_LOOK_AT = 4


def reduced_shapes(
    request: Request, acquisition: "Acquisition"
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the shapes of scan and detector after --roi, --crop and --bin."""

    def part(region: tuple[int, int, int, int] | None, shape: tuple[int, int]) -> tuple[int, int]:
        if region is None:
            return shape
        return min(region[1], shape[0]) - region[0], min(region[3], shape[1]) - region[2]

    detector = part(request.crop, acquisition.detector_shape)
    return (
        part(request.roi, acquisition.scan_shape),
        (detector[0] // request.bin, detector[1] // request.bin),
    )


def largest_k(scan_shape: tuple[int, int], detector_shape: tuple[int, int]) -> int:
    """Return the largest number of components that a scan can tell apart at all."""
    return max(1, min(math.prod(scan_shape) - 1, math.prod(detector_shape)))


def range_of_k(request: Request, acquisition: "Acquisition") -> list[int]:
    """Return the numbers of components to try; the default range is clipped to a tiny scan.

    Raises
    ------
    InputError
        If the range that was asked for, or ``--decided-k``, does not fit the scan.
    """
    scan, detector = reduced_shapes(request, acquisition)
    positions = scan[0] * scan[1]
    first, last = request.k
    # A form that fills in the defaults asks for no more than one that leaves them out.
    asked = request.k != Request.model_fields["k"].default
    if asked and last > min(positions, detector[0] * detector[1]):
        raise InputError(
            f"no more components than scan positions ({positions}) and detector pixels",
            f"--k {first}:{last}",
            f"give a range that ends at {min(positions, detector[0] * detector[1])} or below",
        )
    if not asked:
        last = min(last, largest_k(scan, detector))
        first = min(first, last)
    forced = request.decided_k
    if forced is not None and not first <= forced <= last:
        raise InputError(
            f"--decided-k within --k ({first} to {last})",
            f"--decided-k {forced}",
            "choose one within, or widen --k",
        )
    return list(range(first, last + 1))


def workload(request: Request, acquisition: "Acquisition") -> Workload:
    """Return what a run will work on, as far as memory is concerned; looks at a few patterns."""
    scan, detector = reduced_shapes(request, acquisition)
    may_count = acquisition.dtype.kind in "iu" and not acquisition.grey_levels
    return Workload(
        scan,
        detector,
        stored_dtype(acquisition.dtype, request.bin),
        k_max=range_of_k(request, acquisition)[-1],
        filled=_filled(request, acquisition),
        held_out=request.counts == "yes" or (request.counts == "auto" and may_count),
        registered=request.filter == "epattern",
        read_memory_bytes=acquisition.read_memory_bytes,
    )


def predicted_bytes(request: Request, acquisition: "Acquisition", workers: int) -> int:
    """Return about how much memory all processes of this run take at most."""
    return max(predicted_steps(request, workload(request, acquisition), workers).values())


def predicted_steps(request: Request, load: Workload, workers: int) -> dict[str, int]:
    """Return about how much memory all processes take in every step."""
    steps = {name: step.total(workers) for name, step in predict_steps(load).items()}
    if request.strategy == "published":
        from orimap.tasks.decide.evidence.published import predict_published_bytes

        steps["published"] = predict_published_bytes(load.scan_shape, workers=workers)
    return steps


def _filled(request: Request, acquisition: "Acquisition") -> float:
    """Return the share of pixels that are not zero in a few patterns, as they will be stored."""
    import numpy as np

    from orimap.tasks.acquire.ingest.reduction import whole_or_part

    y0, y1, x0, x1 = whole_or_part(request.crop, acquisition.detector_shape, "--crop", "pixels")
    rows, columns = acquisition.scan_shape
    shares = []
    for part in range(1, PATTERNS_TO_LOOK_AT + 1):
        row, column = (size * part // (PATTERNS_TO_LOOK_AT + 1) for size in (rows, columns))
        one = acquisition.read(slice(row, row + 1), slice(column, column + 1))
        shares.append(np.count_nonzero(one[0, 0, y0:y1, x0:x1]) / ((y1 - y0) * (x1 - x0)))
    # Of bins with bin² pixels that are filled by chance, so many are.
    return float(1 - (1 - np.mean(shares)) ** (request.bin**2))
