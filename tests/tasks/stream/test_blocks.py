import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orimap.tasks.stream.blocks import (
    Block,
    block_shape,
    broadcast,
    map_blocks,
    plan_blocks,
    submit,
    sum_blocks,
)

scans = st.tuples(st.integers(1, 70), st.integers(1, 70))


@given(scan=scans, pattern=st.integers(1, 10_000), chunk=st.integers(1, 1_000_000))
def test_a_block_fits_its_budget_or_is_one_pattern(scan, pattern, chunk):
    rows, columns = block_shape(scan, pattern, chunk)
    assert 1 <= rows <= scan[0]
    assert 1 <= columns <= scan[1]
    assert rows * columns * pattern <= chunk or rows == columns == 1


def test_blocks_are_whole_rows_where_four_fit_and_nearly_square_otherwise():
    assert block_shape((100, 50), 10, 4 * 50 * 10) == (4, 50)
    assert block_shape((100, 50), 10, 7 * 50 * 10 + 499) == (7, 50)
    assert block_shape((2, 50), 10, 10**9) == (2, 50)
    assert block_shape((100, 50), 10, 3 * 50 * 10) == (12, 12)


@given(scan=scans, shape=st.tuples(st.integers(1, 80), st.integers(1, 80)))
def test_every_position_lies_in_exactly_one_block(scan, shape):
    visits = np.zeros(scan, int)
    blocks = plan_blocks(scan, shape)
    for block in blocks:
        visits[block.slices] += 1
        assert block.positions == visits[block.slices].size > 0
    assert np.all(visits == 1)
    assert blocks == sorted(blocks, key=lambda block: (block.y0, block.x0))


def test_a_block_knows_its_place_in_the_one_around_it():
    numbers = np.arange(12 * 9).reshape(12, 9)
    outer, inner = Block(2, 10, 1, 8), Block(3, 6, 4, 8)
    around = numbers[outer.slices]
    np.testing.assert_array_equal(around[inner.slices_in(outer)], numbers[inner.slices])


def test_results_come_in_block_order_whichever_worker_is_first(client):
    def slow_at_first(block, offset):
        import time

        time.sleep(0.2 if block.y0 == 0 else 0)
        return block.y0 + offset

    heard = []
    blocks = plan_blocks((7, 1), (1, 1))
    found = map_blocks(
        client, slow_at_first, blocks, 100, progress=lambda *place: heard.append(place)
    )
    assert list(found) == [100, 101, 102, 103, 104, 105, 106]
    assert heard == [(done, 7) for done in range(1, 8)]


def test_no_more_blocks_than_asked_for_are_under_way(one_worker, monkeypatch):
    submitted = []
    submit = one_worker.submit

    def counted(work, block, **options):
        submitted.append(block)
        return submit(work, block, **options)

    monkeypatch.setattr(one_worker, "submit", counted)
    blocks = plan_blocks((20, 1), (1, 1))
    for done, y in enumerate(map_blocks(one_worker, lambda b: b.y0, blocks, ahead=3)):
        assert y == done
        assert len(submitted) <= done + 3
    assert submitted == [[block] for block in blocks]


def test_leaving_early_cancels_what_waits(one_worker):
    def work(block):
        import time

        time.sleep(0.05)
        return block.y0

    results = map_blocks(one_worker, work, plan_blocks((50, 1), (1, 1)), ahead=20)
    assert next(results) == 0
    results.close()
    # The worker is free at once: 20 blocks would hold it for a second.
    assert one_worker.submit(lambda: 7, pure=False).result(timeout=0.7) == 7


def test_tasks_have_names_that_the_dashboard_groups_them_by(one_worker):
    from dask.utils import key_split

    keys = []
    for name in ("gram", "exact pass"):
        future = submit(one_worker, name, sum, [1, 2])
        assert future.result() == 3
        keys.append(future.key)
    assert [key_split(key) for key in keys] == ["gram", "exact pass"]
    groups = set()

    def work(block):
        from distributed import get_worker

        return get_worker().get_current_task()

    groups = {key_split(key) for key in map_blocks(one_worker, work, range(3), name="ingest")}
    assert groups == {"ingest"}


