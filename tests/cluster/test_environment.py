import os
import subprocess
import sys

import pytest

from orimap.cluster.client import open_client
from orimap.cluster.environment import (
    KEEP_SMALL_MEMORY,
    NO_PROFILE,
    ONE_THREAD,
    PROFILE,
    SAFE_PATH,
    WORKER_ENVIRONMENT,
)


def test_a_worker_has_one_thread_and_keeps_memory_of_small_arrays_alone():
    assert set(ONE_THREAD.values()) == {"1"}
    assert {"OMP_NUM_THREADS", "NUMBA_NUM_THREADS"} <= set(ONE_THREAD)
    kept, mapped = (
        int(KEEP_SMALL_MEMORY[f"MALLOC_{name}_THRESHOLD_"]) for name in ("TRIM", "MMAP")
    )
    assert (kept, mapped) == (16 * 2**20, 4 * 2**20)
    whole = {**ONE_THREAD, **KEEP_SMALL_MEMORY, **NO_PROFILE, **SAFE_PATH}
    assert whole == WORKER_ENVIRONMENT


def test_every_worker_finds_it(worker_process):
    def seen():
        return {name: os.environ.get(name) for name in ONE_THREAD}

    # Those of the tests are Dask's own, which agrees for the libraries that it knows.
    for found in worker_process.run(seen).values():
        assert found["OMP_NUM_THREADS"] == "1"


def test_no_worker_looks_at_the_stacks_of_its_threads():
    """In Python 3.11 that can stop a worker for ever."""
    script = f"import dask; print(dask.config.get({PROFILE!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **NO_PROFILE}, capture_output=True
    )
    assert done.stdout.split() == [b"False"]
    for kind in ("threads", "processes"):
        with open_client(kind, workers=1) as client:
            found = client.run(lambda dask_worker: "profile" in dask_worker.periodic_callbacks)
            assert list(found.values()) == [False]


NOTEBOOK = """
import os, sys
import numba
import numpy as np
from orimap.cluster.client import open_client

@numba.njit(parallel=True)
def total(values):
    found = 0.0
    for i in numba.prange(values.size):
        found += values[i]
    return found

@numba.njit
def twice(value):
    return 2 * value

total(np.ones(9))  # numba's threads are running from here on
before, path = dict(os.environ), list(sys.path)
with open_client(sys.argv[1], workers=1) as client:
    print(client.submit(twice.py_func, 4).result(), twice(4))
print(total(np.ones(9, np.float32)))
changed = {name for name in {*before, *os.environ} if before.get(name) != os.environ.get(name)}
print(sorted(changed - {"__DASK_PARENT_PID"}))  # that one only marks who has loaded Dask
print([folder for folder in sys.path if folder not in path])
"""


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_code_of_the_same_process_goes_on_as_before(kind):
    """It compiles, with threads of its own, while the workers are there and afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, kind],
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["8 8", "9.0", "[]", "[]"], done.stderr
