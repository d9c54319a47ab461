"""About how long a run will take, and each of its steps, before it starts."""

import math

# Fitted to whole runs with k from 1 to 20 on two cores (tests/benchmarks/speed/whole_runs.py).
# Other machines differ by a factor of two, scans that are hard to fit or dense by another.
START_SECONDS = 3.0  # packages, workers
# By step: seconds that it takes with the smallest scan, and further ones for each gigapixel (one
# core). Loading, comparing components and drawing take the first, all passes the others.
STEPS = {
    "ingest": (1.5, 35.0),
    "centre": (0.7, 5.0),
    "filter": (0.05, 0.0),
    "sketch": (0.5, 16.0),
    "fit": (1.2, 4.0),
    "score": (0.5, 14.0),
    "decide": (2.7, 23.0),
    "clusters": (0.5, 8.0),
    "baseline": (0.4, 1.5),
    "report": (1.8, 3.0),
}
READING = ("ingest", "centre")  # what every pixel is read for, whatever it holds
# Passes over counts skip pixels without any: measured with 7 % that are not zero.
FILLED, LEAST_FILLED, MOST_FILLED = 0.07, 0.2, 8.0
USUAL_KS = range(1, 21)
MEAN_SECONDS_PER_GIGAPIXEL = 16.0
REGISTERING_SECONDS_PER_GIGAPIXEL = 140.0  # ePattern: all counts and both halves, 3 ms for 256×256
REFLECTION_MAPS_SECONDS = 0.5
INDEX_SECONDS = 3.0  # a crystal, of some clusters
# The paper's fits, one core: 9 to 31 s of k = 3 to 20 on 1,024 patterns, 50 to 160 iterations.
PUBLISHED_SECONDS_PER_POSITION = 0.37


def predict_step_seconds(
    scan_shape: tuple[int, int],
    detector_shape: tuple[int, int],
    *,
    workers: int,
    ks: range = USUAL_KS,
    filled: float = FILLED,
    filtered: str = "raw",
    published: bool = False,
    crystals: int = 0,
) -> dict[str, float]:
    """Return about how long each step of a run takes, in their order.

    Parameters
    ----------
    scan_shape, detector_shape : pairs of int
        After --roi, --crop and --bin.
    workers : int
        Worker processes, not more than there are cores.
    ks : range
        The numbers of components that are tried.
    filled : float
        Share of the pixels that are not zero.
    filtered : str
        raw, mean or epattern.
    published : bool
        Whether the paper's own fits are made.
    crystals : int
        That the clusters are indexed with.

    Returns
    -------
    dict
        Seconds by the names of the steps; each may be wrong by a factor of three.
    """
    gigapixels = math.prod(scan_shape) * math.prod(detector_shape) / 1e9
    fuller = min(MOST_FILLED, max(LEAST_FILLED, filled / FILLED))
    steps = {
        name: (least, rate * (1.0 if name in READING else fuller))
        for name, (least, rate) in STEPS.items()
    }
    by_filter = {
        "mean": MEAN_SECONDS_PER_GIGAPIXEL * fuller,
        "epattern": REGISTERING_SECONDS_PER_GIGAPIXEL,
    }
    steps["filter"] = (steps["filter"][0], by_filter.get(filtered, 0.0))
    # Larger numbers take longer to fit; each is compared with the others as often.
    share = {"fit": sum(ks) / sum(USUAL_KS), "decide": (1 + len(ks) / len(USUAL_KS)) / 2}
    seconds = {
        name: share.get(name, 1.0) * (least + rate * gigapixels / workers)
        for name, (least, rate) in steps.items()
    }
    if published:
        of_paper = PUBLISHED_SECONDS_PER_POSITION * math.prod(scan_shape) / workers
        seconds = _with_after(seconds, "score", "published", of_paper)
    if filtered == "epattern":
        seconds = _with_after(seconds, "clusters", "reflections", REFLECTION_MAPS_SECONDS)
    if crystals:
        seconds = _with_after(seconds, "baseline", "index", crystals * INDEX_SECONDS)
    return seconds


def _with_after(
    seconds: dict[str, float], before: str, name: str, taken: float
) -> dict[str, float]:
    """Return the steps with one more, right after another."""
    found = {}
    for known, value in seconds.items():
        found[known] = value
        if known == before:
            found[name] = taken
    return found
