"""Fork worker processes from one that has imported everything.

Tested in tests/cluster/test_local.py.
"""

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from orimap.cluster.environment import SAFE_PATH, environment


def start_fork_server(variables: Mapping[str, str | int], preload: Sequence[str]) -> None:
    """Start the server that worker processes of this process are forked from, unless it runs.

    A worker that is started afresh imports for two to three seconds; a forked one shares what the
    server has imported, and its memory. The server ends with this process. Ctrl-C is left to this
    process, which ends its workers: they would each print a traceback.

    Parameters
    ----------
    variables : mapping
        Of the environment: what the C library and linear algebra read when a process starts.
    preload : sequence of str
        Modules to import before the first worker is forked. None of them starts a Python thread.
    """
    from multiprocessing import forkserver, get_context, resource_tracker

    get_context("forkserver").set_forkserver_preload([*preload])
    with environment({**variables, **SAFE_PATH}), main_script_left_alone():
        resource_tracker.ensure_running()  # with the server it would let Ctrl-C through again
        with interrupts_blocked():
            forkserver.ensure_running()


@contextmanager
def main_script_left_alone() -> Iterator[None]:
    """Let worker processes that start meanwhile know no main script.

    multiprocessing has each of them run the script that started this process, under another name.
    Workers need nothing of it; loading the command line costs them a fifth of a second, and the
    script of a user who calls ``orimap.run`` without ``if __name__ == "__main__":`` would start a
    run of its own in every worker.
    """
    main = sys.modules["__main__"]
    known = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
    for name in known:
        delattr(main, name)
    main.__spec__ = None
    try:
        yield
    finally:
        for name, value in known.items():
            setattr(main, name, value)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C in this thread, and so in all that is started meanwhile and forked from it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
