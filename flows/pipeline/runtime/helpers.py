"""Processes that help a run: they compare components, draw its figures, load what takes long.

Where workers are threads, all Python code of a run takes turns on one core, and loading packages
for the decision, for k-means and for figures would take a third of the time of a small run.
Processes beside it load them while it works. Where workers are processes of this machine, they
help; anywhere else, everything is done here.
"""

import importlib
import multiprocessing
import multiprocessing.resource_tracker
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from orimap.cluster.environment import ONE_THREAD, SAFE_PATH, environment
from orimap.cluster.local import THREADS_ADDRESS, is_on_this_machine
from orimap.cluster.processes.fork_server import interrupts_blocked
from orimap.cluster.processes.leftovers import name_what_is_shared
from orimap.cluster.processes.parent import end_with_parent
from orimap.flows.pipeline.runtime.workers import open_workers
from orimap.flows.request.request import Request
from orimap.tasks.maps.baseline import warm_up
from orimap.tasks.stream.blocks import submit

DRAWING = "orimap.tasks.report.drawings.catalogue"
WARMED_UP = "dask_ml.cluster"
# What each helper loads: the first all that is asked of one, the second what two share.
LOADED = (
    (
        *("orimap.flows.pipeline.steps.decide", "kneed", "pymcdm.methods"),
        *(WARMED_UP, DRAWING),
    ),
    ("orimap.flows.pipeline.steps.decide", DRAWING),
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
    """Gives work to the first of several executors that has nothing to do, in the order it came.

    Parameters
    ----------
    members : mapping of Executor to Future
        What each of them does first. Of two that are idle, the earlier one is asked.
    """

    def __init__(self, members: Mapping[Executor, Future]) -> None:
        self._members = list(members)
        self._idle: set[Executor] = set()
        self._waiting: deque[tuple[Future, Callable[[], Any]]] = deque()
        self._lock = threading.Lock()
        for member, first in members.items():
            first.add_done_callback(partial(self._go_on, member))

    def submit(self, work: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Call a function in the next member that is idle."""
        future: Future = Future()
        with self._lock:
            self._waiting.append((future, partial(work, *args, **kwargs)))
        self._hand_out()
        return future

    def _go_on(self, member: Executor, _: Future) -> None:
        """Note that a member has ended what it did, and give it what comes next."""
        with self._lock:
            self._idle.add(member)
        self._hand_out()

    def _hand_out(self) -> None:
        """Give what waits to those who are idle."""
        while True:
            with self._lock:
                member = next((m for m in self._members if m in self._idle), None)
                if member is None or not self._waiting:
                    return
                self._idle.discard(member)
                future, call = self._waiting.popleft()
            try:
                made = member.submit(call)
            except Exception as error:  # its process is gone
                future.set_exception(error)
                continue
            # Who waits for the result finds the member idle.
            made.add_done_callback(partial(self._go_on, member))
            made.add_done_callback(partial(_pass_on, future))


def _pass_on(future: Future, made: Future) -> None:
    """Give one future the result, or the failure, of another."""
    try:
        future.set_result(made.result())
    except BaseException as error:
        future.set_exception(error)


def call_beside(client: Any, helpers: Executor, name: str, work: Callable, *args: Any) -> Any:
    """Submit work that is mostly Python code: to the workers, or to helpers beside threads.

    Parameters
    ----------
    client : distributed.Client
    helpers : concurrent.futures.Executor
    name : str
        What the dashboard calls the task.
    work : callable
    *args
        For ``work``.

    Returns
    -------
    concurrent.futures.Future or distributed.Future
    """
    if isinstance(helpers, Team):
        return helpers.submit(work, *args)
    return submit(client, name, work, *args)


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
            yield Team(dict(stack.enter_context(_process(names)) for names in LOADED))
    elif all(map(is_on_this_machine, client.nthreads())):
        with client.get_executor(pure=False) as executor:
            yield executor
    else:
        yield Here()


@contextmanager
def _process(names: Sequence[str]) -> Iterator[tuple[Executor, Future]]:
    """Give a process, which ends with this one, and what loads there what it will be asked for."""
    # Unlike one of multiprocessing, it does not run the main script of a user again.
    from loky import ProcessPoolExecutor
    from loky.backend import resource_tracker

    executor = ProcessPoolExecutor(
        1, env={**ONE_THREAD, **SAFE_PATH}, timeout=None, initializer=_as_helper
    )
    try:
        # Ctrl-C goes to all processes of a terminal: one that is starting would print where it was.
        # This process ends it anyway. What keeps track of them lets interrupts through again when
        # it has started, so it comes first.
        name_what_is_shared()
        with environment(SAFE_PATH):
            multiprocessing.resource_tracker.ensure_running()
            resource_tracker.ensure_running()
            with interrupts_blocked():
                first = executor.submit(_load, names)
        yield executor, first
    finally:
        executor.shutdown(kill_workers=True)


def _as_helper() -> None:
    """Prepare a process that ends with this one, and is killed when it is not needed any more."""
    end_with_parent()
    # Locks that a library makes for several processes (numcodecs, for Blosc) are then nameless:
    # those with a name would be reported as leaked. A helper starts no processes.
    multiprocessing.set_start_method("fork", force=True)


def _load(names: Sequence[str]) -> None:
    """Load modules."""
    for name in names:
        importlib.import_module(name)
    if WARMED_UP in names:
        warm_up()