def test_values_sent_to_the_workers_arrive_there(client):
    first, second = broadcast(client, np.arange(3), {"a": 1})

    def read(block, values, other):
        return values[block.y0] + other["a"]

    assert list(map_blocks(client, read, plan_blocks((3, 1), (1, 1)), first, second)) == [1, 2, 3]


@pytest.mark.parametrize("count", [1, 2, 5, 33, 50])
def test_a_sum_over_blocks_equals_the_plain_sum(one_worker, count):
    values = np.random.default_rng(count).standard_normal((count, 3))

    def part(blocks, values):
        return sum(values[block.y0] for block in blocks)

    heard = []
    blocks = plan_blocks((count, 1), (1, 1))
    total = sum_blocks(
        one_worker, part, blocks, values, progress=lambda *place: heard.append(place)
    ).result()
    np.testing.assert_allclose(total, values.sum(axis=0), rtol=1e-12, atol=1e-12)
    assert heard[-1] == (min(count, 32), min(count, 32))


def test_a_sum_is_the_same_to_the_last_bit_for_one_and_two_workers(client, one_worker):
    def part(blocks):
        import time

        time.sleep(0.05 if blocks[0].y0 == 0 else 0)
        rng = np.random.default_rng(blocks[0].y0)
        return rng.standard_normal(50) * 10.0 ** rng.integers(-9, 9, 50)

    blocks = plan_blocks((13, 1), (1, 1))
    first, second = (sum_blocks(each, part, blocks).result() for each in (client, one_worker))
    np.testing.assert_array_equal(first, second)


def test_a_sum_holds_few_arrays_at_once(one_worker):
    held = []
    worker = next(iter(one_worker.cluster.workers.values()))
    others = set(worker.data)  # of other work on the same worker, not released yet

    def progress(*_):
        held.append(len(set(worker.data) - others))

    blocks = plan_blocks((40, 1), (1, 1))
    total = sum_blocks(one_worker, lambda group: np.ones(3), blocks, progress=progress)
    np.testing.assert_array_equal(total.result(), 32)
    # The sum of a row before and after an addition, that of earlier rows, and two groups ahead.
    assert max(held) <= 6


def test_an_error_in_one_block_is_raised_and_the_rest_is_cancelled(one_worker):
    def fails(block_or_group):
        import time

        blocks = block_or_group if isinstance(block_or_group, list) else [block_or_group]
        if blocks[0].y0 == 1:
            raise ArithmeticError("in the second block")
        time.sleep(0.02)
        return np.ones(2)

    blocks = plan_blocks((60, 1), (1, 1))
    with pytest.raises(ArithmeticError, match="second block"):
        sum_blocks(one_worker, fails, blocks, groups=60)
    with pytest.raises(ArithmeticError, match="second block"):
        list(map_blocks(one_worker, fails, blocks, ahead=50))
    assert one_worker.submit(lambda: 7, pure=False).result(timeout=0.7) == 7


def test_a_block_knows_its_place():
    block = Block(2, 4, 1, 6)
    assert block.positions == 10
    assert block.slices == (slice(2, 4), slice(1, 6))


def test_a_step_of_many_blocks_has_few_tasks(one_worker, monkeypatch):
    monkeypatch.setattr("orimap.tasks.stream.blocks.MOST_TASKS", 4)
    submitted = []
    submit = one_worker.submit
    monkeypatch.setattr(
        one_worker, "submit", lambda *a, **k: submitted.append(a) or submit(*a, **k)
    )
    heard = []
    blocks = plan_blocks((10, 1), (1, 1))
    found = list(
        map_blocks(
            one_worker, lambda b: b.y0**2, blocks, progress=lambda *place: heard.append(place)
        )
    )
    assert found == [n**2 for n in range(10)]
    assert heard == [(n, 10) for n in range(1, 11)]
    assert len(submitted) == 4


def test_values_survive_the_worker_that_held_them():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        (values,) = broadcast(client, np.arange(3))
        assert values.result().tolist() == [0, 1, 2]
        client.restart_workers(list(client.nthreads()))
        assert client.submit(sum, values).result(timeout=60) == 3
