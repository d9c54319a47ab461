"""Keep what was read or worked out last, up to so many bytes, for many threads."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


class Kept:
    """The last values that were asked for; those that were not used for longest go first.

    Parameters
    ----------
    most_bytes : int
        Of all values together; one that is larger alone is not kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._values

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """Return the value of a key; made once, however many threads ask for it.

        Parameters
        ----------
        key : hashable
        make : callable
            Makes the value. What it raises goes to whoever asked, and nothing is kept.
        size : callable
            Bytes of a value.
        """
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._values:
                    return self._values[key][0]
            try:
                value = make()
                self._keep(key, value, size(value))
                return value
            finally:
                with self._lock:
                    self._making.pop(key, None)

    def forget(self, gone: Callable[[Hashable], bool] = lambda _: True) -> None:
        """Let go of values: all, or those whose key is one of those."""
        with self._lock:
            for key in [key for key in self._values if gone(key)]:
                self.bytes -= self._values.pop(key)[1]

    def values(self) -> list[Any]:
        """Return what is kept now."""
        with self._lock:
            return [value for value, _ in self._values.values()]

    def _keep(self, key: Hashable, value: Any, bytes_: int) -> None:
        """Keep a value, and let go of the oldest that there is no room for."""
        if bytes_ > self.most_bytes:
            return
        with self._lock:
            self._values[key] = (value, bytes_)
            self.bytes += bytes_
            while self.bytes > self.most_bytes:
                _, (_, gone) = self._values.popitem(last=False)
                self.bytes -= gone


class Share:
    """The values of one owner among those that several owners keep together.

    Parameters
    ----------
    kept : Kept
        Of all of them: whose values were not used for longest lose them first.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._closed = False

    def __contains__(self, key: Hashable) -> bool:
        return (self, key) in self._kept

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """Return the value of a key, as `Kept.get` does."""
        try:
            return self._kept.get((self, key), make, size)
        finally:
            if self._closed:
                self.close()

    def close(self) -> None:
        """Let go of all values, and of those that are made from now on."""
        self._closed = True
        self._kept.forget(lambda key: isinstance(key, tuple) and key[0] is self)


def bytes_of(value: Any) -> int:
    """Return the bytes of all arrays in memory that something of ours holds, each counted once."""
    found: dict[int, int] = {}
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, np.ndarray):
            owner = one
            while isinstance(owner.base, np.ndarray):
                owner = owner.base
            found[id(owner)] = owner.nbytes
        elif isinstance(one, (list, tuple)):
            waiting += one
        elif isinstance(one, (dict, Kept)):
            waiting += one.values()
        elif type(one).__module__.startswith(("orimap.", "scipy.sparse")):
            with contextlib.suppress(TypeError):  # of slots
                waiting += vars(one).values()
    return sum(found.values())
