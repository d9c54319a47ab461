"""How long one step takes on a Dask cluster, and what it waits for: a model of discrete events.

The cluster is driven as ``orimap.tasks.stream.blocks`` drives Dask: the command keeps a bounded
number of tasks submitted and takes their results in order, or has them added up on the workers in
rows. The scheduler, the command, the store and the network of each node serve one request after
another; a value that all tasks need goes from worker to worker.
"""

from collections import deque
from functools import partial

from cluster_step import Cluster, Outcome, Step
from moments import (
    COMMAND,
    NETWORK,
    RESOURCES,
    SCHEDULER,
    START,
    STORE,
    WORKER,
    Action,
    Events,
    Moment,
    Server,
    later,
)
from shared_value import SharedValue


def simulate(step: Step, cluster: Cluster) -> Outcome:
    """Let a step run on a cluster."""
    return _Simulation(step, cluster).run()


class _Simulation:
    """One step on its way. What takes a moment is called when the simulation is there."""

    def __init__(self, step: Step, cluster: Cluster) -> None:
        self.step, self.cluster = step, cluster
        self.events = Events()
        self.scheduler, self.command = Server(SCHEDULER), Server(COMMAND)
        self.store = Server(STORE)
        nodes = -(-cluster.workers // cluster.workers_a_node)
        self.networks = [Server(NETWORK) for _ in range(nodes)]
        self.idle = deque((worker, START) for worker in range(cluster.workers))
        # Additions go before the next tasks.
        self.tasks: deque[tuple[int, Moment]] = deque()
        self.additions: deque[tuple[int, Moment]] = deque()
        self.submitted = self.taken = self.added = 0
        self.taking = False
        self.done: dict[int, Moment] = {}
        self.awaited: dict[int, list[Action]] = {}
        self.row: int | None = None
        self.total: int | None = None
        self.worked = 0.0
        self.moved = dict.fromkeys(("store", "network", "scheduler"), 0.0)
        self.end = START
        size, process = step.shared_bytes, cluster.process_bytes_a_second
        self.shared = SharedValue(
            self.events,
            cluster.workers_a_node,
            size / min(process, cluster.node_bytes_a_second),
            size / process,
        )
        self.ready = not size

    def run(self) -> Outcome:
        """Go from event to event until the step has ended."""
        if not self.ready:
            self._make_shared()
        for _ in range(min(self.step.ahead * self.cluster.workers, len(self.step.seconds))):
            self._submit(START)
        self.events.go()
        across = self.shared.crossed * self.step.shared_bytes
        self.moved["network"] += across
        networks = sum(one.busy for one in self.networks)
        networks += across / self.cluster.node_bytes_a_second
        busy = {
            "worker": self.worked / self.cluster.workers,
            "store": self.store.busy,
            "network": networks / len(self.networks),
            "scheduler": self.scheduler.busy,
            "command": self.command.busy,
        }
        seconds = self.end.time
        waited = dict(zip(RESOURCES, self.end.waited, strict=True))
        limit = max(waited, key=lambda name: waited[name])
        if limit == "worker" and len(self.step.seconds) < self.cluster.workers:
            limit = "tasks"
        shares = {name: used / seconds if seconds else 0.0 for name, used in busy.items()}
        tasks = len(self.step.seconds) + self.added
        return Outcome(seconds, tasks, self.moved, shares, waited, limit)

    def _make_shared(self) -> None:
        """Have the first worker make the value that all tasks need."""
        moment = self._through_store(START, self.step.shared_read_bytes)
        self.worked += self.step.shared_seconds
        self.events.at(moment.after(WORKER, self.step.shared_seconds), self._begin)

    def _begin(self, moment: Moment) -> None:
        """Start with what waited for the shared value."""
        self.ready = True
        self.idle = deque((worker, moment) for worker, _ in self.idle)
        self.shared.begin(0)
        self._assign()

    # A task: from the command through the scheduler to a worker.

    def _submit(self, moment: Moment) -> None:
        number, self.submitted = self.submitted, self.submitted + 1
        moment = self._schedule(moment, self.step.message_bytes)
        self.events.at(moment, partial(self._put, self.tasks, number))

    def _schedule(self, moment: Moment, message_bytes: float) -> Moment:
        """Return when the scheduler has placed a task."""
        moment = self.scheduler.serve(moment, self.cluster.scheduler_seconds)
        return self._through_scheduler(moment, message_bytes)

    def _through_scheduler(self, moment: Moment, size: float) -> Moment:
        self.moved["scheduler"] += size
        return self.scheduler.serve(moment, size / self.cluster.process_bytes_a_second)

    def _through_store(self, moment: Moment, size: float) -> Moment:
        self.moved["store"] += size
        return self.store.serve(moment, size / self.cluster.store_bytes_a_second)

    def _put(self, queue: deque, number: int, moment: Moment) -> None:
        queue.append((number, moment))
        self._assign()

    def _assign(self) -> None:
        """Give tasks to workers that have none."""
        while self.ready and self.idle and (self.additions or self.tasks):
            number, there = (self.additions or self.tasks).popleft()
            worker, free = self.idle.popleft()
            moment = later(there, free)
            if number >= len(self.step.seconds):
                self._add(worker, number, moment)
            elif self.step.shared_bytes:
                self.shared.ask(worker, partial(self._read, worker, number), moment)
            else:
                self._read(worker, number, moment)

    def _read(self, worker: int, number: int, moment: Moment) -> None:
        moment = self._through_store(moment, self.step.read_bytes)
        self.events.at(moment, partial(self._work, worker, number))

    def _work(self, worker: int, number: int, moment: Moment) -> None:
        self.worked += self.step.seconds[number]
        moment = moment.after(WORKER, self.step.seconds[number])
        self.events.at(moment, partial(self._write, worker, number))

    def _write(self, worker: int, number: int, moment: Moment) -> None:
        moment = self._through_store(moment, self.step.write_bytes)
        self.events.at(moment, partial(self._finish, worker, number))

    def _add(self, worker: int, number: int, moment: Moment) -> None:
        """Fetch one array to where the other is, and add them."""
        size = self.step.result_bytes
        self.moved["network"] += size
        network = self.networks[worker // self.cluster.workers_a_node]
        arrived = network.serve(moment, size / self.cluster.node_bytes_a_second)
        arrived = later(arrived, moment.after(NETWORK, size / self.cluster.process_bytes_a_second))
        self.worked += self.step.add_seconds
        moment = arrived.after(WORKER, self.step.add_seconds)
        self.events.at(moment, partial(self._finish, worker, number))

    def _finish(self, worker: int, number: int, moment: Moment) -> None:
        self.idle.append((worker, moment))
        self.done[number] = moment
        for action in self.awaited.pop(number, ()):
            action(moment)
        self._take(moment)
        self._assign()

    def _when_done(self, number: int, action: Action, moment: Moment) -> None:
        if number in self.done:
            action(moment)
        else:
            self.awaited.setdefault(number, []).append(action)

    # Results: taken in order, or added up.

    def _take(self, moment: Moment) -> None:
        """Take the next result if it is there and the command is not busy with another."""
        number = self.taken
        if self.taking or number == len(self.step.seconds) or number not in self.done:
            return
        self.taking = True
        if self.step.summed:
            self._took(moment)
        else:
            self.events.at(self._through_scheduler(moment, self.step.result_bytes), self._receive)

    def _receive(self, moment: Moment) -> None:
        seconds = self.step.result_bytes / self.cluster.process_bytes_a_second
        seconds += self.step.result_seconds
        self.events.at(self.command.serve(moment, seconds), self._took)

    def _took(self, moment: Moment) -> None:
        number, self.taken, self.taking = self.taken, self.taken + 1, False
        last = self.taken == len(self.step.seconds)
        if self.step.summed:
            self.row = self._plus(self.row, number, moment)
            if last or self.taken % self.step.in_a_row == 0:
                self.total, self.row = self._plus(self.total, self.row, moment), None
        else:
            del self.done[number]
        if self.submitted < len(self.step.seconds):
            self._submit(moment)
        if last and self.step.summed:
            self._when_done(self.total, self._conclude, moment)
        elif last:
            self._conclude(moment)
        self._take(moment)

    def _plus(self, total: int | None, number: int, moment: Moment) -> int:
        """Have a result added to a sum, as soon as both are there; return the number of the new."""
        if total is None:
            return number
        addition = len(self.step.seconds) + self.added
        self.added += 1
        put = partial(self._put, self.additions, addition)
        then = partial(self._when_done, total, put)
        self.events.at(self._schedule(moment, 0.0), partial(self._when_done, number, then))
        return addition

    def _conclude(self, moment: Moment) -> None:
        moment = self.command.serve(moment, self.step.command_seconds)
        self.end = self._through_store(moment, self.step.command_write_bytes)
