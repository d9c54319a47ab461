"""How much memory a run will take, before it starts.

The bound follows from what a worker holds at once in its largest step and from the factors; it
does not grow with the scan, except by the maps and weights of every k.
"""

import math

import numpy as np

from orimap.tasks.sketch_size import sketch_rank
from orimap.tasks.streaming import BATCH_BYTES, block_shape

# Largest chunk of patterns, before compression. Below 16 MB scheduling costs more than it saves;
# above 64 MB a worker's share of a small machine is spent on one chunk.
CHUNK_BYTES = 32 * 2**20
# Smaller scans are cut in about so many chunks, so that every core has work.
FEWEST_CHUNKS = 8
# An idle process with the libraries that it needs (measured: worker 220 MB, command 330 MB).
WORKER_BASE_BYTES = 260 * 2**20
COMMAND_BASE_BYTES = 420 * 2**20
# Rows in double precision: as matrix, weighted twice over and squared, in both halves, and as
# non-zero entries for the scores. (Dense counts, two workers, k = 8: 2.29 GB measured; 5 batches
# would bound it by 2.33, 8 do by 2.74. Sparse counts take half of that.)
BATCHES_AT_ONCE = 8

# The most that a pattern's list holds (the paper's limit, as in orimap.tasks.encode).
MOST_REFLECTIONS = 150


def chunk_bytes_for(scan_shape: tuple[int, int], pattern_bytes: int) -> int:
    """Return the size of a chunk for a scan of this shape."""
    whole = math.prod(scan_shape) * pattern_bytes
    return int(min(CHUNK_BYTES, max(pattern_bytes, -(-whole // FEWEST_CHUNKS))))


def predict_peak_bytes(
    scan_shape: tuple[int, int],
    detector_shape: tuple[int, int],
    dtype: np.dtype,
    *,
    workers: int,
    k_max: int = 20,
    read_memory_bytes: int = 0,
    registered: bool = False,
) -> int:
    """Return a bound on the memory of a run, over all its processes.

    Parameters
    ----------
    scan_shape, detector_shape : pairs of int
        After --roi, --crop and --bin.
    dtype : numpy.dtype
        Of the stored patterns.
    workers : int
    k_max : int
        Largest number of components.
    read_memory_bytes : int
        What the reader of the file needs beyond the block it reads.
    registered : bool
        Whether reflections are registered (ePattern): their lists, of all counts and of both
        halves, are gathered.

    Returns
    -------
    int
        Bytes.
    """
    positions, pixels = math.prod(scan_shape), math.prod(detector_shape)
    pattern = pixels * np.dtype(dtype).itemsize
    block = math.prod(block_shape(scan_shape, pattern, chunk_bytes_for(scan_shape, pattern)))
    chunk = block * pattern
    batch = min(max(BATCH_BYTES, 8 * pixels), 8 * block * pixels)
    rank = sketch_rank(k_max, positions, pixels)
    components = k_max * (k_max + 1) // 2
    # Sketch: directions and the sums of both versions, in use and on their way to be added up.
    sketch = 8 * pixels * rank * (1 + 2 * 3)
    # Fits: basis and factors of both versions.
    fit = 2 * 8 * (pixels + positions) * (rank + 4 * k_max)
    # Exact pass: images of every k in both versions, their weighted copy, the weights of a batch.
    exact = 8 * pixels * components * 3 + 4 * 8 * components * max(1, batch // (8 * pixels))
    worker = (
        WORKER_BASE_BYTES
        + read_memory_bytes
        + max(3 * chunk, 2 * chunk + BATCHES_AT_ONCE * batch)
        + max(sketch, fit, exact)
    )
    # The command gathers the projections, and weights and scores of every k at every position.
    command = (
        COMMAND_BASE_BYTES
        + 8 * positions * (4 * rank + 2 * components + 6 * k_max)
        + 8 * pixels * (6 * rank + 4 * components)
    )
    if registered:
        # Three lists of four numbers, and once more while they are put together.
        command += 3 * 2 * 4 * 4 * MOST_REFLECTIONS * positions
    return int(workers * worker + command)


def predict_disk_bytes(scan_shape: tuple[int, int], pattern_bytes: int, k_max: int = 20) -> int:
    """Return an upper bound on the disk space of a run: the patterns as if they did not compress.

    Counts compress about tenfold; the factors are small beside the patterns of a large scan.
    """
    positions = math.prod(scan_shape)
    components = k_max * (k_max + 1) // 2
    return int(positions * (pattern_bytes + 8 * components) + 24 * pattern_bytes * components)
