import threading

import numpy as np
import pytest
import xarray as xr

import orimap
from orimap.flows.interactive.turns import in_turn


def test_a_second_thread_waits_for_the_first_and_says_so():
    order, first_is_in = [], threading.Event()

    def second():
        first_is_in.wait()
        with in_turn(lambda said: (order.append(said), waits.set())):
            order.append("second")

    waits = threading.Event()
    other = threading.Thread(target=second)
    other.start()
    with in_turn(order.append):
        first_is_in.set()
        assert waits.wait(30)
        order.append("first")
    other.join(30)
    waiting = "waiting for the analysis that another thread of this process runs"
    assert order == [waiting, "first", "second"]


def test_a_failure_lets_the_next_one_in():
    with pytest.raises(ValueError, match="wrong"), in_turn(print):
        raise ValueError("wrong")
    done: list[str] = []

    def enter():
        with in_turn(done.append):
            pass

    other = threading.Thread(target=enter)
    other.start()
    other.join(30)
    assert not other.is_alive()
    assert done == []


@pytest.mark.usefixtures("same_workers")
def test_two_runs_in_two_threads_come_to_the_results_of_each_alone(
    small_run, small_run_scan, tmp_path, capsys
):
    array = xr.open_zarr(small_run_scan, consolidated=False)["pattern_intensity"].load()
    both_ready, found = threading.Barrier(2), {}

    def analyse(name):
        both_ready.wait(30)
        found[name] = orimap.run(array, tmp_path / name, k="1:4", workers=1)

    threads = [threading.Thread(target=analyse, args=(name,)) for name in ("one", "two")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for name in ("one", "two"):
        np.testing.assert_array_equal(found[name].labels, small_run.labels)
    assert capsys.readouterr().err.count("waiting for the analysis that another thread") == 1
