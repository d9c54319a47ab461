"""The model of a cluster in the benchmark of scaling, on cases worked by hand."""

import importlib
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "benchmarks" / "scaling"


@pytest.fixture(scope="module")
def script():
    """Give the scripts of the benchmark by name; they import one another as scripts do."""
    names = {path.stem for path in FOLDER.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in set(sys.modules) & names}
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(before)


@pytest.fixture(scope="module")
def run(script):
    """Let tasks run on workers; options that a cluster has go to the cluster."""
    of_cluster = set(script("cluster_step").Cluster.__dataclass_fields__)

    def run(seconds, workers, **options):
        cluster = {name: options.pop(name) for name in of_cluster & set(options)}
        step = script("cluster_step").Step(seconds, **options)
        return script("cluster_model").simulate(
            step, script("cluster_step").Cluster(workers, **cluster)
        )

    return run


def test_four_equal_tasks_take_two_workers_two_rounds(run):
    found = run([3] * 4, 2)
    assert (found.seconds, found.tasks, found.limit) == (6, 4, "worker")
    assert found.busy["worker"] == 1


def test_few_tasks_are_told_from_few_workers(run):
    found = run([3, 5], 4)
    assert (found.seconds, found.limit) == (5, "tasks")
    assert found.busy["worker"] == 8 / 20


def test_a_slow_scheduler_places_one_task_after_another(run):
    found = run([1] * 10, 100, scheduler_seconds=2)
    assert found.seconds == 21  # the tenth task is placed after 20 s
    assert found.waited == {"worker": 1, "store": 0, "network": 0, "scheduler": 20, "command": 0}
    assert found.limit == "scheduler"
    assert found.busy["scheduler"] == 20 / 21


def test_the_store_serves_who_comes_first(run):
    found = run([1] * 6, 6, read_bytes=10, store_bytes_a_second=5)
    assert (found.seconds, found.limit) == (13, "store")  # six times 2 s, and the last task
    assert found.moved["store"] == 60


def test_what_is_written_goes_through_the_store_as_well(run):
    # Both read (0-1 and 1-2), the first writes while the second works (2-3), the second after it.
    found = run([1, 1], 2, read_bytes=5, write_bytes=5, store_bytes_a_second=5)
    assert found.seconds == 4


def test_the_command_takes_one_result_after_another(run):
    found = run([1] * 4, 4, result_bytes=2, result_seconds=3, process_bytes_a_second=1)
    # Each result: 2 s through the scheduler, 2 s to take it and 3 s of work on it.
    assert (found.seconds, found.limit) == (1 + 4 * 7, "command")
    assert found.waited["scheduler"] == 8
    assert found.moved["scheduler"] == 8


def test_the_command_works_and_writes_after_the_last_result(run):
    found = run([1], 1, command_seconds=4, command_write_bytes=10, store_bytes_a_second=5)
    assert found.seconds == 1 + 4 + 2


def test_no_more_tasks_are_submitted_than_may_wait(run):
    # The third is submitted when the first, which is slow, has been taken; or at once.
    assert run([10, 1, 1], 2, ahead=1).seconds == 11
    assert run([10, 1, 1], 2, ahead=2).seconds == 10


def test_a_sum_of_five_groups_is_added_one_after_the_other(run):
    found = run([1] * 5, 5, summed=True, result_bytes=2, add_seconds=1, process_bytes_a_second=1)
    # Four additions, each 2 s to fetch and 1 s to add; the sum stays where it is.
    assert found.seconds == 1 + 4 * 3
    assert found.tasks == 9
    assert found.moved["network"] == 8


def test_rows_of_a_sum_are_added_side_by_side(run):
    found = run([1] * 5, 5, summed=True, add_seconds=3, in_a_row=2)
    # (a + b) beside (c + d), then their sum, then e.
    assert (found.seconds, found.tasks) == (1 + 3 * 3, 9)


def test_a_sum_of_one_group_is_that_group(run):
    assert run([2], 3, summed=True, add_seconds=5).seconds == 2


def test_additions_go_before_the_next_groups(run):
    # One worker: two groups, their sum, the third group, the sum of all.
    found = run([1, 1, 1], 1, summed=True, add_seconds=10, ahead=3)
    assert found.seconds == 3 + 2 * 10


def test_a_shared_value_reaches_eight_workers_in_three_rounds(run):
    found = run([1] * 8, 8, shared_bytes=4, process_bytes_a_second=1)
    assert found.seconds == 3 * 4 + 1
    assert found.waited["network"] == 12
    assert found.moved["network"] == 7 * 4


