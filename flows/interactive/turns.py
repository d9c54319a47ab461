"""Let runs that threads of one process start at the same time take turns.

Workers change what belongs to the whole process: the settings of Dask, where its computing goes,
the number of threads of linear algebra, the environment. Of two runs that do so at once, the one
that ends first would take from the other what it computes with.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# May be taken again by the thread that has it.
_turn = threading.RLock()


@contextmanager
def in_turn(note: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other thread of this process runs an analysis; others wait meanwhile.

    Parameters
    ----------
    note : callable
        Is told in a line if this has to wait.
    """
    if not _turn.acquire(blocking=False):
        note("waiting for the analysis that another thread of this process runs")
        _turn.acquire()
    try:
        yield
    finally:
        _turn.release()
