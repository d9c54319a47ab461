"""A process that has imported all that a run needs, and waits for one to take over.

Tested in tests/flows/machine/test_warm_keeper.py.
"""

import importlib
import os
import runpy
import signal
import socket
import sys
import threading
import time
import warnings

from orimap.flows.machine.warm_run import ENGINE, take_over

READY = b"r"
# What takes seconds to import, in the order in which a run needs it.
IMPORTED = (
    *("prefect.engine", "prefect.flow_engine", "prefect.task_runners", "prefect.artifacts"),
    *("orimap.flows.prefect.deployments", "orimap.flows.prefect.canary"),
    *("orimap.flows.pipeline.steps.factorise", "orimap.flows.jobs.notify"),
    *("orimap.tasks.report.report", "orimap.tasks.factorise.exact_pass"),
    "orimap.tasks.factorise.nmf",
    *("distributed", "dask.array", "xarray", "zarr", "numba", "skimage.metrics", "sklearn"),
    *("rsciio", "matplotlib.figure", "scipy.sparse", "bokeh.plotting"),
)
# A run that was told to end closes its workers first; the keeper waits as long.
END_SECONDS = 25


def main() -> None:
    """Import everything, say so, and become the run that is handed over."""
    keeper = socket.socket(fileno=int(sys.argv[1]))
    for name in IMPORTED:
        importlib.import_module(name)
    keeper.sendall(READY)
    taken = take_over(keeper)
    if taken is None:
        return  # it is no longer needed
    facts, files = taken
    _become(facts, files)
    threading.Thread(target=_end_with, args=(keeper,), daemon=True).start()
    sys.argv = [ENGINE]
    with warnings.catch_warnings():
        # That it is imported already is the point.
        warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
        runpy.run_module(ENGINE, run_name="__main__", alter_sys=True)


def _become(facts: dict, files: list[int]) -> None:
    """Take over environment, folder and output of the process that a worker has started.

    All of these belong to the whole process, which from here on is this one run.
    """
    from prefect.context import refresh_global_settings_context

    os.environ.clear()
    os.environ.update(facts["environment"])
    os.chdir(facts["folder"])
    for number, file in zip((1, 2), files, strict=True):
        os.dup2(file, number)
        os.close(file)
    refresh_global_settings_context()


def _end_with(keeper: socket.socket) -> None:
    """End when the keeper ends: nobody would hear any more how this run ends."""
    keeper.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
