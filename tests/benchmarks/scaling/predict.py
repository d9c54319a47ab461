"""Predict every step of a run on a cluster, from what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from cluster_model import simulate
from cluster_step import Cluster, Outcome
from scan import AS_IT_IS, Scan, Way
from workloads import Steps

# Assumed, not measured; the speed of a core and of a process is that of the machine measured on.
NODES, CORES, MEMORY_BYTES = 64, 32, 128e9
NODE_BYTES_A_SECOND, STORE_BYTES_A_SECOND = 12.5e9, 50e9


def cluster_of(workers: int, costs: Mapping[str, Any], workers_a_node: int = CORES) -> Cluster:
    """Return a cluster of nodes as they are assumed, with the scheduler that was measured."""
    return Cluster(
        workers,
        workers_a_node,
        costs["scheduler"]["task_seconds"],
        STORE_BYTES_A_SECOND,
        NODE_BYTES_A_SECOND,
        costs["scheduler"]["process_bytes_a_second"],
    )


def predict(
    scan: Scan, costs: Mapping[str, Any], cluster: Cluster, way: Way = AS_IT_IS
) -> dict[str, Outcome]:
    """Return what every step takes, by its name; what it consists of is done one by one."""
    steps = Steps(scan, costs, way).of_run()
    return {name: together([simulate(s, cluster) for s in parts]) for name, parts in steps.items()}


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """Return what several steps take that are done one after the other.

    ``tasks`` is that of the largest, for each is a graph of its own.
    """
    seconds = sum(one.seconds for one in outcomes)
    waited = {name: sum(one.waited[name] for one in outcomes) for name in outcomes[0].waited}
    limit = max(waited, key=lambda name: waited[name])
    if limit == "worker" and any(one.limit == "tasks" for one in outcomes):
        limit = "tasks"
    return Outcome(
        seconds,
        max(one.tasks for one in outcomes),
        {name: sum(one.moved[name] for one in outcomes) for name in outcomes[0].moved},
        {
            name: sum(one.busy[name] * one.seconds for one in outcomes) / seconds
            for name in outcomes[0].busy
        },
        waited,
        limit,
    )
