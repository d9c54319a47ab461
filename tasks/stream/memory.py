"""How much memory every step of a run will take, before it starts.

What a process holds at once follows from a few sizes: a chunk of patterns, a batch of rows, a table
of pixels times directions or components. None grows with the scan but the maps and weights that
the command gathers. The factors below say how many of each a step holds; they were read off the
code, and tests/benchmarks/speed/whole_runs.py measures how well they hold.
"""

import math
from dataclasses import dataclass

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.stream.blocks import block_shape
from orimap.tasks.stream.sizes import (
    BATCH_BYTES,
    CANDIDATES_AT_MOST,
    MOST_REFLECTIONS,
    SPARSE_BELOW,
    SPARSE_ENTRIES,
    SPARSE_PATTERNS,
    sketch_rank,
    stack_columns,
)

MB = 2**20
# Largest chunk of patterns, before compression. Below 16 MB scheduling costs more than it saves;
# above 64 MB a worker's share of a small machine is spent on one chunk.
CHUNK_BYTES = 32 * MB
SMALLEST_CHUNK_BYTES = 4 * MB
# Smaller scans are cut in about this number of chunks, so that every core has work.
FEWEST_CHUNKS = 8
# An idle process with the libraries that it needs, after its first task.
WORKER_BASE_BYTES = 270 * MB
COMMAND_BASE_BYTES = 380 * MB
# What compares patterns loads more, in every worker.
COMPARING_BASE_BYTES = 370 * MB
# Drawing loads more still, and k-means scikit-learn, in the command.
REPORT_BASE_BYTES = 560 * MB
# Where workers are threads: processes beside them that draw and decide.
BESIDE_THREADS_BYTES = 580 * MB
# Where they are processes: the one that they are forked from. Memory that they share with it counts
# for each of them, as the system counts it.
FORK_SERVER_BYTES = 370 * MB
SINGLE, DOUBLE = 4, 8


