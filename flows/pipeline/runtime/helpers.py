"""Processes that help a run: they draw its figures and load what takes long to load.

Where workers are threads, all Python code of a run takes turns on one core, and loading packages
for the decision, for k-means and for figures would take a third of the time of a small run.
Processes beside it load them while it works. Where workers are processes of this machine, they
help; anywhere else, everything is done here.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from typing import Any

from orimap.cluster.environment import ONE_THREAD
from orimap.cluster.local import THREADS_ADDRESS, is_on_this_machine
from orimap.cluster.parent import end_with_parent
from orimap.flows.pipeline.runtime.workers import open_workers
from orimap.flows.request.request import Request
from orimap.tasks.maps.baseline import warm_up

DRAWING = "orimap.tasks.report.drawings"
WARMED_UP = "dask_ml.cluster"
# What each helper loads: the first all that is asked of one, the second what two share.
LOADED = (
    (
        *("orimap.flows.pipeline.steps.decide", "kneed", "pymcdm.methods"),
        *(WARMED_UP, DRAWING),
    ),
    (DRAWING,),
)


class Here(Executor):
    """Calls everything at once, in this process."""

    def submit(self, work: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Call a function; its future has the result, or what was raised."""
        future: Future = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Team(Executor):
    """Gives work to the first of several executors that has nothing to do.

    Parameters
    ----------
    members : sequence of Executor
        The first is given more kinds of work than the last.
    """

    def __init__(self, members: Sequence[Executor]) -> None:
        self._given: list[tuple[Executor, list[Future]]] = [(member, []) for member in members]

    def submit(self, work: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Call a function in one of the members."""
        member, given = min(
            self._given, key=lambda pair: sum(not future.done() for future in pair[1])
        )
        given.append(member.submit(work, *args, **kwargs))
        return given[-1]


@contextmanager
def open_workers_and_helpers(
    request: Request, note: Callable[[str], None], *, threads: bool
) -> Iterator[tuple[Any, Executor]]:
    """Give the client of the workers that a request asks for, and what calls functions beside them.

    Several runs, one after the other, may share both. Parameters as for `open_workers`.
    """
    with open_workers(request, note, threads=threads) as client, open_helpers(client) as helpers:
        yield client, helpers


@contextmanager
def open_helpers(client: Any) -> Iterator[Executor]:
    """Give what calls functions beside a run.

    Parameters
    ----------
    client : distributed.Client
        The workers of the run.
    """
    if client.scheduler.address.startswith(THREADS_ADDRESS):
        with ExitStack() as stack:
            yield Team([stack.enter_context(_process(names)) for names in LOADED])
    elif all(map(is_on_this_machine, client.nthreads())):
        with client.get_executor(pure=False) as executor:
            yield executor
    else:
        yield Here()


@contextmanager
def _process(names: Sequence[str]) -> Iterator[Executor]:
    """Start a process that loads what it will be asked for; it ends with this one."""
    # Unlike one of multiprocessing, it does not run the main script of a user again.
    from loky import ProcessPoolExecutor

    executor = ProcessPoolExecutor(1, env=ONE_THREAD, timeout=None, initializer=end_with_parent)
    try:
        executor.submit(_load, names)
        if WARMED_UP in names:
            executor.submit(warm_up)
        yield executor
    finally:
        executor.shutdown(kill_workers=True)


def _load(names: Sequence[str]) -> None:
    """Load modules."""
    for name in names:
        importlib.import_module(name)
