"""How large a run is: what of scan and detector is analysed, which numbers of components, memory.

Asked before a run starts, so nothing that computes is imported here.
"""

import math
from typing import TYPE_CHECKING

from orimap.flows.request import Request
from orimap.tasks.errors import InputError
from orimap.tasks.memory import predict_peak_bytes
from orimap.tasks.reduction import stored_dtype

if TYPE_CHECKING:
    from orimap.tasks.acquisition import Acquisition


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


def predicted_bytes(request: Request, acquisition: "Acquisition", workers: int) -> int:
    """Return the bound on the memory of this run."""
    scan, detector = reduced_shapes(request, acquisition)
    needed = predict_peak_bytes(
        scan,
        detector,
        stored_dtype(acquisition.dtype, request.bin),
        workers=workers,
        k_max=range_of_k(request, acquisition)[-1],
        read_memory_bytes=acquisition.read_memory_bytes,
        registered=request.filter == "epattern",
    )
    if request.strategy == "published":
        from orimap.tasks.published import predict_published_bytes

        needed = max(needed, predict_published_bytes(scan, workers=workers))
    return needed