@dataclass(frozen=True)
class Workload:
    """The sizes that decide how much memory a run takes.

    Parameters
    ----------
    scan_shape, detector_shape : pairs of int
        After --roi, --crop and --bin.
    dtype : numpy.dtype
        Of the stored patterns.
    k_max : int
        Largest number of components; all from 1 to it are fitted.
    filled : float
        Share of the pixels that are not zero.
    held_out : bool
        Whether half of the counts are held out.
    registered : bool
        Whether reflections are registered (ePattern).
    read_memory_bytes : int
        What the reader of the file needs beyond the block it reads.
    chunk_bytes : int
        Largest chunk.
    threads : bool
        Whether workers are threads of the process that leads the run.
    """

    scan_shape: tuple[int, int]
    detector_shape: tuple[int, int]
    dtype: np.dtype
    k_max: int = 20
    filled: float = 1.0
    held_out: bool = True
    registered: bool = False
    read_memory_bytes: int = 0
    chunk_bytes: int = CHUNK_BYTES
    threads: bool = False

    @property
    def positions(self) -> int:
        """How many patterns there are."""
        return math.prod(self.scan_shape)

    @property
    def pixels(self) -> int:
        """How many pixels a pattern has."""
        return math.prod(self.detector_shape)

    @property
    def pattern_bytes(self) -> int:
        """Size of a pattern as it is stored."""
        return self.pixels * np.dtype(self.dtype).itemsize

    @property
    def block(self) -> int:
        """How many patterns a chunk holds."""
        size = chunk_bytes_for(self.scan_shape, self.pattern_bytes, self.chunk_bytes)
        return math.prod(block_shape(self.scan_shape, self.pattern_bytes, size))

    @property
    def sparse(self) -> bool:
        """Whether rows are lists of the pixels that are not zero."""
        return np.dtype(self.dtype).kind in "iu" and self.filled < SPARSE_BELOW

    @property
    def batch(self) -> tuple[int, int]:
        """Patterns of a batch of rows, and its bytes (sparse: number and value an entry)."""
        if self.sparse:
            patterns = self.block * max(1, min(SPARSE_PATTERNS, self.positions) // self.block)
            entries = patterns * self.pixels * self.filled
            share = min(1.0, max(SPARSE_ENTRIES, self.pixels * self.filled) / max(entries, 1))
            return math.ceil(patterns * share), int(2 * SINGLE * entries * share)
        patterns = min(max(1, BATCH_BYTES // (DOUBLE * self.pixels)), self.block)
        return patterns, patterns * self.pixels * SINGLE


@dataclass(frozen=True)
class StepMemory:
    """Peak memory of one step, bytes.

    Parameters
    ----------
    worker : int
        Of each worker.
    command : int
        Of the process that leads the run.
    base : int
        What each worker holds of libraries alone.
    """

    worker: int
    command: int
    base: int = WORKER_BASE_BYTES

    def total(self, workers: int, *, threads: bool = False) -> int:
        """Return the memory of all processes together.

        Threads of the process that leads the run share its libraries.
        """
        if threads:
            shared = workers * max(0, self.worker - self.base)
            return shared + self.command + BESIDE_THREADS_BYTES
        return workers * self.worker + self.command + FORK_SERVER_BYTES


def chunk_bytes_for(
    scan_shape: tuple[int, int], pattern_bytes: int, largest: int = CHUNK_BYTES
) -> int:
    """Return the size of a chunk for a scan of this shape."""
    whole = math.prod(scan_shape) * pattern_bytes
    return int(min(largest, max(pattern_bytes, -(-whole // FEWEST_CHUNKS))))


def predict_steps(load: Workload) -> dict[str, StepMemory]:
    """Return the peak memory of every step, in the order of a run.

    Parameters
    ----------
    load : Workload

    Returns
    -------
    dict of StepMemory
        By the names that run.json uses.
    """
    positions, pixels, k = load.positions, load.pixels, load.k_max
    chunk = load.block * load.pattern_bytes
    patterns, rows = load.batch
    # A block of rows: as it is stored, as rows, and half of their counts twice.
    reading = chunk if not load.sparse else rows
    batch = reading + rows * (2 + 2 * load.held_out)
    rank = sketch_rank(k, positions, pixels)
    halves = 1 + load.held_out
    components = k * (k + 1) // 2
    columns = stack_columns(range(1, k + 1))
    table = DOUBLE * pixels * rank
    left = DOUBLE * positions * rank
    # Both of its tables in single precision, and what gives components their beam in double.
    ready = (table + 3 * left) // 2
    image = DOUBLE * pixels
    stack = SINGLE * pixels * columns
    maps = DOUBLE * positions
    base, command = WORKER_BASE_BYTES, COMMAND_BASE_BYTES
    steps = {
        # The block as it is read, reduced, compressed and read back; sums and records of pixels.
        "ingest": StepMemory(
            base + load.read_memory_bytes + 3 * chunk + 12 * image,
            # Of every position what pixels count that may turn out hot.
            command + 40 * image + SINGLE * CANDIDATES_AT_MOST * positions,
        ),
        "centre": StepMemory(base + 2 * chunk + 3 * image, command + 4 * maps + 6 * image),
        # Two tables in single precision, a sum, one that waits and one that is added to.
        "sketch": StepMemory(
            base + batch + 4 * table + DOUBLE * patterns * rank * 2,
            command + 8 * table + 3 * left * halves,
        ),
        # A sketch is read beside one that is ready; or both are, with factors and their products.
        "fit": StepMemory(
            base
            + max(
                (halves - 1) * ready + 5 * (table + left) // 2,
                halves * ready + 5 * SINGLE * k * (pixels + positions),
            ),
            command,
        ),
        "score": StepMemory(
            base + stack + 2 * k * image + batch + 2 * patterns * columns * (SINGLE + DOUBLE),
            command + SINGLE * positions * components + 3 * k * maps + 5 * k * image,
        ),
        "decide": StepMemory(
            COMPARING_BASE_BYTES + max(14 * k * image, 3 * (table + left)) + 4 * k * maps,
            command + 3 * k * maps,
            COMPARING_BASE_BYTES,
        ),
        "clusters": StepMemory(
            COMPARING_BASE_BYTES
            + chunk
            + 3 * min(BATCH_BYTES, 8 * load.block * pixels)
            + 3 * k * image,
            command + 8 * k * maps + 4 * k * image,
            COMPARING_BASE_BYTES,
        ),
        "baseline": StepMemory(
            COMPARING_BASE_BYTES, REPORT_BASE_BYTES + 2 * k * maps, COMPARING_BASE_BYTES
        ),
        "report": StepMemory(
            COMPARING_BASE_BYTES,
            REPORT_BASE_BYTES + 4 * k * maps + 12 * k * image,
            COMPARING_BASE_BYTES,
        ),
    }
    if load.registered:
        # Three lists of four numbers, and once more while they are put together.
        lists = 3 * 2 * 4 * SINGLE * MOST_REFLECTIONS * positions
        steps["filter"] = StepMemory(base + 3 * chunk + 20 * image, command + lists)
    return steps


def largest_chunk_bytes(
    load: Workload, workers: int, *, worker_bytes: int, total_bytes: int
) -> int:
    """Return how large chunks may be so that every step fits.

    Parameters
    ----------
    load : Workload
        Its own chunk size is the largest that is tried.
    workers : int
    worker_bytes : int
        What each worker may use.
    total_bytes : int
        What all processes together may use.

    Raises
    ------
    InputError
        If no chunk is small enough, with what would need less.
    """
    chunk = load.chunk_bytes
    while True:
        smaller = Workload(**{**vars(load), "chunk_bytes": chunk})
        steps = predict_steps(smaller)
        if all(
            (load.threads or step.worker <= worker_bytes)
            and step.total(workers, threads=load.threads) <= total_bytes
            for step in steps.values()
        ):
            return chunk
        if chunk <= SMALLEST_CHUNK_BYTES:
            raise InputError(*_too_large(steps, workers, worker_bytes, total_bytes))
        chunk //= 2


def _too_large(
    steps: dict[str, StepMemory], workers: int, worker_bytes: int, total_bytes: int
) -> tuple[str, str, str]:
    """Return what is needed, what is available, and what needs less."""

    def gib(size: int) -> str:
        return f"{size / 2**30:.1f} GiB"

    name = max(steps, key=lambda one: steps[one].total(workers))
    step = steps[name]
    needed = (
        f"about {gib(step.total(workers))} of memory (step {name}: {workers} workers of "
        f"{gib(step.worker)} and the command with {gib(step.command)})"
    )
    if max(one.worker for one in steps.values()) > worker_bytes:
        found = f"{gib(worker_bytes)} for each worker"
        advice = "raise --worker-memory or take fewer --workers"
    else:
        found = f"{gib(total_bytes)} free"
        advice = "take fewer --workers" if workers > 1 else "close other programs"
    return needed, found, f"{advice}, or analyse less at once: --bin 2, --crop, a smaller --k"


# Of the bytes of all fits before compression, and of patterns compressed by themselves, so much was
# on the disk at least, on simulated and measured scans; a page with its figures at least.
LEAST_OF_FITS, LEAST_OF_PATTERNS, LEAST_PAGE_BYTES = 0.05, 0.6, 500_000
# A page with its figures at most; files and folders of a run, and of each fit, in blocks of a disk.
MOST_PAGE_BYTES, FILES, FILES_OF_A_FIT, BLOCK_BYTES = 4_000_000, 600, 18, 4096


def predict_least_disk_bytes(
    scan_shape: tuple[int, int], pattern_bytes: int, packed_bytes: float, k_max: int = 20
) -> int:
    """Return what a run surely needs of the disk.

    Parameters
    ----------
    scan_shape : pair of int
    pattern_bytes : int
        Of a pattern as it is stored, before compression.
    packed_bytes : float
        Of a pattern after compression, by some that were looked at; 0 where all are there already.
    k_max : int
    """
    positions, components = math.prod(scan_shape), k_max * (k_max + 1) // 2
    fits = components * (8 * positions + 24 * pattern_bytes)
    patterns = LEAST_OF_PATTERNS * positions * packed_bytes
    return int(patterns + LEAST_OF_FITS * fits + LEAST_PAGE_BYTES)


def predict_disk_bytes(scan_shape: tuple[int, int], pattern_bytes: int, k_max: int = 20) -> int:
    """Return an upper bound on the disk space of a run: the patterns as if they did not compress.

    Counts compress about tenfold; the factors are small beside the patterns of a large scan.
    """
    positions = math.prod(scan_shape)
    components = k_max * (k_max + 1) // 2
    arrays = positions * (pattern_bytes + 8 * components) + 24 * pattern_bytes * components
    return int(arrays + MOST_PAGE_BYTES + BLOCK_BYTES * (FILES + FILES_OF_A_FIT * k_max))
