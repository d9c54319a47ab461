"""Moments that know what was waited for, and what serves requests in the order of time.

Every moment carries the seconds for which each resource was waited for on the way to it, so the
last moment of a simulation tells what its length is made of: the critical path, by resource.
"""

import heapq
from collections.abc import Callable
from typing import NamedTuple

RESOURCES = ("worker", "store", "network", "scheduler", "command")
WORKER, STORE, NETWORK, SCHEDULER, COMMAND = range(len(RESOURCES))


class Moment(NamedTuple):
    """A time, and how long each resource was waited for on the way to it."""

    time: float
    waited: tuple[float, ...]

    def after(self, resource: int, seconds: float) -> "Moment":
        """Return the moment when a resource has worked for some seconds."""
        if not seconds:
            return self
        waited = list(self.waited)
        waited[resource] += seconds
        return Moment(self.time + seconds, tuple(waited))


START = Moment(0.0, (0.0,) * len(RESOURCES))


def later(a: Moment, b: Moment) -> Moment:
    """Return the later of two moments."""
    return a if a.time >= b.time else b


Action = Callable[[Moment], None]


class Events:
    """What is to happen, in the order of time; at the same time, in the order it was said."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Action, Moment]] = []
        self._said = 0

    def at(self, moment: Moment, action: Action) -> None:
        """Have something done at a moment."""
        self._said += 1
        heapq.heappush(self._heap, (moment.time, self._said, action, moment))

    def go(self) -> None:
        """Do one thing after another until nothing is left."""
        while self._heap:
            _, _, action, moment = heapq.heappop(self._heap)
            action(moment)


class Server:
    """Serves one request after another; to be asked in the order of time."""

    def __init__(self, resource: int) -> None:
        self.resource = resource
        self.free = START
        self.busy = 0.0

    def serve(self, ready: Moment, seconds: float) -> Moment:
        """Return when a request that comes in at a moment is served."""
        if not seconds:
            return ready
        self.busy += seconds
        self.free = later(ready, self.free).after(self.resource, seconds)
        return self.free