def test_within_a_node_a_shared_value_does_not_use_the_network(run):
    found = run(
        [1] * 8,
        8,
        workers_a_node=4,
        shared_bytes=4,
        process_bytes_a_second=4,
        node_bytes_a_second=1,
    )
    # The other node has it after 4 s; there, two rounds of 1 s.
    assert found.seconds == 4 + 2 + 1
    assert found.moved["network"] == 4


def test_a_shared_value_is_read_from_the_store_and_made(run):
    found = run(
        [1], 1, shared_bytes=4, shared_read_bytes=8, shared_seconds=5, store_bytes_a_second=2
    )
    assert found.seconds == 4 + 5 + 1
    assert found.moved["store"] == 8


def test_a_worker_fetches_a_shared_value_once(run):
    found = run([1] * 6, 2, shared_bytes=4, process_bytes_a_second=1)
    assert found.moved["network"] == 4
    assert found.seconds == 5  # the first does four tasks, the second two after 4 s


@pytest.mark.parametrize("summed", [False, True])
def test_more_workers_are_never_slower_where_computing_is_all(run, summed):
    seconds = [1 + number % 7 for number in range(200)]
    times = [run(seconds, workers, summed=summed).seconds for workers in (1, 2, 4, 8, 16, 32)]
    assert times == sorted(times, reverse=True)
    assert times[0] == sum(seconds)


def test_what_was_waited_for_adds_up_to_the_time(run):
    found = run(
        [1, 2, 3, 4] * 10,
        5,
        scheduler_seconds=0.1,
        read_bytes=3,
        store_bytes_a_second=10,
        result_bytes=2,
        process_bytes_a_second=8,
        shared_bytes=5,
        command_seconds=3,
    )
    assert sum(found.waited.values()) == pytest.approx(found.seconds)
    assert all(0 <= share <= 1 for share in found.busy.values())


def test_steps_one_after_the_other_add_up(script, run):
    found = script("predict").together([run([3] * 4, 2), run([1] * 10, 100, scheduler_seconds=2)])
    assert (found.seconds, found.tasks, found.limit) == (27, 10, "scheduler")
    assert found.busy["scheduler"] == 20 / 27


@pytest.fixture(scope="module")
def costs():
    """What was measured last."""
    return json.loads((FOLDER / "results" / "costs.json").read_text())


def test_steps_are_cut_as_orimap_cuts_them(script, costs):
    steps = script("workloads").Steps(script("scan").Scan((128, 128), 256), costs)
    # 256 patterns of 128 kB a chunk, two chunks a batch of 512; 4,096 patterns a sum, at least 8.
    assert [len(step.seconds) for step in (steps.ingest(), steps.gram(True), steps.fits())] == [
        64,
        8,
        20,
    ]
    assert len(steps.project(True).seconds) == len(steps.held_out().seconds) == 32
    assert steps.gram(False).result_bytes == 8 * 256**2 * 48


def test_only_what_is_not_counts_leaves_no_half_out(script, costs):
    steps = script("workloads").Steps(script("scan").Scan((32, 32), 128, held_out=False), costs)
    parts = steps.of_run()
    assert list(parts) == ["ingest", "sketch", "fits", "exact pass"]
    assert len(parts["sketch"]) == 3
    assert parts["exact pass"][0].command_write_bytes > 0  # nothing comes after it


def test_nothing_is_gathered_where_workers_write(script, costs):
    scan, way = script("scan").Scan((64, 64), 128), script("scan").Way(gathered=False)
    plain, spread = (script("workloads").Steps(scan, costs, *ways) for ways in ((), (way,)))
    assert spread.project(False).command_seconds == 0
    assert sum(spread.project(False).seconds) == pytest.approx(
        sum(plain.project(False).seconds) + plain.project(False).command_seconds
    )
    assert spread.project(False).result_bytes < plain.project(False).result_bytes


def test_a_client_that_works_at_once_says_what_tasks_are(script):
    from orimap.tasks.stream.blocks import sum_blocks

    client = script("at_once").AtOnce()
    assert sum_blocks(client, sum, [1, 2, 3, 4], groups=2).result() == 10
    assert client.seen["sum"].tasks == 2
    assert client.seen["sum"].message_bytes < 200
    assert client.seen["add"].last == 10


def test_numbers_are_said_in_a_few_digits(script):
    words = script("words")
    assert [words.time_of(s) for s in (0.123, 12.3, 700, 20_000)] == [
        "0.12 s",
        "12 s",
        "11.7 min",
        "5.56 h",
    ]
    assert [words.size_of(b) for b in (9, 9_500, 2.5e12)] == ["9 B", "9.5 kB", "2.5 TB"]
    assert [words.number_of(n) for n in (512, 2.47e6)] == ["512", "2.47 million"]
