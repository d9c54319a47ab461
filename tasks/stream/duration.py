"""About how long a run will take, before it starts."""

import math

# Fitted to whole runs with k from 1 to 20 on two cores (tests/benchmarks/speed/whole_runs.py).
# Other machines differ by a factor of two, scans that are hard to fit or dense by another.
START_SECONDS = 30  # starting workers, comparing components, baseline, report
SECONDS_PER_GIGAPIXEL = 100  # all passes and fits, one core; half of it after the decision
REGISTERING_SECONDS_PER_GIGAPIXEL = 140  # ePattern: all counts and both halves, 3 ms for 256×256
# The paper's fits, one core: 9 to 31 s of k = 3 to 20 on 1,024 patterns, 50 to 160 iterations.
PUBLISHED_SECONDS_PER_POSITION = 0.37


def predict_seconds(
    scan_shape: tuple[int, int],
    detector_shape: tuple[int, int],
    *,
    workers: int,
    registered: bool = False,
    published: bool = False,
) -> float:
    """Return about how long a run takes.

    Parameters
    ----------
    scan_shape, detector_shape : pairs of int
        After --roi, --crop and --bin.
    workers : int
        Worker processes, not more than there are cores.
    registered : bool
        Whether reflections are registered (ePattern).
    published : bool
        Whether the paper's own fits are made.

    Returns
    -------
    float
        Seconds; within a factor of three of what it will be.
    """
    gigapixels = math.prod(scan_shape) * math.prod(detector_shape) / 1e9
    rate = SECONDS_PER_GIGAPIXEL + registered * REGISTERING_SECONDS_PER_GIGAPIXEL
    of_paper = published * PUBLISHED_SECONDS_PER_POSITION * math.prod(scan_shape)
    return START_SECONDS + (rate * gigapixels + of_paper) / workers
