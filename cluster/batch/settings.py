"""Load dask-jobqueue without what it does to the process that loads it."""

import signal
import sys
from types import ModuleType


def load_jobqueue() -> ModuleType:
    """Return the module ``dask_jobqueue``.

    Loading it (0.9) takes Ctrl-C for a success: a handler that exits with 0 replaces the one that
    was there; and in any thread but the first the loading itself fails, since handlers cannot be
    set there. So none is set while it loads.
    """
    if "dask_jobqueue" not in sys.modules:
        set_handler = signal.signal
        signal.signal = lambda *_: None
        try:
            import dask_jobqueue  # noqa: F401
        finally:
            signal.signal = set_handler
    return sys.modules["dask_jobqueue"]
