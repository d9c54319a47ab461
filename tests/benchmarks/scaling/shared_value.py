"""A value that every worker fetches once, from others that have it.

Whoever has it hands it to one other at a time: the holders double. Nodes take it over the network
once, and hand it on within.
"""

from collections import defaultdict, deque
from functools import partial

from moments import NETWORK, Action, Events, Moment


class SharedValue:
    """Who has the value, who waits for it, who hands it on.

    Parameters
    ----------
    events : Events
    workers_a_node : int
    across_seconds, within_seconds : float
        To hand it from one node to another, and within a node.
    """

    def __init__(
        self, events: Events, workers_a_node: int, across_seconds: float, within_seconds: float
    ) -> None:
        self.events = events
        self.workers_a_node = workers_a_node
        self.across_seconds, self.within_seconds = across_seconds, within_seconds
        self.holders: set[int] = set()
        self.crossed = 0
        self._waiting: dict[int, deque[tuple[int, Action]]] = defaultdict(deque)
        self._free_holders: dict[int, int] = defaultdict(int)
        self._free_nodes: deque[int] = deque()
        self._wanting: deque[int] = deque()
        self._served: set[int] = set()

    def begin(self, worker: int) -> None:
        """Give it to the first worker."""
        self._hold(worker)
        self._served.add(self._node(worker))
        self._free_nodes.append(self._node(worker))

    def ask(self, worker: int, action: Action, moment: Moment) -> None:
        """Have something done as soon as a worker has the value."""
        if worker in self.holders:
            action(moment)
            return
        node = self._node(worker)
        self._waiting[node].append((worker, action))
        if node not in self._served:
            self._served.add(node)
            self._wanting.append(node)
        self._hand_on(node, moment)

    def _node(self, worker: int) -> int:
        return worker // self.workers_a_node

    def _hold(self, worker: int) -> None:
        self.holders.add(worker)
        self._free_holders[self._node(worker)] += 1

    def _hand_on(self, node: int, moment: Moment) -> None:
        """Hand the value to whoever waits in a node and, from any node, to nodes without it."""
        while self._free_holders[node] and self._waiting[node]:
            self._free_holders[node] -= 1
            handed = partial(self._within, node, *self._waiting[node].popleft())
            self.events.at(moment.after(NETWORK, self.within_seconds), handed)
        while self._free_nodes and self._wanting:
            handed = partial(self._across, self._free_nodes.popleft(), self._wanting.popleft())
            self.events.at(moment.after(NETWORK, self.across_seconds), handed)

    def _within(self, node: int, worker: int, action: Action, moment: Moment) -> None:
        self._free_holders[node] += 1
        self._hold(worker)
        action(moment)
        self._hand_on(node, moment)

    def _across(self, sender: int, node: int, moment: Moment) -> None:
        self.crossed += 1
        self._free_nodes += (sender, node)
        worker, action = self._waiting[node].popleft()
        self._hold(worker)
        action(moment)
        self._hand_on(node, moment)
