"""About how long a run will take, before it starts."""

import math

# Fitted to runs on two cores of one machine (tests/benchmarks/measure_durations.py): other
# machines differ by a factor of two, scans that are hard to fit by another.
START_SECONDS = 16  # starting workers, compiling, baseline, report
SECONDS_PER_GIGAPIXEL = 12  # work over all patterns, the three passes together, one core
SECONDS_PER_GIGAFLOAT = 30  # fits: entries of the factors of all k, one core


def predict_seconds(
    scan_shape: tuple[int, int], detector_shape: tuple[int, int], *, workers: int, k_max: int = 20
) -> float:
    """Return about how long a run takes.

    Parameters
    ----------
    scan_shape, detector_shape : pairs of int
        After --roi, --crop and --bin.
    workers : int
        Worker processes, not more than there are cores.
    k_max : int
        Largest number of components.

    Returns
    -------
    float
        Seconds; within a factor of three of what it will be.
    """
    positions, pixels = math.prod(scan_shape), math.prod(detector_shape)
    components = k_max * (k_max + 1) // 2
    passes = SECONDS_PER_GIGAPIXEL * positions * pixels / 1e9
    fits = SECONDS_PER_GIGAFLOAT * (positions + pixels) * components / 1e9
    return START_SECONDS + (passes + fits) / workers
