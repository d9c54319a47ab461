"""Walk over the patterns block by block on Dask workers, in an order that never changes.

A block is a rectangle of scan positions with whole patterns: one chunk of ``patterns.zarr``.
Results are combined in block order, whatever worker was first, so that one and two workers give
the same numbers to the last bit.
"""

import itertools
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np

Progress = Callable[[int, int], None]

# No step has more tasks than this, however large the scan: Dask takes some milliseconds for each.
MOST_TASKS = 4096
# Sums that are added up one after the other: with many workers several such rows grow at a time.
ADDED_IN_A_ROW = 16


def silent(_done: int, _total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Block:
    """A rectangle of scan positions: rows ``y0:y1``, columns ``x0:x1``."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Where the block lies in a scan map."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def slices_in(self, outer: "Block") -> tuple[slice, slice]:
        """Where the block lies in an array over a block that contains it."""
        return (
            slice(self.y0 - outer.y0, self.y1 - outer.y0),
            slice(self.x0 - outer.x0, self.x1 - outer.x0),
        )

    @property
    def positions(self) -> int:
        """How many patterns the block holds."""
        return (self.y1 - self.y0) * (self.x1 - self.x0)


def block_shape(
    scan_shape: tuple[int, int], pattern_bytes: int, chunk_bytes: int
) -> tuple[int, int]:
    """Return rows and columns of a block of at most ``chunk_bytes`` (at least one pattern).

    Whole scan rows where four or more fit, since files hold them one after another; otherwise
    nearly square, so that the 3x3 neighbours of a block are few.
    """
    rows, columns = scan_shape
    patterns = max(1, chunk_bytes // max(1, pattern_bytes))
    if patterns >= min(4, rows) * columns:
        return min(rows, patterns // columns), columns
    side = max(1, int(patterns**0.5))
    width = min(columns, side)
    return max(1, min(rows, patterns // width)), width


def plan_blocks(scan_shape: tuple[int, int], shape: tuple[int, int]) -> list[Block]:
    """Cut the scan into blocks of ``shape``, row by row; those at the end may be smaller."""
    rows, columns = scan_shape
    return [
        Block(y, min(y + shape[0], rows), x, min(x + shape[1], columns))
        for y in range(0, rows, shape[0])
        for x in range(0, columns, shape[1])
    ]


def submit(client: Any, name: str, work: Callable[..., Any], *args: Any, priority: int = 0) -> Any:
    """Submit one task whose name a person can read; the dashboard groups tasks by it.

    Parameters
    ----------
    client : distributed.Client
    name : str
        Words, none of them a number or in hexadecimal digits: what the task does.
    work : callable
    *args
        For ``work``; may be futures.
    priority : int
        Higher ones first.

    Returns
    -------
    distributed.Future
    """
    return client.submit(work, *args, key=f"{name}-{uuid4().hex}", pure=False, priority=priority)


def broadcast(client: Any, *values: Any) -> list[Any]:
    """Hand values to the workers that need them, once to each, and return their futures.

    They are results of tasks. What is scattered is gone with the worker that holds it (a job that
    its batch system ends, a node that fails), and whoever needs it waits for ever (distributed
    2026.8); a task is run again.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        return [submit(client, "hand over", _Given(value)) for value in values]


class _Given:
    """A task that only returns a value; Dask does not look into it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self) -> Any:
        """Return the value."""
        return self.value


def map_blocks(
    client: Any,
    work: Callable[..., Any],
    blocks: Sequence[Any],
    *shared: Any,
    name: str = "block",
    progress: Progress = silent,
    ahead: int = 4,
) -> Iterator[Any]:
    """Yield ``work(block, *shared)`` in block order, at most ``ahead`` blocks a worker at once.

    A block may be a list of blocks that one task takes together (``PatternSource.groups``). Where
    there are more than `MOST_TASKS`, a task takes several, one after the other.

    ``shared`` may hold futures of values that workers were handed (``broadcast``). Bounding what
    is submitted bounds what waits in memory when one block is slow. ``name`` is that of the tasks.
    """
    parts = in_groups(blocks, -(-len(blocks) // MOST_TASKS))
    done = 0
    with closing(_in_order(client, name, _Each(work), parts, shared, ahead)) as futures:
        for future in futures:
            results = future.result()
            future.release()
            for result in results:
                done += 1
                progress(done, len(blocks))
                yield result


def in_groups(blocks: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Cut blocks into groups of neighbours; the last may be smaller."""
    return [blocks[at : at + size] for at in range(0, len(blocks), max(1, size))]


@dataclass(frozen=True)
class _Each:
    """A task that does some work for each block of a group."""

    work: Callable[..., Any]

    def __call__(self, group: Sequence[Any], *shared: Any) -> list[Any]:
        """Return what each block gives."""
        return [self.work(block, *shared) for block in group]


def sum_blocks(
    client: Any,
    work: Callable[..., Any],
    blocks: Sequence[Block],
    *shared: Any,
    name: str = "sum",
    progress: Progress = silent,
    groups: int = 32,
    ahead: int = 2,
) -> Any:
    """Return the sum over groups of blocks of ``work(group, *shared)``, an array, as a future.

    Each worker adds up its group and the groups are added on the workers, one after the other in
    runs of neighbours, then the sums of the runs. Besides these, of which one or two are under way,
    at most ``ahead`` arrays a worker exist at once: they can be as large as a sketch. ``name`` is
    that of the tasks that sum a group. The sum stays
    on the worker that has it until somebody asks for its ``result()``.
    """
    cuts = np.linspace(0, len(blocks), min(groups, len(blocks)) + 1).astype(int)
    parts = [blocks[a:b] for a, b in itertools.pairwise(cuts)]
    total = neighbours = None

    def plus(sum_: Any, future: Any) -> Any:
        # Before the next groups, so that no array waits to be added.
        if sum_ is None:
            return future
        return submit(client, "add", np.add, sum_, future, priority=1)

    with closing(_in_order(client, name, work, parts, shared, ahead)) as futures:
        for done, future in enumerate(futures, start=1):
            if future.exception() is not None:  # waits, but leaves the array on its worker
                future.result()
            neighbours = plus(neighbours, future)
            if done % ADDED_IN_A_ROW == 0 or done == len(parts):
                total, neighbours = plus(total, neighbours), None
            progress(done, len(parts))
    return total


def _in_order(
    client: Any,
    name: str,
    work: Callable[..., Any],
    parts: Sequence[Any],
    shared: tuple,
    ahead: int,
) -> Generator[Any]:
    """Yield the future of each part in turn; cancel on the way out what is not wanted any more."""
    limit = ahead * max(1, len(client.nthreads()))
    waiting: list[Any] = []
    submitted = 0
    try:
        for _ in parts:
            while submitted < len(parts) and len(waiting) < limit:
                waiting.append(submit(client, name, work, parts[submitted], *shared))
                submitted += 1
            yield waiting.pop(0)
    finally:
        unfinished = [future for future in waiting if not future.done()]
        if unfinished:
            client.cancel(unfinished)
