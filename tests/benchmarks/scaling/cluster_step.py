"""What a step asks of a cluster, and what it takes there."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from orimap.tasks.stream.blocks import ADDED_IN_A_ROW


@dataclass(frozen=True)
class Cluster:
    """What a step runs on.

    Parameters
    ----------
    workers : int
        Of one thread each.
    workers_a_node : int
    scheduler_seconds : float
        For one task, from its submission to the note that it is done.
    store_bytes_a_second, node_bytes_a_second : float
        Of the file system, all together, and of the network of one node.
    process_bytes_a_second : float
        What one process can send, pass on or take.
    """

    workers: int
    workers_a_node: int = 1
    scheduler_seconds: float = 0.0
    store_bytes_a_second: float = inf
    node_bytes_a_second: float = inf
    process_bytes_a_second: float = inf


@dataclass(frozen=True)
class Step:
    """What a step asks of the cluster.

    Parameters
    ----------
    seconds : sequence of float
        Processor time of every task, in the order of submission.
    ahead : int
        How many tasks a worker are submitted and not yet taken.
    message_bytes, result_bytes : float
        Of one task as it is submitted, and of what it returns.
    read_bytes, write_bytes : float
        Between one task and the store.
    result_seconds : float
        Work of the command on each result.
    summed : bool
        Whether results are added up on the workers, where the sum stays, not taken one by one.
    add_seconds : float
        To add two results.
    in_a_row : int
        How many results are added one after the other.
    shared_bytes, shared_seconds, shared_read_bytes : float
        Of a value that every task needs, the time to make it on the first worker, and what is read
        from the store for it.
    command_seconds, command_write_bytes : float
        Work of the command after the last result, and what it writes.
    """

    seconds: Sequence[float]
    ahead: int = 4
    message_bytes: float = 0.0
    result_bytes: float = 0.0
    read_bytes: float = 0.0
    write_bytes: float = 0.0
    result_seconds: float = 0.0
    summed: bool = False
    add_seconds: float = 0.0
    in_a_row: int = ADDED_IN_A_ROW
    shared_bytes: float = 0.0
    shared_seconds: float = 0.0
    shared_read_bytes: float = 0.0
    command_seconds: float = 0.0
    command_write_bytes: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What a step takes.

    Parameters
    ----------
    seconds : float
    tasks : int
        With the additions.
    moved : dict of float
        Bytes through the store, the network between workers, and the scheduler.
    busy : dict of float
        Share of the time that each resource is busy; of workers and networks the mean.
    waited : dict of float
        Seconds for which the end waited for each resource; they add up to ``seconds``.
    limit : str
        The resource waited for longest; "tasks" where it is the worker of a task, and there are
        fewer tasks than workers.
    """

    seconds: float
    tasks: int
    moved: dict[str, float]
    busy: dict[str, float]
    waited: dict[str, float]
    limit: str
