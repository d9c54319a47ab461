import threading

import numpy as np
import pytest

from orimap.tasks.stream.blocks import broadcast, map_blocks, plan_blocks, submit, sum_blocks
from orimap.tasks.stream.in_threads import Threads, in_threads

BLOCKS = plan_blocks((7, 5), (2, 3))


def values(blocks, scan):
    return sum((scan[block.slices].sum() for block in blocks), start=np.zeros(3))


def test_results_come_in_block_order_whichever_thread_is_first():
    slow = threading.Event()

    def work(block, added):
        if block.y0 == 0:
            slow.wait(0.1)
        return block.y0 + added

    with Threads(3) as threads:
        (added,) = broadcast(threads, 100)
        found = list(map_blocks(threads, work, BLOCKS, added))
    assert found == [100, 100, 102, 102, 104, 104, 106, 106]


def test_sums_are_those_of_workers_to_the_last_bit(client):
    scan = np.random.default_rng(5).normal(size=(7, 5)) * 1e3

    def total(opened):
        (shared,) = broadcast(opened, scan)
        return sum_blocks(opened, values, BLOCKS, shared, groups=3).result()

    for count in (1, 2, 4):
        with Threads(count) as threads:
            np.testing.assert_array_equal(total(threads), total(client))


def test_what_a_task_raises_reaches_whoever_waits_and_ends_the_rest():
    begun = []

    def work(block):
        begun.append(block)
        if block.y0 == 2:
            raise ValueError("a bad block")
        return block.y0

    with Threads(1) as threads, pytest.raises(ValueError, match="a bad block"):
        list(map_blocks(threads, work, BLOCKS * 20, ahead=1))
    assert len(begun) < 10


def test_a_task_may_need_another_and_a_released_result_is_gone():
    with Threads(1) as threads:
        first = submit(threads, "one", int, "3")
        second = submit(threads, "two", pow, first, 2)
        assert (second.result(), second.exception(), second.done()) == (9, None, True)
        assert threads.nthreads() == {0: 1}
        second.release()
        with pytest.raises(ValueError, match="released"):
            second.result()


def test_what_is_worked_out_in_threads_comes_in_the_order_of_its_items():
    first = threading.Event()

    def work(number):
        if number == 0:
            first.wait(0.1)
        return number**2

    assert in_threads(work, range(9)) == [number**2 for number in range(9)]
    assert in_threads(work, []) == []
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda number: 1 // number, [2, 1, 0])
