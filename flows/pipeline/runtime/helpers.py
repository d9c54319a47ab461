"""Processes that help a run: they draw its figures and load what takes long to load.

Where workers are threads, all Python code of a run takes turns on one core, and loading packages
for the knee, for k-means and for figures would take a third of the time of a small run. Processes
beside it load them while it works. Where workers are processes of this machine, they help.
"""

import importlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from orimap.cluster.environment import ONE_THREAD

# Drawing halves with two; each takes 150 MB.
HELPERS = 2
# What helpers load, in the order in which a run needs it.
LOADED = (
    *("orimap.tasks.report.drawings", "orimap.flows.pipeline.steps.decide"),
    *("kneed", "pymcdm.methods", "dask_ml.cluster", "dask_ml.decomposition"),
)


class Here(Executor):
    """Calls everything at once, in this process."""

    def submit(self, work: Any, /, *args: Any, **kwargs: Any) -> Future:
        """Call a function; its future has the result, or what was raised."""
        future: Future = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def open_helpers(client: Any) -> Iterator[Executor]:
    """Give what calls functions beside a run.

    Parameters
    ----------
    client : distributed.Client
        The workers of the run.
    """
    from orimap.cluster.local import THREADS_ADDRESS, is_on_this_machine

    if not client.scheduler.address.startswith(THREADS_ADDRESS):
        here = all(map(is_on_this_machine, client.nthreads()))
        with client.get_executor(pure=False) if here else Here() as executor:
            yield executor
        return
    # Unlike those of multiprocessing, its processes do not run the main script of a user again.
    from loky import ProcessPoolExecutor

    executor = ProcessPoolExecutor(HELPERS, env=ONE_THREAD, timeout=None)
    try:
        # All can draw; one is enough for the rest.
        executor.submit(_load, LOADED)
        for _ in range(HELPERS - 1):
            executor.submit(_load, LOADED[:1])
        yield executor
    finally:
        executor.shutdown(kill_workers=True)


def _load(names: Sequence[str]) -> None:
    """Load in a helper what it will be asked for."""
    for name in names:
        importlib.import_module(name)
