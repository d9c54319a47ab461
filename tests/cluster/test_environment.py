import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orimap.cluster import environment
from orimap.cluster.client import open_client
from orimap.cluster.environment import (
    KEEP_SMALL_MEMORY,
    NO_PROFILE,
    ONE_THREAD,
    PROFILE,
    SAFE_PATH,
    WORKER_ENVIRONMENT,
    can_be_made,
    keep_compiled_code,
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


@pytest.mark.parametrize("kind", [pytest.param("threads", marks=pytest.mark.slow), "processes"])
def test_code_of_the_same_process_goes_on_as_before(kind):
    """It compiles, with threads of its own, while the workers are there and afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, kind],
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["8 8", "9.0", "[]", "[]"], done.stderr


@pytest.fixture
def forbidden(monkeypatch, tmp_path):
    """Folders in which this account can write nothing, whoever it is; neither source nor home."""
    closed = {Path(environment.__file__).resolve().parents[1], tmp_path / "home"}

    def access(path, _mode):
        return not any(Path(path) == each or Path(path).is_relative_to(each) for each in closed)

    for name in (environment.COMPILED, environment.FONTS, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    yield closed
    # What was set is forgotten with what was there before.
    for name in (environment.COMPILED, environment.FONTS):
        os.environ.pop(name, None)


def test_compiled_code_stays_where_numba_would_keep_it(forbidden, tmp_path):
    forbidden.discard(tmp_path / "home")
    assert keep_compiled_code(tmp_path / "state") == tmp_path / "home" / ".cache" / "numba"
    assert environment.COMPILED not in os.environ


def test_without_a_home_compiled_code_goes_into_the_state(forbidden, tmp_path):
    kept = keep_compiled_code(tmp_path / "state")
    assert kept == tmp_path / "state" / "compiled" / "numba"
    assert os.environ["NUMBA_CACHE_DIR"] == str(kept)
    assert os.environ["MPLCONFIGDIR"] == str(kept.with_name("matplotlib"))
    # Once named, it stays.
    assert keep_compiled_code() == kept


def test_without_home_and_state_it_goes_where_nobody_else_can_write(forbidden, tmp_path):
    own = tmp_path / "temporary" / f"orimap-{os.getuid()}"
    assert keep_compiled_code() == own / "numba"
    assert own.stat().st_mode & 0o777 == 0o700
    del os.environ["NUMBA_CACHE_DIR"]
    own.chmod(0o777)
    other = keep_compiled_code()
    assert other.parent != own
    assert other.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_can_be_made_in_one_that_can_be_written(tmp_path):
    assert can_be_made(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    assert not can_be_made(tmp_path / "file" / "b")
    assert not can_be_made(Path("/proc/orimap/b")) or os.geteuid() == 0
