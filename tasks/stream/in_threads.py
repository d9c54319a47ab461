"""What hands tasks to threads of this process, for work that is done before workers would start.

It has what `submit`, `map_blocks` and `sum_blocks` ask of a Dask client, and nothing of its
scheduler: no port, no process, nothing to wait for. Results are those of workers to the last bit,
because blocks are combined in their order whoever reads them.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future as PoolFuture
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# Tasks begin in the order in which they were submitted, so that what one needs is never behind it.
MOST_THREADS = 8


def in_threads(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Return what a function returns for each item, in their order, worked out in threads.

    Parameters
    ----------
    work : callable
        Of NumPy's functions on arrays large enough that threads need not wait for one another.
    items : iterable
    """
    items = list(items)
    count = min(_cores(), len(items))
    if count < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(count, thread_name_prefix="orimap-parts") as pool:
        return list(pool.map(work, items))


def _cores() -> int:
    """Return how many threads are worth while here."""
    return min(len(os.sched_getaffinity(0)), MOST_THREADS)


class Threads:
    """Threads of this process in place of a Dask client; a context, which ends them.

    Parameters
    ----------
    count : int, optional
        By default one for each core that this process may use, at most `MOST_THREADS`.
    """

    def __init__(self, count: int | None = None) -> None:
        self._count = count or _cores()
        self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="orimap-blocks")

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def nthreads(self) -> dict[int, int]:
        """Return the threads, as a client does its workers."""
        return dict.fromkeys(range(self._count), 1)

    def submit(self, work: Callable[..., Any], *args: Any, **_: Any) -> "Result":
        """Call a function in a thread; arguments may be results of tasks submitted before."""
        return Result(self._pool.submit(_call, work, args))

    def cancel(self, results: "list[Result]") -> None:
        """Leave out what has not begun."""
        for each in results:
            each.cancel()


class Result:
    """What a task returns, once it has; with the methods of a future of Dask.

    Parameters
    ----------
    future : concurrent.futures.Future
    """

    def __init__(self, future: PoolFuture) -> None:
        self._future: PoolFuture | None = future

    def result(self) -> Any:
        """Wait, and return what the task returned, or raise what it raised."""
        return self._held.result()

    def exception(self) -> BaseException | None:
        """Wait, and return what the task raised, None where it did not."""
        return self._held.exception()

    def done(self) -> bool:
        """Return whether it has ended."""
        return self._held.done()

    def cancel(self) -> None:
        """Leave it out if it has not begun."""
        self._held.cancel()

    def release(self) -> None:
        """Let go of what it returned: nobody asks for it any more."""
        self._future = None

    @property
    def _held(self) -> PoolFuture:
        if self._future is None:
            raise ValueError("this result was released")
        return self._future


def _call(work: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call a function on what other tasks have returned."""
    return work(*(each.result() if isinstance(each, Result) else each for each in args))
