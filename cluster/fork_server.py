"""Fork worker processes from one that has imported everything.

Tested in tests/cluster/test_local.py.
"""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


def start_fork_server(environment: Mapping[str, str | int], preload: Sequence[str]) -> None:
    """Start the server that worker processes of this process are forked from, unless it runs.

    A worker that is started afresh imports for two to three seconds; a forked one shares what the
    server has imported, and its memory. The server ends with this process. Ctrl-C is left to this
    process, which ends its workers: they would each print a traceback.

    Parameters
    ----------
    environment : mapping
        Variables that the C library and linear algebra read when a process starts.
    preload : sequence of str
        Modules to import before the first worker is forked. None of them starts a thread.
    """
    from multiprocessing import forkserver, get_context, resource_tracker

    get_context("forkserver").set_forkserver_preload([*preload])
    resource_tracker.ensure_running()  # starting it with the server would let Ctrl-C through again
    with _environment(environment), _interrupts_blocked():
        forkserver.ensure_running()


@contextmanager
def _environment(variables: Mapping[str, str | int]) -> Iterator[None]:
    """Set variables of this process's environment for what it starts meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update({name: str(value) for name, value in variables.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C in this thread, and so in all that is started meanwhile and forked from it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
