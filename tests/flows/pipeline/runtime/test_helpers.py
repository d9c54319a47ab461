"""Executors that help a run: here, in a team of processes, on the workers."""

import os
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from types import SimpleNamespace

import psutil
import pytest

from orimap.cluster.environment import ONE_THREAD
from orimap.flows.pipeline.runtime.helpers import (
    DRAWING,
    LOADED,
    Here,
    Team,
    call_beside,
    open_helpers,
)


def test_here_calls_at_once_and_raises_through_the_future():
    called = []
    future = Here().submit(called.append, 1)
    assert called == [1]
    assert future.done()
    assert Here().submit(int, "11", base=2).result() == 3
    failed = Here().submit(int, "x")
    assert isinstance(failed.exception(), ValueError)
    with pytest.raises(ValueError, match="invalid literal"):
        failed.result()
    assert list(Here().map(abs, [-1, 2])) == [1, 2]


class Waiting(Executor):
    """Takes work that ends when a test says so."""

    def __init__(self):
        self.taken = []

    def submit(self, work, /, *args, **kwargs):
        self.taken.append((partial(work, *args, **kwargs), Future()))
        return self.taken[-1][-1]

    def end(self):
        """Do the last work taken."""
        call, future = self.taken[-1]
        try:
            future.set_result(call())
        except ValueError as error:
            future.set_exception(error)


def test_a_team_gives_work_to_the_first_that_is_idle_in_the_order_it_came():
    one, two = Waiting(), Waiting()
    loaded = Future()
    ready = Future()
    ready.set_result(None)
    team = Team({one: loaded, two: ready})
    # The first still loads: the second takes the work, and what comes next waits.
    made = [team.submit(max, 1, 2, key=abs), *(team.submit(sum, [n]) for n in range(3))]
    assert (len(one.taken), len(two.taken)) == (0, 1)
    loaded.set_result(None)
    assert (len(one.taken), len(two.taken)) == (1, 1)
    two.end()
    assert made[0].result(timeout=0) == 2
    assert (len(one.taken), len(two.taken)) == (1, 2)
    one.end()
    two.end()
    assert [future.result(timeout=0) for future in made[1:3]] == [0, 1]
    # Of two that are idle, the first is asked. A failure reaches who asked, and the next goes on.
    assert not made[3].done()
    one.end()
    assert made[3].result(timeout=0) == 2
    failed, after = team.submit(int, "x"), team.submit(int, "7")
    assert (len(one.taken), len(two.taken)) == (3, 3)
    one.end()
    with pytest.raises(ValueError, match="invalid literal"):
        failed.result(timeout=0)
    two.end()
    assert after.result(timeout=0) == 7


def test_a_member_that_is_gone_fails_what_it_was_given():
    ready = Future()
    ready.set_result(None)
    gone = ProcessPoolExecutor(1)
    gone.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        Team({gone: ready}).submit(abs, -1).result(timeout=60)


def test_python_code_goes_to_helpers_beside_threads_and_else_to_the_workers(threads, client):
    with open_helpers(threads) as helpers:
        assert call_beside(threads, helpers, "pid", os.getpid).result(timeout=60) != os.getpid()
    future = call_beside(client, Here(), "say pid", os.getpid)
    assert future.key.startswith("say pid-")
    assert future.result(timeout=60) in client.run(os.getpid).values()


def test_beside_threads_processes_help_and_are_gone_afterwards(threads):
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with open_helpers(threads) as helpers:
        # One that still loads takes no work: the other does it all until then.
        pids, until = set(), time.monotonic() + 60
        while len(pids) < len(LOADED) and time.monotonic() < until:
            futures = [helpers.submit(_pid_of_one_who_takes_a_while()) for _ in LOADED]
            pids |= {future.result(timeout=60) for future in futures}
        assert len(pids) == len(LOADED)
        assert os.getpid() not in pids
        # The first alone has loaded what only it is asked for.
        assert helpers.submit(_loaded("pymcdm.methods")).result(timeout=60)
        work = [helpers.submit(time.sleep, 0.5), helpers.submit(_loaded(DRAWING))]
        assert [future.result(timeout=60) for future in work] == [None, True]
        assert helpers.submit(os.getenv, "OMP_NUM_THREADS").result(timeout=60) == "1"
        # A lock that has a name is reported as leaked when its process is killed.
        assert helpers.submit(_files_of_a_lock()).result(timeout=60) == []
        with pytest.raises(ZeroDivisionError):
            helpers.submit(divmod, 1, 0).result(timeout=60)
        started = _children() - before
        assert pids <= started
    until = time.monotonic() + 60
    while pids & _children() and time.monotonic() < until:
        time.sleep(0.05)
    assert not pids & _children()


def _children():
    return {child.pid for child in psutil.Process().children(recursive=True)}


def _pid_of_one_who_takes_a_while():
    return lambda: __import__("time").sleep(0.5) or __import__("os").getpid()


def _files_of_a_lock():
    def made():
        import multiprocessing
        from pathlib import Path

        before = set(Path("/dev/shm").iterdir())
        lock = multiprocessing.Lock()
        mine = f"-{__import__('os').getpid()}-"
        found = {file.name for file in set(Path("/dev/shm").iterdir()) - before}
        del lock
        return [name for name in found if mine in name or name.startswith("sem.mp-")]

    return made


def _loaded(name):
    # Test modules cannot be imported by their names: this one travels with its code.
    return lambda: name in __import__("sys").modules


def test_workers_that_are_processes_of_this_machine_help(worker_process):
    with open_helpers(worker_process) as helpers:
        pids = {helpers.submit(os.getpid).result(timeout=60) for _ in range(4)}
    assert pids <= set(worker_process.run(os.getpid).values())
    assert os.getpid() not in pids


def test_elsewhere_everything_is_done_here():
    elsewhere = SimpleNamespace(
        scheduler=SimpleNamespace(address="tcp://192.0.2.1:8786"),
        nthreads=lambda: {"tcp://127.0.0.1:40001": 1, "tcp://192.0.2.2:40001": 1},
    )
    with open_helpers(elsewhere) as helpers:
        assert isinstance(helpers, Here)
        assert helpers.submit(os.getpid).result() == os.getpid()


def test_what_helpers_load_exists():
    assert all(find_spec(name) for names in LOADED for name in names)
    assert set(LOADED[1]) < set(LOADED[0])
    assert set(ONE_THREAD.values()) == {"1"}
