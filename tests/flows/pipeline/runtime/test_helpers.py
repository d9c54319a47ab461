"""Executors that help a run: here, in a team of processes, on the workers."""

import os
import time
from concurrent.futures import Executor, Future
from importlib.util import find_spec
from types import SimpleNamespace

import psutil
import pytest

from orimap.cluster.environment import ONE_THREAD
from orimap.flows.pipeline.runtime.helpers import DRAWING, LOADED, Here, Team, open_helpers


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
        self.taken.append((work, args, kwargs, Future()))
        return self.taken[-1][-1]


def test_a_team_gives_work_to_the_first_that_is_idle():
    one, two = Waiting(), Waiting()
    team = Team([one, two])
    first = team.submit(max, 1, 2, key=abs)
    assert one.taken == [(max, (1, 2), {"key": abs}, first)]
    second = team.submit(min, 3)
    assert [taken[0] for taken in two.taken] == [min]
    # Both have one piece of work: the first takes the next, and the second, when it is free.
    team.submit(sum, [4])
    assert (len(one.taken), len(two.taken)) == (2, 1)
    second.set_result(3)
    team.submit(sum, [5])
    assert (len(one.taken), len(two.taken)) == (2, 2)
    # One that has failed is done as well.
    for *_, future in one.taken:
        future.set_exception(ValueError())
    team.submit(sum, [6])
    assert (len(one.taken), len(two.taken)) == (3, 2)


def test_beside_threads_processes_help_and_are_gone_afterwards(threads):
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with open_helpers(threads) as helpers:
        futures = [helpers.submit(os.getpid) for _ in LOADED]
        pids = {future.result(timeout=60) for future in futures}
        assert os.getpid() not in pids
        # Two that are idle take turns: the first alone has loaded what only it is asked for.
        work = [helpers.submit(time.sleep, 0.5), helpers.submit(_loaded(DRAWING))]
        assert [future.result(timeout=60) for future in work] == [None, True]
        assert helpers.submit(_loaded("pymcdm.methods")).result(timeout=60)
        assert helpers.submit(os.getenv, "OMP_NUM_THREADS").result(timeout=60) == "1"
        with pytest.raises(ZeroDivisionError):
            helpers.submit(divmod, 1, 0).result(timeout=60)
        started = _children() - before
        assert pids <= started
    until = time.monotonic() + 10
    while pids & _children() and time.monotonic() < until:
        time.sleep(0.05)
    assert not pids & _children()


def _children():
    return {child.pid for child in psutil.Process().children(recursive=True)}


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
